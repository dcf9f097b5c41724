//! The store of scans and nodes: the truth.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::model::{
    Command, DayOutcomes, Deleted, DueScan, FencingToken, ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused,
    NodeRecord, NodeRegistration, PastRun, Priority, QueuePause, RunningScan, RunsLike, ScanId, ScanMode, ScanOrder,
    ScanPage, ScanRecord, ScanStatus, Severity, StoreStats, Submitted, TraceContext,
};
use crate::policy::transition::Refusal;

/// The store could not say what happened. The change may or may not have been made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, timed out, or broke in the middle; worth another try.
    #[error("failed to reach the store")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row that this version cannot read. Another try will not help.
    #[error("failed to read a row of the store")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// Committed; the row as it is now.
    Committed(ScanRecord),
    /// The row's state does not allow it; the row as it is. Nothing changed.
    Refused(Refusal, ScanRecord),
    /// No such scan.
    Missing,
}

/// Keeps scans and nodes. An `Ok` means committed: it survives a power cut.
///
/// - All changes of a row go through [`apply`](Self::apply), which performs
///   [`crate::policy::transition::transition`] and commits it by compare-and-set on the row's
///   version, retrying lost races by itself. "Now" is always the store's own clock.
/// - After a [`StoreError`] a change may have been made all the same. Repeating a command is safe:
///   a stale token is refused, a cancel or progress is idempotent.
/// - [`Command::Lease`] additionally checks, in the same transaction, that the queue is not paused
///   ([`Refusal::QueuePaused`]), that the node's lease is good ([`Refusal::NodeLeaseEnded`] if not)
///   and that the node was not told to drain ([`Refusal::NodeDraining`]).
#[async_trait]
pub trait ScanStore: Send + Sync + 'static {
    /// Accepts a scan, with the next id.
    async fn submit(&self, scan: NewScan) -> Result<Submitted, StoreError>;

    /// The scan that a submission with this idempotency key made.
    async fn submitted(&self, key: &str) -> Result<Option<ScanRecord>, StoreError>;

    /// One row.
    async fn get(&self, id: ScanId) -> Result<Option<ScanRecord>, StoreError>;

    /// Changes one row.
    async fn apply(&self, id: ScanId, command: Command) -> Result<Applied, StoreError>;

    /// A page of rows. A row that cannot be read hides only itself.
    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError>;

    /// Forgets a scan that has ended, with all that was kept beside it. Ids are not used again.
    async fn delete(&self, id: ScanId) -> Result<Deleted, StoreError>;

    /// How scans ended, day by day since `since`, oldest first; days without an end are left out.
    /// Deleted scans do not count.
    async fn outcomes(&self, since: Date) -> Result<Vec<DayOutcomes>, StoreError>;

    /// The newest completed scans, dry runs excepted, at most `limit`, newest first; only those of
    /// one target and mode where `like` says so.
    async fn past_runs(&self, like: Option<RunsLike>, limit: usize) -> Result<Vec<PastRun>, StoreError>;

    /// Counts by state.
    async fn stats(&self) -> Result<StoreStats, StoreError>;

    /// Rows that are pending and due before now + `within`, highest priority first, then longest
    /// due, at most `limit` of each priority; then those that are due because the clock was set
    /// back ([`ScanRecord::left_to_wait`]), as many again.
    async fn due(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError>;

    /// Running rows of one node.
    async fn running_on(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError>;

    /// Running rows whose node has no good lease (expired, or no row at all).
    ///
    /// Ends the leases of the expired nodes in the same step: a node that comes back is told
    /// [`NodeLeaseRefused`]. What becomes of each lease is said by
    /// [`fate`](crate::policy::lease::fate), which bears a clock that was set back or forward.
    async fn orphans(&self) -> Result<Vec<RunningScan>, StoreError>;

    /// Grants a new lease to a node that has none.
    async fn register_node(&self, node: NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError>;

    /// Renews a node's lease, unless it has ended (expired leases that nobody ended yet are
    /// renewed).
    async fn renew_node(
        &self,
        node: NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError>;

    /// Gives a node's lease back and forgets the node, its turn to look after the cluster included.
    async fn remove_node(&self, node: &NodeId) -> Result<(), StoreError>;

    /// Ends the leases of all nodes but `keep`, and their turn to look after the cluster: for a
    /// store that only one process can hold, where all others must be dead.
    async fn end_other_nodes(&self, keep: &NodeId) -> Result<(), StoreError>;

    /// All nodes with their leases, good or not.
    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError>;

    /// Whether `node` is the one to look after the whole cluster now: at most one every `every`,
    /// whoever asks. Any node may die with the task; the next one has it after that time, and at
    /// once when the store has forgotten the node that had it.
    async fn claim_turn(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError>;

    /// Tells a node to take no new scan and to be without any `within` this time, or (`None`) takes
    /// that back. `false`: no such node.
    ///
    /// A node that registers anew under the same id keeps its order.
    async fn order_drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, StoreError>;

    /// Pauses the whole queue, for a reason or none: no scan is leased any more. What runs goes on.
    /// A paused queue keeps its first time and takes the new reason.
    async fn pause(&self, reason: Option<String>) -> Result<QueuePause, StoreError>;

    /// Takes a pause back. `false`: the queue was not paused.
    async fn resume(&self) -> Result<bool, StoreError>;

    /// The pause, if there is one.
    async fn paused(&self) -> Result<Option<QueuePause>, StoreError>;

    /// A write-free sign of life, for readiness checks.
    async fn ping(&self) -> Result<(), StoreError>;
}
