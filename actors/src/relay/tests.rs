use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::date;
use proptest::prelude::*;

use super::{OutcomeCounter, deliver};
use crate::model::{
    AuditQuery, CancelledBy, Command, DomainEvent, OutboxEntry, OutboxKey, Principal, ProjectFilter, ScanId, Submitted,
};
use crate::policy::delivery::{DELIVERY_LIMIT, LEASE};
use crate::ports::store::hooked::Hooked;
use crate::ports::store::prelude::*;
use crate::ports::{Applied, DeliveryError, EventConsumer, Outbox, StoreError};
use crate::testing::{Fuse, MemoryStore, PausedClock, Recorder, fixtures};

async fn submitted(store: &MemoryStore) -> ScanId {
    let Submitted::Created(record) = store.submit(fixtures::new_scan("example.com")).await.unwrap() else {
        panic!("the scan is new")
    };
    record.id
}

async fn cancel(store: &MemoryStore, id: ScanId) -> Result<Applied, StoreError> {
    store.apply(id, Command::Cancel { by: CancelledBy::User, principal: Principal::Anonymous }).await
}

async fn cancelled(store: &MemoryStore) -> ScanId {
    let id = submitted(store).await;
    cancel(store, id).await.unwrap();
    id
}

async fn counted(store: &MemoryStore) -> u64 {
    store.outcomes(date(1970, 1, 1), &ProjectFilter::All).await.unwrap().iter().map(|day| day.cancelled).sum()
}

/// How many events of this action were committed.
async fn committed(store: &MemoryStore, action: &str) -> usize {
    let audit = store.audit(&AuditQuery::newest(usize::MAX)).await.unwrap().entries;
    audit.iter().filter(|entry| entry.event.action() == action).count()
}

proptest! {
    /// Processes commit ends and deliver them, and die at any step of that: every committed end
    /// reaches every consumer at least once, and is counted exactly once.
    #[test]
    fn committed_end_is_delivered_at_least_once_whenever_a_process_dies(
        rounds in proptest::collection::vec((0..4_usize, any::<bool>(), 0..24_usize), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(MemoryStore::new(Arc::new(PausedClock::default())));
            let fuse = Arc::new(Fuse::default());
            let mortal: Arc<dyn Outbox> =
                Arc::new(Hooked::new(Arc::clone(&store), &fuse));
            let recorder = Arc::new(Recorder::mortal(Arc::clone(&fuse)));
            let consumers: [Arc<dyn EventConsumer>; 2] =
                [Arc::new(OutcomeCounter::new(Arc::clone(&mortal))), Arc::<Recorder>::clone(&recorder)];
            for (number, (ends, deletes, steps)) in rounds.into_iter().enumerate() {
                let holder = format!("relay-{number}");
                fuse.set(steps);
                let process = async {
                    let mut last = None;
                    for _ in 0..ends {
                        let id = submitted(&store).await;
                        fuse.step_around("commit", cancel(&store, id)).await.unwrap();
                        last = Some(id);
                    }
                    if let Some(id) = last.filter(|_| deletes) {
                        fuse.step_around("commit", store.delete(id, &Principal::System)).await.unwrap();
                    }
                    deliver(mortal.as_ref(), &consumers, &holder).await.unwrap();
                };
                tokio::select! {
                    biased;
                    () = process => {}
                    () = fuse.burnt() => {}
                }
                tokio::time::advance(LEASE).await;
            }
            fuse.set(usize::MAX);
            while deliver(mortal.as_ref(), &consumers, "last").await.unwrap() > 0 {}
            let (ended, deleted) = (committed(&store, "scan_ended").await, committed(&store, "scan_deleted").await);
            prop_assert_eq!(recorder.seen().len(), ended + deleted);
            prop_assert_eq!(counted(&store).await, (ended - deleted) as u64);
            Ok(())
        })?;
    }
}

fn key(scan: u64) -> OutboxKey {
    OutboxKey { scan: ScanId(scan), version: 1 }
}

#[tokio::test(start_paused = true)]
async fn refused_entry_does_not_hold_up_the_others_and_becomes_a_dead_letter() {
    let store = Arc::new(MemoryStore::new(Arc::new(PausedClock::default())));
    for _ in 0..3 {
        cancelled(&store).await;
    }
    let recorder = Arc::new(Recorder::default());
    recorder.refuse(key(2), false);
    let consumers: [Arc<dyn EventConsumer>; 2] =
        [Arc::new(OutcomeCounter::new(Arc::<MemoryStore>::clone(&store))), Arc::<Recorder>::clone(&recorder)];
    let tries = tries_until_given_up(&store, &consumers).await;
    assert_eq!(tries, 11, "one try and ten more");
    let letters = store.dead_letters(9).await.unwrap();
    assert_eq!((letters[0].key, letters[0].reason.as_str()), (key(2), "recorder: refused"));
    assert_eq!(recorder.seen(), BTreeMap::from([(key(1), 1), (key(3), 1)]));
    assert_eq!(counted(&store).await, 3, "the other consumer accepted all three, once");
    // The cause is repaired, and somebody sends it again.
    recorder.accept_all();
    assert!(store.resend(key(2), &Principal::Anonymous).await.unwrap());
    while deliver(store.as_ref(), &consumers, "relay").await.unwrap() > 0 {}
    let counted = counted(&store).await;
    assert_eq!((recorder.seen().len(), counted), (3, 3));
}

/// Returns how many deliveries it takes until there is a dead letter.
async fn tries_until_given_up(store: &MemoryStore, consumers: &[Arc<dyn EventConsumer>]) -> u32 {
    let mut tries = 0;
    while store.dead_letters(9).await.unwrap().is_empty() {
        tries += u32::from(deliver(store, consumers, "relay").await.unwrap() > 0);
        tokio::time::advance(Duration::from_secs(3600)).await;
    }
    tries
}

#[tokio::test]
async fn permanent_error_gives_up_at_once() {
    let store = Arc::new(MemoryStore::new(Arc::new(PausedClock::default())));
    let id = cancelled(&store).await;
    let recorder = Arc::new(Recorder::default());
    recorder.refuse(OutboxKey { scan: id, version: 1 }, true);
    let consumers: [Arc<dyn EventConsumer>; 1] = [recorder];
    deliver(store.as_ref(), &consumers, "relay").await.unwrap();
    assert_eq!(store.dead_letters(9).await.unwrap().len(), 1);
}

/// A newer relay may read an event that this version does not know, so it waits as long as any
/// delivery that fails. A damaged event is given up at once.
#[tokio::test(start_paused = true)]
async fn unreadable_event_becomes_a_dead_letter_with_its_text_and_blocks_no_other() {
    for (text, tries) in [("{damaged", 1), (r#"{"action":"scan_moved"}"#, 11)] {
        let store = Arc::new(MemoryStore::new(Arc::new(PausedClock::default())));
        for _ in 0..3 {
            cancelled(&store).await;
        }
        store.overwrite_event(key(2), text);
        let recorder = Arc::new(Recorder::default());
        let consumers: [Arc<dyn EventConsumer>; 1] = [Arc::<Recorder>::clone(&recorder) as _];
        assert_eq!(tries_until_given_up(&store, &consumers).await, tries, "{text}");
        assert_eq!(recorder.seen(), BTreeMap::from([(key(1), 1), (key(3), 1)]));
        let letter = store.dead_letters(9).await.unwrap().remove(0);
        assert_eq!((letter.key, letter.text.as_str(), letter.event), (key(2), text, None));
        assert!(letter.reason.starts_with("the event cannot be read: "), "{}", letter.reason);
        assert_eq!(deliver(store.as_ref(), &consumers, "relay").await.unwrap(), 0, "nothing is left");
    }
}

/// Accepts nothing, and never answers.
struct Silent;

#[async_trait]
impl EventConsumer for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    fn wants(&self, _: &DomainEvent) -> bool {
        true
    }

    async fn consume(&self, _: &[OutboxEntry]) -> Result<(), DeliveryError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn consumer_that_does_not_answer_holds_up_no_other() {
    let store = Arc::new(MemoryStore::new(Arc::new(PausedClock::default())));
    for _ in 0..3 {
        cancelled(&store).await;
    }
    let recorder = Arc::new(Recorder::default());
    let consumers: [Arc<dyn EventConsumer>; 2] = [Arc::new(Silent), Arc::<Recorder>::clone(&recorder)];
    let began = tokio::time::Instant::now();
    deliver(store.as_ref(), &consumers, "relay").await.unwrap();
    assert_eq!(recorder.seen().len(), 3);
    assert!(began.elapsed() < DELIVERY_LIMIT + Duration::from_secs(1), "{:?}", began.elapsed());
    tokio::time::advance(Duration::from_secs(1)).await;
    let entry = store.lease_entries("relay", 1, LEASE).await.unwrap().entries.remove(0);
    assert_eq!((entry.failures, entry.accepted_by), (1, vec!["recorder".to_owned()]));
}
