//! The queue of a single process: the signals live in memory, because the rows they point to are durable.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::{Clock, Delivery, JobQueue, JobSignal, QueueError, Receipt};
use crate::model::{Priority, ScanId};
use crate::policy::fairness::{self, Passes};

/// See the module. Signals of the same scan are merged, so its size is bounded by the number of waiting scans.
pub struct LocalJobQueue {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: HashMap<ScanId, JobSignal>,
    /// The same signals, ordered by what is delivered first within a priority.
    order: BTreeSet<(Priority, Timestamp, ScanId)>,
    in_hand: HashMap<Receipt, JobSignal>,
    next_receipt: u64,
    passes: Passes,
}

/// What a look at the queue says.
enum Next {
    Ready(Delivery),
    At(Timestamp),
    Empty,
}

impl LocalJobQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), changed: Notify::new() }
    }

    /// The moment by which a signal has its place: that of its `due`, or the end of its wait.
    fn place(&self, due: Timestamp, wait: Duration) -> Timestamp {
        let now = self.clock.now();
        if wait.is_zero() { due.min(now) } else { now.saturating_add(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A scan waits once: with the higher of its priorities and the earlier of its times.
    fn add(&mut self, mut signal: JobSignal) {
        if let Some(known) = self.waiting.get(&signal.id) {
            signal.due = signal.due.min(known.due);
            signal.priority = signal.priority.min(known.priority);
            // What waits first is what is delivered: it keeps the trace of whoever signalled it.
            signal.trace = known.trace;
            self.order.remove(&(known.priority, known.due, known.id));
        }
        self.order.insert((signal.priority, signal.due, signal.id));
        self.waiting.insert(signal.id, signal);
    }

    fn take(&mut self, now: Timestamp) -> Next {
        let ready: Vec<(Priority, Timestamp, ScanId)> = Priority::ALL
            .iter()
            .filter_map(|priority| self.order.range((*priority, Timestamp::MIN, ScanId(0))..=(*priority, now, ScanId(u64::MAX))).next().copied())
            .collect();
        let priorities: Vec<Priority> = ready.iter().map(|(priority, ..)| *priority).collect();
        let picked = fairness::pick(&priorities, self.passes);
        let chosen = picked.and_then(|(picked, passes)| {
            self.passes = passes;
            ready.into_iter().find(|(priority, ..)| *priority == picked)
        });
        let Some(chosen) = chosen else {
            return self.order.iter().map(|(_, due, _)| *due).min().map_or(Next::Empty, Next::At);
        };
        self.order.remove(&chosen);
        let Some(signal) = self.waiting.remove(&chosen.2) else { return Next::Empty };
        self.next_receipt += 1;
        let receipt = Receipt(self.next_receipt.to_string());
        self.in_hand.insert(receipt.clone(), signal.clone());
        Next::Ready(Delivery { signal, receipt })
    }
}

#[async_trait]
impl JobQueue for LocalJobQueue {
    async fn signal(&self, signal: JobSignal, wait: Duration) -> Result<(), QueueError> {
        let due = self.place(signal.due, wait);
        self.state().add(JobSignal { due, ..signal });
        self.changed.notify_one();
        Ok(())
    }

    async fn next(&self) -> Result<Delivery, QueueError> {
        loop {
            // Subscribe before the check, so that a signal between the two is not missed.
            let changed = self.changed.notified();
            let now = self.clock.now();
            let next = self.state().take(now);
            match next {
                Next::Ready(delivery) => {
                    // Whoever waits beside us may find another one.
                    self.changed.notify_one();
                    return Ok(delivery);
                }
                Next::Empty => changed.await,
                Next::At(due) => {
                    let wait = Duration::try_from(due.duration_since(now)).unwrap_or_default().max(Duration::from_millis(1));
                    // Either ends the wait; the loop finds out which.
                    let _ = tokio::time::timeout(wait, changed).await;
                }
            }
        }
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
        self.state().in_hand.remove(receipt);
        Ok(())
    }

    async fn release(&self, receipt: &Receipt, wait: Duration) -> Result<(), QueueError> {
        let mut state = self.state();
        if let Some(signal) = state.in_hand.remove(receipt) {
            let due = self.place(signal.due, wait);
            state.add(JobSignal { due, ..signal });
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    async fn depth(&self) -> Result<usize, QueueError> {
        let state = self.state();
        Ok(state.waiting.len() + state.in_hand.len())
    }
}
