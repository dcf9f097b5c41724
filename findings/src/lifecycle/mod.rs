//! The life of a finding: open, confirmed, fixed.
//!
//! | the scan's check of the plugin | the finding was seen | the finding was not seen |
//! |---|---|---|
//! | completed on the same scope | seen: a fixed one opens again, as regressed | absent; fixed after K such scans, with proof |
//! | failed, timed out, cancelled, read in part | seen | nothing, except "not checked since" |
//! | skipped, unavailable, narrower scope | seen | nothing, except "not checked since" |
//! | dry run | nothing | nothing |
//!
//! K is 1 for plugins that check the same things each time, and 2 for crawlers ([`scans_to_fix`]).
//!
//! People decide beside that: they confirm a finding, or decide `false_positive` with a reason, or
//! `accepted` with a reason, an owner and an end. A scan changes the state below, and never what a
//! person has decided. An acceptance that has
//! expired counts no more, so the finding is open again, unless a scan has proven it fixed.
//!
//! Everything here is one of four pure functions: [`Finding::observe`] for a scan,
//! [`Finding::act`] for a person, [`Finding::expire`] for the clock, and [`Finding::sla`]. They
//! return the events that happened; no event means that nothing changed.
//!
//! **Order.** Results may arrive twice and in any order. Whether a finding is fixed depends only on
//! the newest sighting and on the scans after it that did not see it, so it is the same in every
//! order. A result that is older than the newest sighting only moves the first sighting back.

mod check;
mod decide;
mod decision;
mod finding;
mod join;
mod observe;
mod plugin_check;
mod sla;
#[cfg(test)]
mod tests;

pub use check::{Check, ScanOrder, scans_to_fix};
pub use decide::{Action, Refusal};
pub use decision::Decision;
pub use finding::{Confirmation, Event, Finding, Proof, Seen, State, Status};
pub use observe::Observation;
pub use plugin_check::{PluginCheck, PluginEnd};
pub use sla::{Sla, SlaPolicy};
