//! The answers to a submission and to a deletion.

use super::ScanRecord;

/// The result of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// A new scan, committed.
    Created(ScanRecord),
    /// The scan that an earlier submission with the same idempotency key created.
    Existing(ScanRecord),
}

impl Submitted {
    /// Returns the scan, whether it is new or not.
    #[must_use]
    pub fn into_record(self) -> ScanRecord {
        match self {
            Self::Created(record) | Self::Existing(record) => record,
        }
    }
}

/// The result of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// The row is deleted; holds the deleted row. Its id is never assigned again.
    Gone(ScanRecord),
    /// The scan has not ended, so nothing changed; holds the current row.
    Refused(ScanRecord),
    /// No such scan.
    Missing,
}
