//! The identity of findings: which sightings are one finding.
//!
//! A finding of a target is known by its fingerprint `kfp1`: the SHA-256 of plugin, issue key and
//! place key. Severity, title, evidence and the version of the tool are not in it, so that a
//! finding stays the same when they change. The [rules] say which parts of a place are in
//! the place key. They are data, with a version:
//!
//! - A change of the rules is a new rule set. The old one stays, so the old fingerprint of a
//!   sighting can still be computed, and [`aliases`] gives the pairs. Nothing that is stored is
//!   hashed again.
//! - [`roll_up()`] joins the sightings of one scan to findings with members: the cipher suites of a
//!   port, the pages without a header.
//! - [`pair_drifted`] finds places that moved, such as a script of a new version. Where more than
//!   one pair is possible, it returns no pair.
//! - [`explain()`] and [`explain_pair`] say in words how a fingerprint came about.

mod alias;
mod drift;
mod explain;
mod fingerprint;
mod ids;
mod roll_up;
pub mod rules;
mod similar;
#[cfg(test)]
mod tests;

pub use alias::{AliasChange, aliases};
pub use drift::{Drift, pair_drifted};
pub use explain::{explain, explain_pair};
pub use fingerprint::{Fingerprint, FingerprintFault, fingerprint, place_key};
pub use ids::{FindingId, IdFault, TargetId};
pub use roll_up::{ObservedFinding, roll_up};
pub use rules::{Match, Rule, RuleSet, current};
