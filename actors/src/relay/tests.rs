use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::date;
use proptest::prelude::*;
use tokio::sync::{Notify, watch};

use super::{OutcomeCounter, deliver};
use crate::model::{
    CancelledBy, Command, DeadLetter, DomainEvent, OutboxEntry, OutboxKey, Principal, ScanId, Submitted,
};
use crate::policy::delivery::LEASE;
use crate::ports::store::prelude::*;
use crate::ports::{DeliveryError, EventConsumer, Outbox, StoreError};
use crate::testing::{MemoryStore, PausedClock, fixtures};

/// The point at which a relay is killed: the number of steps that it still makes.
#[derive(Default)]
struct Fuse {
    left: AtomicUsize,
    burnt: Notify,
}

impl Fuse {
    /// Makes one step, or never returns: the relay is dead.
    async fn step(&self) {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            self.burnt.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// A call is two steps: a relay can die before its effect, and between the effect and the
    /// answer.
    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.step().await;
        let answer = call.await;
        self.step().await;
        answer
    }
}

struct Mortal {
    store: Arc<MemoryStore>,
    fuse: Arc<Fuse>,
}

#[async_trait]
impl Outbox for Mortal {
    async fn lease_entries(&self, holder: &str, limit: usize, lease: Duration) -> Result<Vec<OutboxEntry>, StoreError> {
        self.fuse.around(self.store.lease_entries(holder, limit, lease)).await
    }

    async fn settle(&self, holder: &str, keys: &[OutboxKey]) -> Result<(), StoreError> {
        self.fuse.around(self.store.settle(holder, keys)).await
    }

    async fn defer(
        &self,
        holder: &str,
        key: OutboxKey,
        wait: Duration,
        accepted_by: &[String],
    ) -> Result<(), StoreError> {
        self.fuse.around(self.store.defer(holder, key, wait, accepted_by)).await
    }

    async fn bury(&self, holder: &str, key: OutboxKey, accepted_by: &[String], reason: &str) -> Result<(), StoreError> {
        self.fuse.around(self.store.bury(holder, key, accepted_by, reason)).await
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        self.store.dead_letters(limit).await
    }

    async fn resend(&self, key: OutboxKey) -> Result<bool, StoreError> {
        self.store.resend(key).await
    }

    fn writes(&self) -> watch::Receiver<()> {
        self.store.writes()
    }

    async fn count_outcomes(&self, entries: &[OutboxEntry]) -> Result<(), StoreError> {
        self.fuse.around(self.store.count_outcomes(entries)).await
    }
}

/// Records what it gets, and refuses what a test says.
#[derive(Default)]
struct Recorder {
    seen: Mutex<BTreeMap<OutboxKey, u32>>,
    refused: Mutex<BTreeMap<OutboxKey, bool>>,
    fuse: Option<Arc<Fuse>>,
}

#[async_trait]
impl EventConsumer for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn wants(&self, _: &DomainEvent) -> bool {
        true
    }

    async fn consume(&self, entries: &[OutboxEntry]) -> Result<(), DeliveryError> {
        if let Some(fuse) = &self.fuse {
            fuse.step().await;
        }
        let refusal = entries.iter().find_map(|entry| self.refused.lock().unwrap().get(&entry.key).copied());
        if let Some(is_permanent) = refusal {
            return Err(DeliveryError { reason: "refused".into(), is_permanent });
        }
        for entry in entries {
            *self.seen.lock().unwrap().entry(entry.key).or_default() += 1;
        }
        if let Some(fuse) = &self.fuse {
            fuse.step().await;
        }
        Ok(())
    }
}

async fn cancelled(store: &MemoryStore) -> ScanId {
    let Submitted::Created(record) = store.submit(fixtures::new_scan("example.com")).await.unwrap() else {
        panic!("the scan is new")
    };
    let cancel = Command::Cancel { by: CancelledBy::User, principal: Principal::Anonymous };
    store.apply(record.id, cancel).await.unwrap();
    record.id
}

async fn counted(store: &MemoryStore) -> u64 {
    store.outcomes(date(1970, 1, 1)).await.unwrap().iter().map(|day| day.cancelled).sum()
}

proptest! {
    /// Whatever the steps after which relays die: every committed end reaches every consumer at
    /// least once, and is counted exactly once.
    #[test]
    fn committed_end_is_delivered_at_least_once_whenever_a_relay_dies(
        rounds in proptest::collection::vec((0..4_usize, any::<bool>(), 0..14_usize), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let clock = Arc::new(PausedClock::default());
            let store = Arc::new(MemoryStore::new(clock));
            let fuse = Arc::new(Fuse::default());
            let mortal: Arc<dyn Outbox> = Arc::new(Mortal { store: Arc::clone(&store), fuse: Arc::clone(&fuse) });
            let recorder = Arc::new(Recorder { fuse: Some(Arc::clone(&fuse)), ..Recorder::default() });
            let consumers: [Arc<dyn EventConsumer>; 2] =
                [Arc::new(OutcomeCounter::new(Arc::clone(&mortal))), Arc::<Recorder>::clone(&recorder)];
            let (mut ended, mut deleted) = (Vec::new(), 0);
            for (number, (ends, deletes, steps)) in rounds.into_iter().enumerate() {
                for _ in 0..ends {
                    ended.push(cancelled(&store).await);
                }
                if deletes && let Some(id) = ended.get(deleted) {
                    store.delete(*id, &Principal::System).await.unwrap();
                    deleted += 1;
                }
                let holder = format!("relay-{number}");
                fuse.left.store(steps, Ordering::SeqCst);
                tokio::select! {
                    biased;
                    answer = deliver(mortal.as_ref(), &consumers, &holder) => {
                        answer.unwrap();
                    }
                    () = fuse.burnt.notified() => {}
                }
                tokio::time::advance(LEASE).await;
            }
            fuse.left.store(usize::MAX, Ordering::SeqCst);
            while deliver(mortal.as_ref(), &consumers, "last").await.unwrap() > 0 {}
            let seen = recorder.seen.lock().unwrap().len();
            prop_assert_eq!(seen, ended.len() + deleted);
            prop_assert_eq!(counted(&store).await, (ended.len() - deleted) as u64);
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn refused_entry_does_not_hold_up_the_others_and_becomes_a_dead_letter() {
    let store = Arc::new(MemoryStore::new(Arc::new(PausedClock::default())));
    for _ in 0..3 {
        cancelled(&store).await;
    }
    let key = |scan| OutboxKey { scan: ScanId(scan), version: 1 };
    let recorder = Arc::new(Recorder::default());
    recorder.refused.lock().unwrap().insert(key(2), false);
    let consumers: [Arc<dyn EventConsumer>; 2] =
        [Arc::new(OutcomeCounter::new(Arc::<MemoryStore>::clone(&store))), Arc::<Recorder>::clone(&recorder)];
    let mut tries = 0;
    while store.dead_letters(9).await.unwrap().is_empty() {
        tries += u64::from(deliver(store.as_ref(), &consumers, "relay").await.unwrap() > 0);
        tokio::time::advance(Duration::from_secs(3600)).await;
    }
    assert_eq!(tries, 11, "one try and ten more");
    let letters = store.dead_letters(9).await.unwrap();
    assert_eq!((letters[0].key, letters[0].reason.as_str()), (key(2), "recorder: refused"));
    assert_eq!(*recorder.seen.lock().unwrap(), BTreeMap::from([(key(1), 1), (key(3), 1)]));
    assert_eq!(counted(&store).await, 3, "the other consumer accepted all three, once");
    // The cause is repaired, and somebody sends it again.
    recorder.refused.lock().unwrap().clear();
    assert!(store.resend(key(2)).await.unwrap());
    while deliver(store.as_ref(), &consumers, "relay").await.unwrap() > 0 {}
    let counted = counted(&store).await;
    assert_eq!((recorder.seen.lock().unwrap().len(), counted), (3, 3));
}

#[tokio::test]
async fn permanent_error_gives_up_at_once() {
    let store = Arc::new(MemoryStore::new(Arc::new(PausedClock::default())));
    let id = cancelled(&store).await;
    let recorder = Arc::new(Recorder::default());
    recorder.refused.lock().unwrap().insert(OutboxKey { scan: id, version: 1 }, true);
    let consumers: [Arc<dyn EventConsumer>; 1] = [recorder];
    deliver(store.as_ref(), &consumers, "relay").await.unwrap();
    assert_eq!(store.dead_letters(9).await.unwrap().len(), 1);
}
