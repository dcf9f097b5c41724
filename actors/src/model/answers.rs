//! The answers to a submission and to a deletion.

use super::ScanRecord;

/// The answer to a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// A new scan, committed.
    Created(ScanRecord),
    /// The scan that an earlier submission with the same idempotency key made.
    Existing(ScanRecord),
}

impl Submitted {
    /// The scan, new or not.
    #[must_use]
    pub fn into_record(self) -> ScanRecord {
        match self {
            Self::Created(record) | Self::Existing(record) => record,
        }
    }
}

/// The answer to a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// The row is gone; the row as it was. Its id is never given out again.
    Gone(ScanRecord),
    /// The scan has not ended, so nothing changed; the row as it is.
    Refused(ScanRecord),
    /// No such scan.
    Missing,
}
