//! The port for the store of scans and nodes. The store is the source of truth.

use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;

use crate::model::{
    Command, DayOutcomes, Deleted, DueScan, FencingToken, ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused,
    NodeRecord, NodeRegistration, PastRun, Priority, QueuePause, RunningScan, RunsLike, ScanId, ScanMode, ScanOrder,
    ScanPage, ScanRecord, ScanStatus, Severity, StoreStats, Submitted, TraceContext,
};
use crate::policy::transition::Refusal;

/// The store could not report the result. The change may or may not have been made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is not reachable, timed out, or failed during the call. A retry may succeed.
    #[error("failed to reach the store")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// This version cannot read the row. A retry does not help.
    #[error("failed to read a row of the store")]
    Corrupt(#[source] Box<dyn std::error::Error + Send + Sync>),
}

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

/// Keeps scans and nodes. An `Ok` means committed: the change survives a power cut.
///
/// - All changes of a row go through [`apply`](Self::apply). It performs
///   [`crate::policy::transition::transition`] and commits the result by compare-and-set on the
///   row's version; it retries lost races itself. "Now" is always the store's own clock.
/// - After a [`StoreError`] the change may still have been made. Repeating a command is safe: a
///   stale token is refused, and a cancel or progress is idempotent.
/// - [`Command::Lease`] additionally checks, in the same transaction, that the queue is not paused
///   ([`Refusal::QueuePaused`]), that the node's lease is valid ([`Refusal::NodeLeaseEnded`] if
///   not) and that the node is not draining ([`Refusal::NodeDraining`]).
#[async_trait]
pub trait ScanStore: Send + Sync + 'static {
    /// Accepts a scan and assigns the next id.
    async fn submit(&self, scan: NewScan) -> Result<Submitted, StoreError>;

    /// Returns the scan that a submission with this idempotency key created.
    async fn submitted(&self, key: &str) -> Result<Option<ScanRecord>, StoreError>;

    /// Reads one row.
    async fn get(&self, id: ScanId) -> Result<Option<ScanRecord>, StoreError>;

    /// Applies a command to one row.
    async fn apply(&self, id: ScanId, command: Command) -> Result<Applied, StoreError>;

    /// Reads a page of rows. A row that cannot be read is left out alone.
    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError>;

    /// Deletes a scan that has ended, with all data kept for it. Ids are not reused.
    async fn delete(&self, id: ScanId) -> Result<Deleted, StoreError>;

    /// Returns the outcomes of each day since `since`, oldest first. Days on which no scan ended
    /// are left out. Deleted scans do not count.
    async fn outcomes(&self, since: Date) -> Result<Vec<DayOutcomes>, StoreError>;

    /// Returns the newest completed scans, at most `limit`, newest first, without dry runs. With
    /// `like`, only those of one target and mode.
    async fn past_runs(&self, like: Option<RunsLike>, limit: usize) -> Result<Vec<PastRun>, StoreError>;

    /// Counts the scans by state.
    async fn stats(&self) -> Result<StoreStats, StoreError>;

    /// Returns pending rows that are due before now + `within`: highest priority first, then
    /// longest due, at most `limit` of each priority. After them come up to the same number of rows
    /// that are due because the clock was set back ([`ScanRecord::left_to_wait`]).
    async fn due(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError>;

    /// Returns the running rows of one node.
    async fn running_on(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError>;

    /// Returns the running rows whose node has no valid lease (expired, or no row at all).
    ///
    /// The same step ends the leases of the expired nodes: a node that comes back then gets
    /// [`NodeLeaseRefused`]. [`fate`](crate::policy::lease::fate) decides for each lease; it
    /// tolerates a clock that was set back or forward.
    async fn orphans(&self) -> Result<Vec<RunningScan>, StoreError>;

    /// Grants a lease to a node that has none.
    async fn register_node(&self, node: NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError>;

    /// Renews a node's lease, unless the lease has ended. An expired lease that no reconciler has
    /// ended yet is renewed.
    async fn renew_node(
        &self,
        node: NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError>;

    /// Releases a node's lease and deletes the node, including its turn to reconcile the cluster.
    async fn remove_node(&self, node: &NodeId) -> Result<(), StoreError>;

    /// Ends the leases of all nodes but `keep`, and their turns to reconcile the cluster. For a
    /// store that only one process can hold, where all other nodes must be dead.
    async fn end_other_nodes(&self, keep: &NodeId) -> Result<(), StoreError>;

    /// Returns all nodes with their leases, valid or not.
    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError>;

    /// Returns true if `node` gets the turn to reconcile the cluster now. At most one node gets it
    /// every `every`. If that node dies, another node gets the turn after that time, or at once if
    /// the store has deleted the node that had it.
    async fn claim_turn(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError>;

    /// Orders a node to drain: it takes no new scan, and it has none left `within` this time.
    /// `None` revokes the order. Returns `false` if there is no such node.
    ///
    /// A node that registers again under the same id keeps its order.
    async fn order_drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, StoreError>;

    /// Pauses the queue, with an optional reason: no scan is leased any more. Running scans
    /// continue. A queue that is already paused keeps its start time and takes the new reason.
    async fn pause(&self, reason: Option<String>) -> Result<QueuePause, StoreError>;

    /// Ends the pause. Returns `false` if the queue was not paused.
    async fn resume(&self) -> Result<bool, StoreError>;

    /// Returns the pause, if the queue is paused.
    async fn paused(&self) -> Result<Option<QueuePause>, StoreError>;

    /// Checks that the store responds, without a write. For readiness checks.
    async fn ping(&self) -> Result<(), StoreError>;
}
