//! Findings whose place moved: a new finding continues the dates of one that is gone.

use kastrel_findings::Sighting;
use kastrel_findings::identity::{RuleSet, pair_drifted};
use kastrel_findings::lifecycle::{ScanOrder, State};

use super::log;
use super::observe::Rows;
use crate::model::FindingRecord;

/// Lets new findings continue those that this scan proved absent, where only one pair is possible.
/// A new finding was seen first in one of the scans that prove the absence of the other one.
pub(super) fn pair(rows: &mut Rows, order: ScanOrder, rules: &RuleSet) {
    let is_current = |row: &&FindingRecord| row.rules == rules.version;
    let gone: Vec<&FindingRecord> =
        rows.values().filter(is_current).filter(|row| proof_begin(row, order).is_some()).collect();
    let Some(begin) = gone.iter().filter_map(|row| proof_begin(row, order)).min() else { return };
    let is_new = |row: &&FindingRecord| row.life.state == State::Open && row.life.first_seen.order >= begin;
    let new: Vec<Sighting> = rows.values().filter(is_current).filter(is_new).map(|row| row.sighting.clone()).collect();
    let gone: Vec<Sighting> = gone.into_iter().map(|row| row.sighting.clone()).collect();
    for drift in pair_drifted(&gone, &new, rules) {
        let Some(old) = rows.get(&drift.old).cloned() else { continue };
        let Some(new) = rows.get_mut(&drift.new) else { continue };
        if proof_begin(&old, order).is_some_and(|begin| new.life.first_seen.order >= begin) {
            new.life = new.life.clone().continuing(&old.life);
            log::write_continues(new, old.id, order);
        }
    }
}

/// Returns the oldest check that proves the absence of a finding, if this scan has the newest one.
pub(super) fn proof_begin(row: &FindingRecord, order: ScanOrder) -> Option<ScanOrder> {
    let State::Fixed { proof } = &row.life.state else { return None };
    // Of a plugin that an earlier attempt of the scan ran, the proof is that attempt's.
    proof.last().filter(|last| last.order.scan == order.scan)?;
    proof.first().map(|first| first.order)
}
