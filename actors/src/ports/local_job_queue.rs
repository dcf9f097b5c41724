//! The job queue of a single process. The signals live in memory, because the rows they point to
//! are durable.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Clock, Delivery, JobQueue, JobSignal, QueueError, Receipt};
use crate::model::{Priority, ScanId};
use crate::policy::fairness::{self, Passes};

/// An in-memory [`JobQueue`]. Signals of the same scan are merged, so its size is bounded by the
/// number of waiting scans.
///
/// A wait is measured with the monotonic clock. The wall clock only decides the order of the
/// signals that may be delivered.
pub struct LocalJobQueue {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: HashMap<ScanId, Waiting>,
    /// Signals whose wait is over, in the order of delivery within a priority.
    order: BTreeSet<(Priority, Timestamp, ScanId)>,
    /// Signals that still wait, ordered by the end of their wait.
    later: BTreeSet<(Instant, ScanId)>,
    in_hand: HashMap<Receipt, JobSignal>,
    next_receipt: u64,
    passes: Passes,
}

/// A signal, and the time from which it may be delivered.
struct Waiting {
    signal: JobSignal,
    from: Instant,
}

/// The result of [`State::take`].
enum Next {
    Ready(Delivery),
    At(Instant),
    Empty,
}

impl LocalJobQueue {
    /// Creates an empty queue.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), changed: Notify::new() }
    }

    /// Adds a signal, ordered by its `due`, or by the end of its wait if it has one.
    fn add(&self, signal: JobSignal, wait: Duration) {
        let now = self.clock.now();
        let ends = || {
            now.saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
        };
        let due = if wait.is_zero() { signal.due.min(now) } else { ends() };
        // Waits are limited to 100 years, so that the addition cannot overflow.
        let from = Instant::now() + wait.min(Duration::from_secs(100 * 365 * 86_400));
        self.state().add(JobSignal { due, ..signal }, from);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds a signal. A scan has at most one waiting signal; merging keeps the higher priority and
    /// the earlier times.
    fn add(&mut self, mut signal: JobSignal, mut from: Instant) {
        if let Some(known) = self.waiting.remove(&signal.id) {
            self.order.remove(&(known.signal.priority, known.signal.due, signal.id));
            self.later.remove(&(known.from, signal.id));
            signal.due = signal.due.min(known.signal.due);
            signal.priority = signal.priority.min(known.signal.priority);
            // The waiting signal is the one that is delivered, so it keeps its own trace.
            signal.trace = known.signal.trace;
            from = from.min(known.from);
        }
        self.later.insert((from, signal.id));
        self.waiting.insert(signal.id, Waiting { signal, from });
    }

    fn take(&mut self, now: Instant) -> Next {
        while let Some((_, id)) = self.later.first().copied().filter(|(from, _)| *from <= now) {
            self.later.pop_first();
            if let Some(Waiting { signal, .. }) = self.waiting.get(&id) {
                self.order.insert((signal.priority, signal.due, id));
            }
        }
        let first = |priority: &Priority| {
            self.order
                .range((*priority, Timestamp::MIN, ScanId(0))..=(*priority, Timestamp::MAX, ScanId(u64::MAX)))
                .next()
                .copied()
        };
        let ready: Vec<(Priority, Timestamp, ScanId)> = Priority::ALL.iter().filter_map(first).collect();
        let priorities: Vec<Priority> = ready.iter().map(|(priority, ..)| *priority).collect();
        let picked = fairness::pick(&priorities, self.passes);
        let chosen = picked.and_then(|(picked, passes)| {
            self.passes = passes;
            ready.into_iter().find(|(priority, ..)| *priority == picked)
        });
        let Some(chosen) = chosen else {
            return self.later.first().map_or(Next::Empty, |(from, _)| Next::At(*from));
        };
        self.order.remove(&chosen);
        let Some(Waiting { signal, .. }) = self.waiting.remove(&chosen.2) else { return Next::Empty };
        self.next_receipt += 1;
        let receipt = Receipt(self.next_receipt.to_string());
        self.in_hand.insert(receipt.clone(), signal.clone());
        Next::Ready(Delivery { signal, receipt })
    }
}

#[async_trait]
impl JobQueue for LocalJobQueue {
    async fn signal(&self, signal: JobSignal, wait: Duration) -> Result<(), QueueError> {
        self.add(signal, wait);
        Ok(())
    }

    async fn next(&self) -> Result<Delivery, QueueError> {
        loop {
            // Subscribe before the check, so that a signal between the two is not missed.
            let changed = self.changed.notified();
            let next = self.state().take(Instant::now());
            match next {
                Next::Ready(mut delivery) => {
                    // The clock may have been set back since.
                    delivery.signal.due = delivery.signal.due.min(self.clock.now());
                    // Another waiting reader may find another signal.
                    self.changed.notify_one();
                    return Ok(delivery);
                }
                Next::Empty => changed.await,
                Next::At(from) => {
                    // The timeout or a change ends the wait; the loop checks which.
                    let _ = tokio::time::timeout_at(from, changed).await;
                }
            }
        }
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.state().in_hand.remove(receipt);
        Ok(())
    }

    async fn release(&self, receipt: &Receipt, wait: Duration) -> Result<(), QueueError> {
        let signal = self.state().in_hand.remove(receipt);
        if let Some(signal) = signal {
            self.add(signal, wait);
        }
        Ok(())
    }

    async fn depth(&self) -> Result<usize, QueueError> {
        let state = self.state();
        Ok(state.waiting.len() + state.in_hand.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::testing::fixtures;

    /// A clock that the test sets, in seconds.
    struct SetClock(AtomicI64);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clock_set_back_delays_no_signal() {
        let clock = Arc::new(SetClock(AtomicI64::new(100_000)));
        let queue = LocalJobQueue::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let signal = |id: u64| JobSignal {
            id: ScanId(id),
            priority: Priority::Normal,
            due: clock.now(),
            trace: fixtures::trace(),
        };
        queue.signal(signal(1), Duration::ZERO).await.unwrap();
        queue.signal(signal(2), Duration::from_secs(10)).await.unwrap();
        clock.0.store(50_000, Ordering::Relaxed);
        let began = Instant::now();
        for (id, after) in [(1, 0), (2, 10)] {
            let delivery = queue.next().await.unwrap();
            assert_eq!((delivery.signal.id, began.elapsed().as_secs()), (ScanId(id), after));
            assert!(delivery.signal.due <= clock.now(), "no delivery is due in the future");
        }
    }
}
