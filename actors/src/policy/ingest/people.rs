//! What people did to findings, when the findings are computed anew.

use std::collections::{BTreeMap, BTreeSet};

use kastrel_findings::Severity;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::Event;

use super::log;
use crate::model::{FindingEntry, FindingRecord, LogChange};

/// The rows to write after findings were computed anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// The findings that changed, or are new.
    pub put: Vec<FindingRecord>,
    /// The findings that no scan saw, and of which no person said anything.
    pub gone: Vec<FindingRecord>,
}

/// Returns true if a person decided, confirmed or wrote something about the finding, or takes care
/// of it.
#[must_use]
pub fn is_touched(row: &FindingRecord) -> bool {
    row.life.decision.is_some()
        || row.life.confirmed.is_some()
        || row.owner.is_some()
        || row.log.iter().any(is_of_person)
}

/// Merges the findings that were computed anew from all scans with the stored ones. What people did
/// to a stored finding stays, and what scans that are gone did, as `is_gone` says of the number of
/// a scan. `moved` has the stored findings that others continue under newer rules.
#[must_use]
pub fn rebuilt(
    stored: Vec<FindingRecord>,
    anew: Vec<FindingRecord>,
    moved: &BTreeSet<FindingId>,
    is_gone: &dyn Fn(u64) -> bool,
) -> Rebuilt {
    let mut stored: BTreeMap<FindingId, FindingRecord> = stored.into_iter().map(|row| (row.id, row)).collect();
    let mut result = Rebuilt::default();
    for row in anew {
        match stored.remove(&row.id) {
            None => result.put.push(FindingRecord { version: 0, ..row }),
            Some(before) => {
                let merged = merge(row, &before, is_gone);
                if merged != before {
                    result.put.push(merged);
                }
            }
        }
    }
    let is_gone = |row: &FindingRecord| moved.contains(&row.id) || !is_touched(row);
    result.gone = stored.into_values().filter(is_gone).collect();
    result
}

fn merge(mut row: FindingRecord, before: &FindingRecord, is_gone: &dyn Fn(u64) -> bool) -> FindingRecord {
    row.version = before.version;
    row.owner.clone_from(&before.owner);
    row.life.decision.clone_from(&before.life.decision);
    row.life.confirmed.clone_from(&before.life.confirmed);
    // A registry that this process does not have may have been known.
    if row.severity == Severity::Unknown {
        row.severity = before.severity;
    }
    if row.category.is_none() {
        row.category.clone_from(&before.category);
    }
    if row.title == row.issue.as_str() {
        row.title.clone_from(&before.title);
    }
    let is_kept = |entry: &FindingEntry| is_of_person(entry) || entry.scan.is_some_and(is_gone);
    row.log.retain(|entry| !is_kept(entry));
    for entry in before.log.iter().filter(|entry| is_kept(entry)) {
        log::insert(&mut row, entry.clone());
    }
    row
}

fn is_of_person(entry: &FindingEntry) -> bool {
    let is_decision = match &entry.change {
        LogChange::Comment { .. } | LogChange::Assigned { .. } => true,
        LogChange::Life { event, .. } => {
            matches!(event, Event::Confirmed | Event::Decided | Event::Withdrawn | Event::AcceptanceExpired)
        }
        LogChange::Continues { .. } => false,
    };
    is_decision || entry.by.is_some()
}
