//! The queue of wake-up signals. It carries no jobs: the row in the store is the truth, and a
//! signal only says "look at it".

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{Priority, ScanId, TraceContext};

/// "This scan is due."
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSignal {
    /// Which.
    pub id: ScanId,
    /// Its place among others.
    pub priority: Priority,
    /// Its place among those of its priority that may be delivered: by the clock of whoever made
    /// it. In a delivery by the queue's clock, and never in its future.
    pub due: Timestamp,
    /// The trace that caused it.
    pub trace: TraceContext,
}

/// Names one delivery to the queue that made it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A signal in a reader's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The signal.
    pub signal: JobSignal,
    /// For [`JobQueue::acknowledge`].
    pub receipt: Receipt,
}

/// The queue could not be reached.
#[derive(Debug, thiserror::Error)]
#[error("failed to reach the job queue")]
pub struct QueueError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Delivers each signal at least once, not before its wait is over, to one of any number of
/// readers.
///
/// - Clocks differ: the store's decides what is due, and the queue has its own. So what passes
///   between them is a wait and not a moment; it is zero for what is due.
/// - A signal may be lost (a queue may lose its memory) or delivered twice: readers lease the row,
///   so neither does harm.
/// - `high` goes before `normal` before `low`, but a lower priority is never starved: at most 8
///   deliveries in a row pass a waiting lower one by
///   ([`policy::fairness`](crate::policy::fairness)).
/// - Signals of one priority are delivered in the order of their `due`.
/// - [`next`](Self::next) is cancel safe: a signal is either returned or still in the queue.
/// - A delivery that is neither acknowledged nor released is delivered again once its reader is
///   known to be dead.
#[async_trait]
pub trait JobQueue: Send + Sync + 'static {
    /// Adds a signal. A second signal for a scan that already waits is merged with it, keeping the
    /// earlier time and the higher priority; one for a scan whose delivery is in a reader's hands
    /// is a signal of its own, because the row may have changed since.
    async fn signal(&self, signal: JobSignal, wait: Duration) -> Result<(), QueueError>;

    /// Adds a signal for a scan that was very likely signalled before: the same as
    /// [`signal`](Self::signal), told apart so that whoever watches the queue does not count it as
    /// news.
    async fn remind(&self, signal: JobSignal, wait: Duration) -> Result<(), QueueError> {
        self.signal(signal, wait).await
    }

    /// Waits for the next signal that is due.
    async fn next(&self) -> Result<Delivery, QueueError>;

    /// Ends a delivery: the row has been leased, or needs no lease.
    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError>;

    /// Gives a delivery back, to be delivered again after `wait`; without a wait it has its old
    /// place in the line.
    async fn release(&self, receipt: &Receipt, wait: Duration) -> Result<(), QueueError>;

    /// How many signals wait or are in readers' hands.
    async fn depth(&self) -> Result<usize, QueueError>;

    /// Why the queue takes or gives no signals at this moment, in the words of its server, as far
    /// as that is known without asking. `None`: it works, or nobody has found out yet.
    fn trouble(&self) -> Option<String> {
        None
    }
}
