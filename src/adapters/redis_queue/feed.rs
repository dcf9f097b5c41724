//! Publishes scan snapshots to the other processes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kastrel_actors::model::{NodeId, ScanSnapshot};
use kastrel_actors::ports::LiveFeed;
use tokio::sync::{Notify, broadcast};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use super::background::BackgroundTasks;
use super::calls::CallObserver;
use super::envelope;
use super::link::Link;
use super::pubsub::Dispatcher;

/// The capacity of the outbox. When it is full, a new snapshot replaces the oldest one.
const MAX_WAITING: usize = 1024;
/// The largest snapshot that is sent, in bytes. Every node would have to read a larger one, and the
/// row holds the same information a little later.
const MAX_BYTES: usize = 64 * 1024;

/// The [`LiveFeed`] of a node in a group of nodes.
pub struct RedisLiveFeed {
    outbox: Arc<Outbox>,
    dispatcher: Arc<Dispatcher>,
    _writer: AbortOnDropHandle<()>,
    _background: BackgroundTasks,
}

#[derive(Default)]
struct Outbox {
    waiting: Mutex<VecDeque<ScanSnapshot>>,
    filled: Notify,
    dropped: AtomicU64,
}

impl Outbox {
    fn put(&self, snapshot: ScanSnapshot) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == MAX_WAITING {
            waiting.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back(snapshot);
        drop(waiting);
        self.filled.notify_one();
    }

    fn take(&self) -> Option<ScanSnapshot> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl RedisLiveFeed {
    pub(super) fn new(
        link: &Arc<Link>,
        node: NodeId,
        dispatcher: Arc<Dispatcher>,
        calls: CallObserver,
        background: BackgroundTasks,
    ) -> Self {
        let outbox = Arc::new(Outbox::default());
        let writer = tokio::spawn(write(Arc::clone(link), node, Arc::clone(&outbox), calls));
        Self { outbox, dispatcher, _writer: AbortOnDropHandle::new(writer), _background: background }
    }

    /// The number of snapshots dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.outbox.dropped.load(Ordering::Relaxed)
    }
}

impl LiveFeed for RedisLiveFeed {
    fn publish(&self, snapshot: ScanSnapshot) {
        self.outbox.put(snapshot);
    }

    fn subscribe(&self) -> broadcast::Receiver<ScanSnapshot> {
        self.dispatcher.live()
    }
}

async fn write(link: Arc<Link>, node: NodeId, outbox: Arc<Outbox>, calls: CallObserver) {
    let mut failing = false;
    loop {
        outbox.filled.notified().await;
        while let Some(snapshot) = outbox.take() {
            let id = snapshot.record.id;
            let message = match envelope::seal(&node, &snapshot) {
                Ok(message) if message.len() <= MAX_BYTES => message,
                Ok(message) => {
                    outbox.dropped.fetch_add(1, Ordering::Relaxed);
                    debug!(
                        scan.id = id.0,
                        message.bytes = message.len(),
                        "a snapshot is too large for other nodes; they will read the row"
                    );
                    continue;
                }
                Err(error) => {
                    outbox.dropped.fetch_add(1, Ordering::Relaxed);
                    warn!(scan.id = id.0, error = &error as &dyn std::error::Error, "could not write a snapshot");
                    continue;
                }
            };
            let mut command = redis::cmd("PUBLISH");
            command.arg(&link.keys.live).arg(message);
            let sent = calls.timed("publish_live", link.query::<()>(&command)).await;
            match &sent {
                Ok(()) if failing => {
                    info!(feed.dropped = outbox.dropped.load(Ordering::Relaxed), "other nodes hear of changes again");
                }
                Ok(()) => {}
                Err(error) => {
                    outbox.dropped.fetch_add(1, Ordering::Relaxed);
                    if !failing {
                        warn!(
                            error = error as &dyn std::error::Error,
                            "other nodes do not hear of changes; they read the rows"
                        );
                    }
                }
            }
            failing = sent.is_err();
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_actors::testing::fixtures;

    use super::*;

    #[test]
    fn a_full_outbox_drops_the_oldest_and_counts() {
        let outbox = Outbox::default();
        for id in 0..MAX_WAITING as u64 + 3 {
            outbox.put(ScanSnapshot::of(fixtures::record(id, Timestamp::UNIX_EPOCH)));
        }
        assert_eq!(outbox.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(outbox.take().unwrap().record.id.0, 3);
        assert_eq!(std::iter::from_fn(|| outbox.take()).count(), MAX_WAITING - 1);
    }
}
