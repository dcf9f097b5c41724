//! The answers of the store about findings.

use kastrel_findings::identity::{FindingId, TargetId};

use super::{FindingRecord, TargetRecord};

/// The result of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// All rows are stored, each with its next version.
    Stored,
    /// A row has another version than the caller read, or what it is about is gone. Nothing is
    /// stored; read it again.
    Changed,
}

/// The rows that changed after a mark, in the order of their changes. A row that changed several
/// times is there once, as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingChanges {
    /// The findings.
    pub findings: Vec<FindingRecord>,
    /// The findings that were deleted.
    pub gone: Vec<FindingId>,
    /// The targets.
    pub targets: Vec<TargetRecord>,
    /// The targets that were deleted.
    pub gone_targets: Vec<TargetId>,
    /// The mark of the last change in the answer; the next call continues after it.
    pub mark: u64,
    /// True if there are more changes.
    pub has_more: bool,
}
