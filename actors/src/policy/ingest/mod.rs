//! Ingestion: from what was read of a scan to the rows of its target.
//!
//! [`plan()`] is given the rows of a target and the reading of one scan ([`ScanReading`]), and
//! returns the rows to write ([`IngestPlan`]). It decides nothing of its own about findings: the
//! rules are in `kastrel-findings`. Here is which row each rule is applied to:
//!
//! 1. Findings of older rules get their fingerprints by the present rules, as far as the sightings
//!    of this scan show them (`carry`).
//! 2. Each finding of the target is observed: seen, absent with proof, or not checked. What the
//!    scan saw first is a new finding (`observe`).
//! 3. A new place may continue one that is gone (`drift`).
//! 4. The target gets its coverage and its assets (`target`).
//!
//! **Order and repetition.** A plan for rows that have this scan already is empty, apart from the
//! result. A scan that arrives late is given the results of the newer scans: a finding whose newest
//! sighting is in the late scan is checked against them again, with the scope of that sighting. So
//! each order of arrival leads to the same state of a finding, except for the flag "regressed".
//!
//! **People.** No plan changes a decision, a confirmation, an owner or a comment. The only
//! exception is a change of the rules that joins or splits findings; then a decision stays only if
//! it was about the same thing.
//!
//! [`rebuilt()`] merges findings that were computed anew with what people did to the stored ones.
//! [`Memory`] has what scans said that nobody can read any more.

mod carry;
mod coverage;
mod drift;
mod gone;
mod log;
mod observe;
mod people;
mod plan;
mod reading;
#[cfg(test)]
pub(crate) mod samples;
mod scope;
mod target;
#[cfg(test)]
mod tests;

pub use gone::{Left, Memory, end_of_named};
pub use people::{Rebuilt, is_touched, rebuilt};
pub use plan::{IngestPlan, Rules, StoredTarget, plan};
pub use reading::{PluginRead, ScanHead, ScanReading};
pub use scope::check_scope;
pub use target::rebuilt_assets;
