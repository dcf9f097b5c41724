//! The contract of the outbox and of the audit log.

use super::*;
use crate::model::{AuditEntry, AuditPage, AuditQuery, DeliveryBacklog, DomainEvent, OutboxEntry};
use crate::policy::delivery::LEASE;
use crate::ports::store::hooked::Hooked;
use crate::testing::{Fuse, Recorder, Step};

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! outbox_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; outbox;
            an_end_is_delivered_until_it_is_settled
            an_expired_lease_is_given_to_another_relay
            what_fails_for_good_is_kept_and_can_be_sent_again
            an_end_is_counted_once_however_often_it_is_delivered
            only_events_with_a_consumer_wait
            each_command_and_each_end_is_audited
            an_order_to_drain_that_is_kept_is_audited_once
            an_event_that_cannot_be_read_is_leased_apart_and_buried_with_its_text
            a_backlog_counts_what_waits_and_what_was_given_up
            an_end_is_delivered_whichever_step_its_process_dies_at
            audit_log_is_read_in_pages_with_each_filter
            search_of_the_audit_log_stops_and_continues
        }
    };
}

async fn leased<H: StoreHarness>(world: &World<H>, holder: &str) -> Vec<OutboxEntry> {
    world.store.lease_entries(holder, 10, LEASE).await.unwrap().entries
}

async fn actions<H: StoreHarness>(world: &World<H>, scan: Option<ScanId>) -> Vec<(&'static str, Principal)> {
    let query = AuditQuery { scan, ..AuditQuery::newest(100) };
    let mut entries: Vec<AuditEntry> = world.store.audit(&query).await.unwrap().entries;
    entries.reverse();
    entries.iter().map(|entry| (entry.event.action(), entry.principal.clone())).collect()
}

/// Creates a scan that has ended.
async fn ended<H: StoreHarness>(world: &World<H>) -> ScanRecord {
    let scan = world.running("a").await;
    world.committed(scan.id, complete(scan.token)).await
}

/// An entry that is leased is given to nobody else. A settled entry is gone.
pub async fn an_end_is_delivered_until_it_is_settled<H: StoreHarness>(world: World<H>) {
    assert_eq!(leased(&world, "one").await, []);
    let mut writes = world.store.writes();
    writes.mark_unchanged();
    let scan = ended(&world).await;
    assert!(writes.has_changed().unwrap(), "a process sees the entries that it writes");
    let entries = leased(&world, "one").await;
    let key = OutboxKey { scan: scan.id, version: scan.version };
    let (at, project) = (scan.ended_at().unwrap(), scan.project.clone());
    let event = DomainEvent::ScanEnded { status: ScanStatus::Completed, at, project };
    assert_eq!(entries, [OutboxEntry { key, event, failures: 0, accepted_by: vec![] }]);
    assert_eq!(leased(&world, "other").await, [], "it is leased");
    world.store.settle("other", &[key]).await.unwrap();
    world.store.defer("other", key, Duration::ZERO, &[]).await.unwrap();
    world.store.bury("other", key, &[], "no").await.unwrap();
    assert_eq!(world.store.dead_letters(10).await.unwrap(), [], "only the holder decides");
    world.store.defer("one", key, Duration::from_secs(60), &["first".to_owned()]).await.unwrap();
    assert_eq!(leased(&world, "other").await, [], "it waits");
    world.harness.advance(Duration::from_secs(61));
    let entries = leased(&world, "other").await;
    assert_eq!((entries[0].failures, entries[0].accepted_by.clone()), (1, vec!["first".to_owned()]));
    world.store.settle("other", &[key]).await.unwrap();
    world.harness.advance(2 * LEASE);
    assert_eq!(leased(&world, "one").await, []);
}

/// The relay that had it can no longer settle it.
pub async fn an_expired_lease_is_given_to_another_relay<H: StoreHarness>(world: World<H>) {
    ended(&world).await;
    let first = leased(&world, "one").await;
    world.harness.advance(LEASE + Duration::from_secs(1));
    let second = leased(&world, "other").await;
    assert_eq!((first[0].key, second[0].failures), (second[0].key, 0), "a lease that ends is no failed delivery");
    world.store.settle("one", &[first[0].key]).await.unwrap();
    world.harness.advance(LEASE + Duration::from_secs(1));
    assert_eq!(leased(&world, "third").await[0].failures, 0);
}

/// A dead letter has its reason, and is delivered no more until somebody sends it again.
pub async fn what_fails_for_good_is_kept_and_can_be_sent_again<H: StoreHarness>(world: World<H>) {
    let scan = ended(&world).await;
    let entry = leased(&world, "one").await.remove(0);
    world.store.bury("one", entry.key, &["first".to_owned()], "a \"reason\" \0").await.unwrap();
    let letters = world.store.dead_letters(10).await.unwrap();
    assert_eq!(
        (letters.len(), letters[0].key, letters[0].event.as_ref(), letters[0].tries, letters[0].reason.as_str()),
        (1, entry.key, Some(&entry.event), 1, "a \"reason\" \0")
    );
    world.harness.advance(2 * LEASE);
    assert_eq!(leased(&world, "one").await, []);
    let user = Principal::Anonymous;
    assert!(!world.store.resend(OutboxKey { scan: scan.id, version: 99 }, &user).await.unwrap());
    assert!(world.store.resend(entry.key, &user).await.unwrap());
    assert!(!world.store.resend(entry.key, &user).await.unwrap());
    let resent: Vec<_> = world
        .store
        .audit(&AuditQuery::of_scan(scan.id, 9))
        .await
        .unwrap()
        .entries
        .into_iter()
        .filter(|entry| entry.event.action() == "dead_letter_resent")
        .map(|entry| (entry.principal, entry.event))
        .collect();
    let event = DomainEvent::DeadLetterResent { version: entry.key.version };
    assert_eq!(resent, [(user, event)], "a refused command has no entry");
    assert_eq!(world.store.dead_letters(10).await.unwrap(), []);
    let again = leased(&world, "one").await;
    assert_eq!((again[0].key, &again[0].event, again[0].failures), (entry.key, &entry.event, 0));
    assert_eq!(again[0].accepted_by, ["first"], "it is sent to the others only");
}

/// The second delivery of an entry changes no count, not even at the same time.
pub async fn an_end_is_counted_once_however_often_it_is_delivered<H: StoreHarness>(world: World<H>) {
    let (first, second) = (ended(&world).await, ended(&world).await);
    let entries = leased(&world, "one").await;
    assert_eq!(entries.len(), 2);
    world.store.count_outcomes(&entries).await.unwrap();
    world.store.count_outcomes(&entries).await.unwrap();
    let all = |days: Vec<DayOutcomes>| days.iter().map(|day| day.completed).sum::<u64>();
    assert_eq!(all(world.store.outcomes(date(1970, 1, 1), &ProjectFilter::All).await.unwrap()), 2);
    world.store.settle("one", &entries.iter().map(|entry| entry.key).collect::<Vec<_>>()).await.unwrap();
    world.store.count_outcomes(&entries).await.unwrap();
    assert_eq!(
        all(world.store.outcomes(date(1970, 1, 1), &ProjectFilter::All).await.unwrap()),
        2,
        "an entry that is gone is not counted"
    );
    // A deletion may be counted before the end.
    let third = ended(&world).await;
    world.store.delete(third.id, &Principal::System).await.unwrap();
    let mut entries = leased(&world, "one").await;
    assert_eq!(entries.len(), 2);
    entries.reverse();
    for entry in &entries {
        world.store.count_outcomes(std::slice::from_ref(entry)).await.unwrap();
        assert!(all(world.store.outcomes(date(1970, 1, 1), &ProjectFilter::All).await.unwrap()) <= 2);
    }
    for scan in [first, second] {
        world.store.delete(scan.id, &Principal::System).await.unwrap();
    }
    world.harness.advance(2 * LEASE);
    world.deliver().await;
    assert_eq!(world.store.outcomes(date(1970, 1, 1), &ProjectFilter::All).await.unwrap(), []);
}

/// No entry is written that nobody wants.
pub async fn only_events_with_a_consumer_wait<H: StoreHarness>(world: World<H>) {
    let scan = world.running("a").await;
    world.committed(scan.id, cancel()).await;
    world.store.pause(None, &Principal::Anonymous).await.unwrap();
    assert_eq!(leased(&world, "one").await, []);
}

/// The entries are those of the changes, in their order, with who made them. Refused commands and
/// commands without an effect have none.
pub async fn each_command_and_each_end_is_audited<H: StoreHarness>(world: World<H>) {
    let (user, system) = (Principal::Anonymous, Principal::System);
    let by_user = NewScan { submitted_by: user.clone(), ..fixtures::new_scan("example.com") };
    let scan = world.submit(NewScan { idempotency_key: Some("key".into()), ..by_user.clone() }).await;
    assert!(matches!(
        world.store.submit(NewScan { idempotency_key: Some("key".into()), ..by_user }).await.unwrap(),
        Submitted::Existing(_)
    ));
    world.register("a").await;
    let scan = world.committed(scan.id, lease("a")).await;
    let retry = Resolution::Retry { failure: crash(), after: Duration::ZERO };
    world.committed(scan.id, finish(scan.token, retry)).await;
    let scan = world.committed(scan.id, lease("a")).await;
    world.committed(scan.id, cancel()).await;
    world.refused(scan.id, cancel()).await;
    world.committed(scan.id, progress(scan.token, vec![])).await;
    world.committed(scan.id, finish(scan.token, Resolution::Cancel(CancelledBy::User))).await;
    assert!(!world.store.resume(&user).await.unwrap());
    world.store.pause(Some("why".into()), &user).await.unwrap();
    world.store.pause(Some("why".into()), &system).await.unwrap();
    world.store.pause(None, &user).await.unwrap();
    world.store.pause(None, &system).await.unwrap();
    world.store.resume(&user).await.unwrap();
    world.store.order_drain(&node("nobody"), Some(TTL), &user).await.unwrap();
    world.store.order_drain(&node("a"), None, &user).await.unwrap();
    world.store.order_drain(&node("a"), Some(TTL), &user).await.unwrap();
    world.store.order_drain(&node("a"), None, &system).await.unwrap();
    world.store.order_drain(&node("a"), None, &system).await.unwrap();
    world.store.delete(scan.id, &user).await.unwrap();
    let of_scan = [
        ("scan_submitted", user.clone()),
        ("attempt_ended", system.clone()),
        ("cancel_requested", user.clone()),
        ("scan_ended", system.clone()),
        ("scan_deleted", user.clone()),
    ];
    assert_eq!(actions(&world, Some(scan.id)).await, of_scan);
    let of_others = [
        ("queue_paused", user.clone()),
        ("queue_paused", user.clone()),
        ("queue_resumed", user.clone()),
        ("drain_ordered", user.clone()),
        ("drain_revoked", system),
    ];
    let all = [&of_scan[..4], &of_others[..], &of_scan[4..]].concat();
    assert_eq!(actions(&world, None).await, all, "the audit log outlives the scan");
    let newest = world.store.audit(&AuditQuery::newest(1)).await.unwrap().entries;
    assert_eq!((newest.len(), newest[0].scan, newest[0].event.action()), (1, Some(scan.id), "scan_deleted"));
}

/// A node whose row was lost keeps its order to drain, and no second order is in the audit log.
pub async fn an_order_to_drain_that_is_kept_is_audited_once<H: StoreHarness>(world: World<H>) {
    world.register("a").await;
    world.store.order_drain(&node("a"), Some(TTL), &Principal::Anonymous).await.unwrap();
    world.store.keep_drain(&node("a"), 100 * TTL).await.unwrap();
    assert!(world.renew("a").await.unwrap().drain.unwrap() <= TTL, "an order of the row stays");
    world.store.remove(&node("a")).await.unwrap();
    world.store.keep_drain(&node("a"), TTL).await.unwrap();
    assert_eq!(world.register("a").await.drain, None, "there was no row to keep it in");
    world.store.keep_drain(&node("a"), TTL).await.unwrap();
    let drain = world.renew("a").await.unwrap().drain.unwrap();
    assert!(drain <= TTL && drain > TTL / 2, "{drain:?}");
    assert_eq!(actions(&world, None).await, [("drain_ordered", Principal::Anonymous)]);
}

/// Such an event is kept as it is, and blocks no other.
pub async fn an_event_that_cannot_be_read_is_leased_apart_and_buried_with_its_text<H: StoreHarness>(world: World<H>) {
    let (damaged, sound) = (ended(&world).await, ended(&world).await);
    let key = |scan: &ScanRecord| OutboxKey { scan: scan.id, version: scan.version };
    let text = "{\"action\": \"scan_ended\", \"status\": \"\u{1}\"";
    world.harness.overwrite_event(&world.store, key(&damaged), text).await;
    let leased = world.store.lease_entries("one", 10, LEASE).await.unwrap();
    assert_eq!(leased.entries.iter().map(|entry| entry.key).collect::<Vec<_>>(), [key(&sound)]);
    let unreadable = &leased.unreadable[0];
    assert_eq!((leased.len(), unreadable.key, unreadable.failures), (2, key(&damaged), 0));
    world.store.bury("one", key(&damaged), &[], &unreadable.error.to_string()).await.unwrap();
    let letter = world.store.dead_letters(9).await.unwrap().remove(0);
    assert_eq!((letter.key, letter.event, letter.text.as_str()), (key(&damaged), None, text));
    assert_eq!(letter.reason, unreadable.error.to_string());
    world.store.settle("one", &[key(&sound)]).await.unwrap();
    assert!(world.store.resend(key(&damaged), &Principal::System).await.unwrap());
    let again = world.store.lease_entries("one", 10, LEASE).await.unwrap();
    assert_eq!((again.unreadable.len(), again.entries), (1, vec![]), "its text is as it was");
}

/// The age is that of the oldest entry, whether or not it is leased.
pub async fn a_backlog_counts_what_waits_and_what_was_given_up<H: StoreHarness>(world: World<H>) {
    let none = DeliveryBacklog::default();
    assert_eq!(world.store.backlog().await.unwrap(), none);
    ended(&world).await;
    world.harness.advance(Duration::from_secs(100));
    ended(&world).await;
    let waits = world.store.backlog().await.unwrap();
    let oldest = waits.oldest.unwrap();
    assert_eq!((waits.waiting, waits.dead_letters), (2, 0));
    assert!(oldest >= Duration::from_secs(100) && oldest < Duration::from_secs(150), "{oldest:?}");
    let entries = leased(&world, "one").await;
    assert_eq!(world.store.backlog().await.unwrap().waiting, 2);
    world.store.bury("one", entries[0].key, &[], "no").await.unwrap();
    let left = world.store.backlog().await.unwrap();
    assert_eq!((left.waiting, left.dead_letters), (1, 1));
    assert!(left.oldest.unwrap() < Duration::from_secs(50), "{left:?}");
    world.store.settle("one", &[entries[1].key]).await.unwrap();
    assert_eq!(world.store.backlog().await.unwrap(), DeliveryBacklog { dead_letters: 1, ..none });
}

/// A process commits an end and delivers it, and dies at each step of that, before and after its
/// effect: the commit, the lease, each consumer, and the answer to the outbox. Another process
/// opens the store after it. A committed end reaches each consumer, and is counted once.
pub async fn an_end_is_delivered_whichever_step_its_process_dies_at<H: StoreHarness>(world: World<H>) {
    let mut world = world;
    let mut died: BTreeSet<Step> = BTreeSet::new();
    let mut ends = 0;
    // The consumer accepts the entry, fails, or fails for good.
    for refusal in [None, Some(false), Some(true)] {
        for steps in 0.. {
            let scan = world.scan("example.com").await;
            let key = OutboxKey { scan: scan.id, version: scan.version + 1 };
            let (deaths, before) = dies_after(&world, steps, key, refusal).await;
            let is_alive = deaths.is_empty();
            died.extend(deaths);
            let World { harness, store } = world;
            let Ok(store) = Arc::try_unwrap(store) else { panic!("the process that died has no store any more") };
            let store = Arc::new(harness.reopen(store).await);
            world = World { harness, store };
            world.harness.advance(LEASE + Duration::from_secs(1));
            let is_committed = world.get(scan.id).await.status() == ScanStatus::Cancelled;
            ends += u64::from(is_committed);
            let is_delivered = delivered(&world).await.contains(&key) || before.contains(&key);
            assert_eq!(is_delivered, is_committed, "after {steps} steps, {refusal:?}");
            assert_eq!(world.store.backlog().await.unwrap(), DeliveryBacklog::default());
            let counted: u64 = world
                .store
                .outcomes(date(1970, 1, 1), &ProjectFilter::All)
                .await
                .unwrap()
                .iter()
                .map(|day| day.cancelled)
                .sum();
            assert_eq!(counted, ends, "after {steps} steps, {refusal:?}");
            if is_alive {
                break;
            }
        }
    }
    let calls = ["commit", "outbox_lease", "count_outcomes", "deliver", "outbox_settle", "outbox_defer", "outbox_bury"];
    let expected: BTreeSet<Step> = calls.into_iter().flat_map(|call| [(call, false), (call, true)]).collect();
    assert_eq!(died, expected);
}

/// Ends the scan of `key` and delivers its end, in a process that dies after some steps. Returns
/// the step at which it died, and what its consumer has accepted.
async fn dies_after<H: StoreHarness>(
    world: &World<H>,
    steps: usize,
    key: OutboxKey,
    refusal: Option<bool>,
) -> (BTreeSet<Step>, BTreeSet<OutboxKey>) {
    let fuse = Arc::new(Fuse::default());
    fuse.set(steps);
    let recorder = Arc::new(Recorder::mortal(Arc::clone(&fuse)));
    if let Some(is_permanent) = refusal {
        recorder.refuse(key, is_permanent);
    }
    let outbox: Arc<dyn Outbox> = Arc::new(Hooked::new(Arc::clone(&world.store), &fuse));
    let consumers: [Arc<dyn EventConsumer>; 2] =
        [Arc::new(OutcomeCounter::new(Arc::clone(&outbox))), Arc::<Recorder>::clone(&recorder)];
    let process = async {
        fuse.step_around("commit", world.store.apply(key.scan, cancel())).await.unwrap();
        deliver(outbox.as_ref(), &consumers, "dying").await.unwrap();
    };
    tokio::select! {
        biased;
        () = process => {}
        () = fuse.burnt() => {}
    }
    (fuse.died(), recorder.seen().into_keys().collect())
}

/// Delivers everything that waits or was given up, and returns what arrived.
async fn delivered<H: StoreHarness>(world: &World<H>) -> BTreeSet<OutboxKey> {
    for letter in world.store.dead_letters(9).await.unwrap() {
        assert!(world.store.resend(letter.key, &Principal::System).await.unwrap());
    }
    let recorder = Arc::new(Recorder::default());
    let outbox: Arc<dyn Outbox> = Arc::<H::Store>::clone(&world.store);
    let consumers: [Arc<dyn EventConsumer>; 2] =
        [Arc::new(OutcomeCounter::new(Arc::clone(&outbox))), Arc::<Recorder>::clone(&recorder)];
    while deliver(outbox.as_ref(), &consumers, "living").await.unwrap() > 0 {}
    recorder.seen().into_keys().collect()
}

/// Writes entries of two principals, with and without a scan. Some have the same moment in a store
/// whose clock stands still.
async fn entries_of_downloads<H: StoreHarness>(world: &World<H>, count: usize) {
    let ana = Principal::User("ana".parse().unwrap());
    for number in 0..count {
        let event = if number.is_multiple_of(3) { DomainEvent::ScansExported } else { DomainEvent::FilesDownloaded };
        let scan = number.is_multiple_of(2).then_some(ScanId(7));
        if number.is_multiple_of(4) {
            world.harness.advance(Duration::from_secs(1));
        }
        let by = if number.is_multiple_of(5) { &ana } else { &Principal::System };
        world.store.record(event, scan, by).await.unwrap();
    }
}

/// Reads all pages of a query, and counts the partial ones.
async fn all_pages<H: StoreHarness>(world: &World<H>, query: &AuditQuery) -> (Vec<AuditEntry>, usize) {
    let (mut query, mut entries, mut partial) = (query.clone(), Vec::new(), 0);
    loop {
        let page = world.store.audit(&query).await.unwrap();
        assert!(page.entries.len() <= query.limit, "{query:?}");
        partial += usize::from(page.is_partial);
        entries.extend(page.entries);
        match page.next {
            Some(next) => query.before = Some(next),
            None => return (entries, partial),
        }
    }
}

/// Pages of any size have each entry that matches once, newest first.
pub async fn audit_log_is_read_in_pages_with_each_filter<H: StoreHarness>(world: World<H>) {
    entries_of_downloads(&world, 24).await;
    let all = world.store.audit(&AuditQuery::newest(24)).await.unwrap();
    assert_eq!((all.entries.len(), all.next, all.is_partial), (24, None, false), "the page knows that it is the last");
    let all = all.entries;
    assert!(all.windows(2).all(|pair| pair[0].at >= pair[1].at), "newest first");
    let newest = AuditQuery::newest(24);
    let (from, to) = (Some(all[17].at), Some(all[3].at));
    let ana = Some(Principal::User("ana".parse().unwrap()));
    let (scan, action) = (Some(ScanId(7)), Some("scans_exported"));
    for filter in [
        newest.clone(),
        AuditQuery { scan, ..newest.clone() },
        AuditQuery { principal: ana.clone(), ..newest.clone() },
        AuditQuery { action, ..newest.clone() },
        AuditQuery { from, ..newest.clone() },
        AuditQuery { to, ..newest.clone() },
        AuditQuery { from, to, scan, ..newest.clone() },
        AuditQuery { to, scan, principal: ana, action, ..newest.clone() },
    ] {
        let expected: Vec<AuditEntry> = all.iter().filter(|entry| filter.matches(entry)).cloned().collect();
        assert!(!expected.is_empty(), "{filter:?}");
        for limit in [1, 5, 24] {
            let (entries, partial) = all_pages(&world, &AuditQuery { limit, ..filter.clone() }).await;
            assert_eq!((&entries, partial), (&expected, 0), "{limit}: {filter:?}");
        }
    }
    for nothing in [
        AuditQuery { from: to, to: from, ..newest.clone() },
        AuditQuery { from, to: from, ..newest.clone() },
        AuditQuery { scan: Some(ScanId(8)), ..newest.clone() },
        AuditQuery { scan: Some(ScanId(u64::MAX)), ..newest.clone() },
        AuditQuery { action: Some("queue_paused"), ..newest },
    ] {
        assert_eq!(world.store.audit(&nothing).await.unwrap(), AuditPage::default(), "{nothing:?}");
    }
}

/// A page without a match ends after a number of other entries, and the next one continues there.
pub async fn search_of_the_audit_log_stops_and_continues<H: StoreHarness>(world: World<H>) {
    entries_of_downloads(&world, 12).await;
    let rare = AuditQuery { action: Some("queue_paused"), most_skipped: 5, ..AuditQuery::newest(3) };
    let first = world.store.audit(&rare).await.unwrap();
    assert_eq!((first.entries.len(), first.next.is_some(), first.is_partial), (0, true, true));
    assert_eq!(all_pages(&world, &rare).await, (Vec::new(), 2));
    world.store.pause(None, &Principal::System).await.unwrap();
    entries_of_downloads(&world, 7).await;
    let (found, partial) = all_pages(&world, &rare).await;
    assert_eq!((found.len(), found[0].event.action(), partial > 0), (1, "queue_paused", true));
    let of_scan = AuditQuery { scan: Some(ScanId(7)), most_skipped: 2, ..rare };
    assert_eq!(all_pages(&world, &of_scan).await.0, []);
}
