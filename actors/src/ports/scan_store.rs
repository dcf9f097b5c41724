//! The port for the store of scans and nodes. The store is the source of truth.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::model::{
    Command, FencingToken, NewScan, NodeId, NodeLease, NodeRecord, NodeRegistration, Priority, QueuePause, ScanId,
    ScanMode, ScanOrder, ScanRecord, ScanStatus, Severity, TraceContext,
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

/// A pending row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueScan {
    /// The scan.
    pub id: ScanId,
    /// Its priority.
    pub priority: Priority,
    /// The time from which the scan is due; it may be in the future.
    pub due: Timestamp,
    /// The time until then; zero for a scan that is due.
    pub wait: Duration,
    /// Its trace.
    pub trace: TraceContext,
}

/// A running row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningScan {
    /// The scan.
    pub id: ScanId,
    /// The node that runs it.
    pub node: NodeId,
    /// The fencing token of the attempt.
    pub token: FencingToken,
    /// How many attempts failed before this one.
    pub failures: u32,
}

/// The node has no lease any more: the lease expired and a reconciler ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node's lease has ended")]
pub struct NodeLeaseRefused;

/// The start or end of a page, in an order other than by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The sort key of the order, as text: a target, milliseconds or a count. Empty in an order by
    /// number.
    pub rank: String,
    /// The scan, which orders the rows with the same sort key.
    pub id: ScanId,
}

/// Which scans to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Only these states; empty means all.
    pub statuses: Vec<ScanStatus>,
    /// Only targets that contain this text; the text is in lower case.
    pub target: Option<String>,
    /// Only this mode.
    pub mode: Option<ScanMode>,
    /// Only scans that were accepted at or after this time.
    pub created_from: Option<Timestamp>,
    /// Only scans that were accepted before this time.
    pub created_until: Option<Timestamp>,
    /// Only scans in which this plugin has results (collected items or issues). Case-insensitive.
    pub plugin: Option<String>,
    /// Only scans that have ended with an issue of this severity or worse.
    pub min_severity: Option<Severity>,
    /// The order.
    pub order: ScanOrder,
    /// Keyset: only scans with an id below this one.
    pub before: Option<ScanId>,
    /// Keyset: only scans with an id above this one.
    pub after: Option<ScanId>,
    /// Keyset of the orders other than by number: only rows after this cursor.
    pub from: Option<Cursor>,
    /// Takes the page from the other end of the remaining rows, to go back a page. Only in an order
    /// by number; the page itself keeps its order.
    pub from_the_end: bool,
    /// Skips this many of the remaining rows, for numbered pages.
    pub offset: usize,
    /// The maximum number of rows.
    pub limit: usize,
    /// Whether to count all matches, up to a bound of the store. The count ignores the keysets,
    /// `offset` and `limit`.
    pub count: bool,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            statuses: Vec::new(),
            target: None,
            mode: None,
            created_from: None,
            created_until: None,
            plugin: None,
            min_severity: None,
            order: ScanOrder::Newest,
            before: None,
            after: None,
            from: None,
            from_the_end: false,
            offset: 0,
            limit: 20,
            count: false,
        }
    }
}

/// A page of scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPage {
    /// The scans, in `order`.
    pub scans: Vec<ScanRecord>,
    /// The requested order, or newest first if the store cannot provide that order; `next` is then
    /// a cursor in it.
    pub order: ScanOrder,
    /// The number of matches, if the query requested a count.
    pub total: Option<u64>,
    /// True if there are more matches than `total`, because counting is bounded.
    pub total_is_floor: bool,
    /// The cursor after which the next page starts, in the direction of this page. `None` if there
    /// are no more rows.
    pub next: Option<Cursor>,
    /// True if the page may be shorter than the limit although more rows match: the search is
    /// bounded and continues at `next`.
    pub is_partial: bool,
    /// The rows that the store found but cannot read. The page leaves them out, and the log has the
    /// reason.
    pub unreadable: Vec<ScanId>,
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

/// How the scans of one day ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayOutcomes {
    /// The day on which they ended, in UTC.
    pub day: Date,
    /// How many completed.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
}

/// A completed scan and its duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// The scan.
    pub id: ScanId,
    /// Its target, in lower case.
    pub target: String,
    /// Its mode.
    pub mode: ScanMode,
    /// The duration from its first start to its end.
    pub took: Duration,
}

/// A filter for completed scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsLike {
    /// The exact target, in lower case.
    pub target: String,
    /// The mode.
    pub mode: ScanMode,
}

/// How many scans are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Waiting.
    pub pending: u64,
    /// Running.
    pub running: u64,
    /// Completed.
    pub completed: u64,
    /// Failed.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
}

impl StoreStats {
    /// Returns the number of scans in `status`.
    #[must_use]
    pub const fn of(&self, status: ScanStatus) -> u64 {
        match status {
            ScanStatus::Pending => self.pending,
            ScanStatus::Running => self.running,
            ScanStatus::Completed => self.completed,
            ScanStatus::Failed => self.failed,
            ScanStatus::Cancelled => self.cancelled,
        }
    }

    /// Returns the number of all scans.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.pending
            .saturating_add(self.running)
            .saturating_add(self.completed)
            .saturating_add(self.failed)
            .saturating_add(self.cancelled)
    }
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
