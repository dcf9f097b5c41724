//! The log of a finding, as scans write it.

use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::{Event, ScanOrder};

use crate::model::{FindingEntry, FindingRecord, LogChange, MOST_LOG_ENTRIES};

/// Writes what a scan did to a finding. What happens in each scan is not written.
pub(super) fn write(record: &mut FindingRecord, events: Vec<Event>, order: ScanOrder) {
    for event in events.into_iter().filter(is_written) {
        insert(record, entry(order, LogChange::Life { event, reason: None }));
    }
}

/// Writes that a finding continues an earlier one.
pub(super) fn write_continues(record: &mut FindingRecord, earlier: FindingId, order: ScanOrder) {
    if !continues(record, earlier) {
        insert(record, entry(order, LogChange::Continues { finding: earlier }));
    }
}

/// Returns true if the log says that the finding continues the earlier one.
pub(super) fn continues(record: &FindingRecord, earlier: FindingId) -> bool {
    record.log.iter().any(|entry| entry.change == LogChange::Continues { finding: earlier })
}

/// Inserts an entry by its time, and keeps the log within its limit.
pub(super) fn insert(record: &mut FindingRecord, entry: FindingEntry) {
    let at = record.log.partition_point(|other| other.at <= entry.at);
    record.log.insert(at, entry);
    while record.log.len() > MOST_LOG_ENTRIES {
        let Some(oldest) = record.log.iter().position(|entry| entry.by.is_none()) else { return };
        record.log.remove(oldest);
    }
}

const fn entry(order: ScanOrder, change: LogChange) -> FindingEntry {
    FindingEntry { at: order.at, by: None, scan: Some(order.scan), change }
}

const fn is_written(event: &Event) -> bool {
    match event {
        Event::Found | Event::Regressed | Event::Fixed { .. } | Event::ProofLost => true,
        Event::Absent | Event::NotChecked { .. } | Event::SeenAgain | Event::FirstSeenEarlier => false,
        // People and the clock do these.
        Event::Confirmed | Event::Decided | Event::Withdrawn | Event::AcceptanceExpired => false,
    }
}
