//! The rows of scans: submission, state machine, deletion.

use async_trait::async_trait;

use super::StoreError;
use crate::model::{Command, Deleted, NewScan, Principal, ScanId, ScanRecord, Submitted};
use crate::policy::transition::Refusal;

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// The command is committed; holds the new row.
    Committed(ScanRecord),
    /// The row's state does not allow the command. Nothing changed; holds the current row.
    Refused(Refusal, ScanRecord),
    /// No such scan.
    Missing,
}

/// Keeps the rows of scans. An `Ok` means committed: the change survives a power cut.
///
/// - All changes of a row go through [`apply`](Self::apply). It performs
///   [`crate::policy::transition::transition`] and commits the result by compare-and-set on the
///   row's version; it retries lost races itself. "Now" is always the store's own clock.
/// - After a [`StoreError`] the change may still have been made. Repeating a command is safe: a
///   stale token is refused, and a cancel or progress is idempotent.
/// - [`Command::Lease`] additionally checks, in the same transaction, that the queue is not paused
///   ([`Refusal::QueuePaused`]), that the node's lease is valid ([`Refusal::NodeLeaseEnded`] if
///   not) and that the node is not draining ([`Refusal::NodeDraining`]).
/// - [`Command::Transfer`] additionally deletes the public links and the shares of the scan.
#[async_trait]
pub trait ScanRepository: Send + Sync + 'static {
    /// Accepts a scan and assigns the next id.
    async fn submit(&self, scan: NewScan) -> Result<Submitted, StoreError>;

    /// Returns the scan that a submission with this idempotency key created.
    async fn submitted(&self, key: &str) -> Result<Option<ScanRecord>, StoreError>;

    /// Reads one row.
    async fn get(&self, id: ScanId) -> Result<Option<ScanRecord>, StoreError>;

    /// Applies a command to one row.
    async fn apply(&self, id: ScanId, command: Command) -> Result<Applied, StoreError>;

    /// Deletes a scan that has ended, with all data kept for it. Ids are not reused.
    async fn delete(&self, id: ScanId, by: &Principal) -> Result<Deleted, StoreError>;
}
