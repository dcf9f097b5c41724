//! The store of scans and nodes: the truth.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::model::{
    Command, FencingToken, NewScan, NodeId, NodeLease, NodeRecord, NodeRegistration, Priority, QueuePause, ScanId,
    ScanMode, ScanOrder, ScanRecord, ScanStatus, Severity, TraceContext,
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

/// A row that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueScan {
    /// Which.
    pub id: ScanId,
    /// Its priority.
    pub priority: Priority,
    /// Since when it is due, or from when on.
    pub due: Timestamp,
    /// How long until then; zero for what is due.
    pub wait: Duration,
    /// Its trace.
    pub trace: TraceContext,
}

/// A row that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningScan {
    /// Which.
    pub id: ScanId,
    /// Where.
    pub node: NodeId,
    /// Under which token.
    pub token: FencingToken,
    /// How many attempts failed before it.
    pub failures: u32,
}

/// The node has no lease any more: it expired and a reconciler ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node's lease has ended")]
pub struct NodeLeaseRefused;

/// Where a page begins or ends in an order other than that of the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// What the order compares, as text: a target, milliseconds or a count. Empty in an order by
    /// number.
    pub rank: String,
    /// Which scan, among those of the same rank.
    pub id: ScanId,
}

/// Which scans to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Only these states; empty means all.
    pub statuses: Vec<ScanStatus>,
    /// Only targets that contain this text (as written in lower case).
    pub target: Option<String>,
    /// Only this mode.
    pub mode: Option<ScanMode>,
    /// Only scans that were accepted then or later.
    pub created_from: Option<Timestamp>,
    /// Only scans that were accepted before then.
    pub created_until: Option<Timestamp>,
    /// Only scans in which this plugin has results: collected items or issues. Upper and lower case
    /// are the same.
    pub plugin: Option<String>,
    /// Only scans that have ended with an issue of this severity or worse.
    pub min_severity: Option<Severity>,
    /// In which order.
    pub order: ScanOrder,
    /// Keyset: only scans with an id below this one.
    pub before: Option<ScanId>,
    /// Keyset: only scans with an id above this one.
    pub after: Option<ScanId>,
    /// Keyset of the orders that are not by number: only what comes after this place.
    pub from: Option<Cursor>,
    /// Take the page from the other end of what is left: the way back. Only in an order by number;
    /// the page itself keeps its order.
    pub from_the_end: bool,
    /// Skip so many of what is left: for numbered pages.
    pub offset: usize,
    /// At most so many.
    pub limit: usize,
    /// Whether to count all matches (ignoring the keysets, `offset` and `limit`), up to a bound of
    /// the store's.
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
    /// In `order`.
    pub scans: Vec<ScanRecord>,
    /// The order that was asked for, or newest first where the store cannot give that one; then
    /// `next` is a place in it.
    pub order: ScanOrder,
    /// The matches, where the query asked to count.
    pub total: Option<u64>,
    /// Whether there are more matches than `total`: counting is bounded.
    pub total_is_floor: bool,
    /// Where the walk goes on, in the direction in which this page was taken: after this place.
    /// `None`: there is no more.
    pub next: Option<Cursor>,
    /// Whether the page is shorter than it could be: the search is bounded, and goes on at `next`.
    pub is_partial: bool,
    /// The rows that were met and cannot be read. They are left out; the log says why.
    pub unreadable: Vec<ScanId>,
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

/// A scan that completed, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Which.
    pub id: ScanId,
    /// Its target, in lower case.
    pub target: String,
    /// Its mode.
    pub mode: ScanMode,
    /// From its first start to its end.
    pub took: Duration,
}

/// Which completed scans to look back at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsLike {
    /// The target, in lower case and whole.
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
    /// How many are in `status`.
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

    /// How many there are.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.pending
            .saturating_add(self.running)
            .saturating_add(self.completed)
            .saturating_add(self.failed)
            .saturating_add(self.cancelled)
    }
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
