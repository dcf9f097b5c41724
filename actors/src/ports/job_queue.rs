//! The port for the queue of wake-up signals. A signal carries no job: it names a scan whose row
//! the reader must check, and the row in the store is authoritative.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{Priority, ScanId, TraceContext};

/// A signal that a scan is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSignal {
    /// The scan.
    pub id: ScanId,
    /// The priority of the scan.
    pub priority: Priority,
    /// The sort key among the signals of one priority that may be delivered. A new signal carries
    /// the time of its sender's clock. A delivery carries the time of the queue's clock, which is
    /// never in the future.
    pub due: Timestamp,
    /// The trace that caused it.
    pub trace: TraceContext,
}

/// Identifies one delivery; only the queue that made it can interpret it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A signal that was delivered to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The signal.
    pub signal: JobSignal,
    /// The receipt for [`JobQueue::acknowledge`] and [`JobQueue::release`].
    pub receipt: Receipt,
}

/// The queue could not be reached.
#[derive(Debug, thiserror::Error)]
#[error("failed to reach the job queue")]
pub struct QueueError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Delivers each signal at least once, not before its wait is over, to one of any number of
/// readers.
///
/// - The clocks of the store and of the queue differ, and the store's clock decides what is due.
///   Callers therefore pass a wait and not a point in time; the wait is zero for a scan that is
///   due.
/// - A signal may be lost (a queue may lose its memory) or delivered twice. Readers lease the row,
///   so neither does harm.
/// - `high` goes before `normal` before `low`, but a lower priority never starves: at most 8
///   deliveries in a row pass a waiting signal of a lower priority
///   ([`policy::fairness`](crate::policy::fairness)).
/// - Signals of one priority are delivered in the order of their `due`.
/// - [`next`](Self::next) is cancel safe: a signal is either returned or still in the queue.
/// - A delivery that is neither acknowledged nor released is delivered again once its reader is
///   known to be dead.
#[async_trait]
pub trait JobQueue: Send + Sync + 'static {
    /// Adds a signal. If a signal for the same scan is already waiting, the two are merged and keep
    /// the earlier time and the higher priority. If a delivery for the scan is in a reader's hands,
    /// the new signal is separate, because the row may have changed since.
    async fn signal(&self, signal: JobSignal, wait: Duration) -> Result<(), QueueError>;

    /// Adds a signal for a scan that has very likely been signalled before. It does the same as
    /// [`signal`](Self::signal); it is a method of its own so that code that watches the queue does
    /// not count it as a new signal.
    async fn remind(&self, signal: JobSignal, wait: Duration) -> Result<(), QueueError> {
        self.signal(signal, wait).await
    }

    /// Waits for the next signal that is due.
    async fn next(&self) -> Result<Delivery, QueueError>;

    /// Ends a delivery: the reader has leased the row, or the row needs no lease.
    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError>;

    /// Returns a delivery, to be delivered again after `wait`. Without a wait it gets its old
    /// position in the queue.
    async fn release(&self, receipt: &Receipt, wait: Duration) -> Result<(), QueueError>;

    /// The number of signals that wait or are in readers' hands.
    async fn depth(&self) -> Result<usize, QueueError>;

    /// The reason why the queue currently accepts or delivers no signals, in the words of its
    /// server, as far as the implementation knows it without a request. `None` if the queue works,
    /// or if the implementation has not found a fault yet.
    fn trouble(&self) -> Option<String> {
        None
    }
}
