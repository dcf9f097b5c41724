//! Runs the conformance suites against the in-memory ports.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::OutboxKey;
use kastrel_actors::ports::Clock;
use kastrel_actors::ports::{ControlBus, JobQueue, LocalControlBus, LocalJobQueue};
use kastrel_actors::testing::bus_conformance::BusHarness;
use kastrel_actors::testing::queue_conformance::QueueHarness;
use kastrel_actors::testing::store_conformance::StoreHarness;
use kastrel_actors::testing::{MemoryStore, PausedClock};
use kastrel_actors::{bus_conformance_tests, queue_conformance_tests, store_conformance_tests};

/// A clock that only the test advances, in milliseconds since 2026.
#[derive(Clone, Default)]
struct ManualClock(Arc<AtomicI64>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_767_225_600).unwrap() + SignedDuration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Default)]
struct InMemory {
    clock: ManualClock,
}

#[async_trait]
impl StoreHarness for InMemory {
    type Store = MemoryStore;

    async fn new_store(&self) -> MemoryStore {
        MemoryStore::new(Arc::new(self.clock.clone()))
    }

    fn advance(&self, by: Duration) {
        self.clock.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn set_back(&self, by: Duration) {
        self.clock.0.fetch_sub(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    async fn overwrite_event(&self, store: &MemoryStore, key: OutboxKey, text: &str) {
        store.overwrite_event(key, text);
    }
}

mod store {
    use super::*;

    store_conformance_tests!(InMemory::default());
}

#[derive(Default)]
struct Local(PausedClock);

#[async_trait]
impl QueueHarness for Local {
    async fn new_queue(&self) -> Arc<dyn JobQueue> {
        Arc::new(LocalJobQueue::new(Arc::new(self.0)))
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

mod queue {
    use super::*;

    queue_conformance_tests!(tokio::test(start_paused = true), Local::default());
}

struct OneProcess;

#[async_trait]
impl BusHarness for OneProcess {
    async fn nodes(&self) -> [Arc<dyn ControlBus>; 2] {
        let bus: Arc<dyn ControlBus> = Arc::new(LocalControlBus::default());
        [Arc::clone(&bus), bus]
    }
}

mod bus {
    use super::*;

    bus_conformance_tests!(tokio::test(start_paused = true), OneProcess);
}
