//! What every format has in common: its steps, and their errors.

use super::finding::ExportedFinding;
use super::head::ExportHead;

/// An export could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A row could not be turned into text of the format.
    #[error("failed to write the export")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An OpenVEX document needs a statement, and no finding has the number of a vulnerability.
    #[error("no finding of this filter has a CVE or GHSA number, and an OpenVEX document needs at least one statement")]
    NoStatement,
}

impl EncodeError {
    pub(super) fn write(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Write(error.into())
    }
}

/// One format. The caller calls `begin` once, `finding` for each finding, and `end` once.
pub(super) trait Writer: Send {
    /// Writes what stands before the findings.
    fn begin(&mut self, head: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Writes a finding.
    fn finding(&mut self, finding: &ExportedFinding, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Writes what stands after the findings.
    fn end(&mut self, head: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}
