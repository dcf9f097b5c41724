//! The contract of the chain of the audit log.

use super::*;
use crate::model::{
    AuditQuery, ChainHead, EntryKey, LooseEntry, Pruning, Seal, SealContent, SealedEntry, SealingState,
};
use crate::policy::audit_chain::{ChainCheck, ChainReport, ChainTrust, seal_digest, seal_of};
use crate::ports::SealSigner as _;
use crate::testing::TestSigner;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! audit_chain_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; audit_chain;
            each_entry_waits_until_it_is_sealed
            of_two_seals_that_meet_one_is_added
            seals_are_read_in_their_order_with_their_entries
            entries_that_are_not_sealed_are_found_page_by_page
            keys_are_kept_in_their_order
            oldest_entries_are_pruned_and_the_chain_verifies_on
            chain_outlives_its_process
        }
    };
}

const SIGNER: TestSigner = TestSigner::new(7);

/// Writes some entries of the audit log, each at another time.
async fn write<H: StoreHarness>(world: &World<H>, count: usize) {
    for number in 0..count {
        world.harness.advance(Duration::from_millis(10));
        world.store.pause(Some(format!("reason {number}")), &Principal::Anonymous).await.unwrap();
        world.harness.advance(Duration::from_millis(10));
        world.store.resume(&Principal::System).await.unwrap();
    }
}

async fn next_seal<H: StoreHarness>(world: &World<H>, limit: usize) -> (Seal, Vec<SealedEntry>) {
    let unsealed = world.store.unsealed(limit).await.unwrap();
    let at = unsealed.entries.last().unwrap().key.at;
    seal_of(&unsealed.head, &unsealed.entries, at, SIGNER.key().id(), |bytes| SIGNER.sign(bytes)).unwrap()
}

/// Seals up to this many entries.
async fn seal<H: StoreHarness>(world: &World<H>, limit: usize) -> Seal {
    let (seal, entries) = next_seal(world, limit).await;
    assert!(world.store.add_seal(&seal, &entries).await.unwrap());
    seal
}

async fn content<H: StoreHarness>(world: &World<H>) -> Vec<SealContent> {
    let mut all: Vec<SealContent> = Vec::new();
    loop {
        let after = all.last().map_or(0, |content| content.seal.number);
        let page = world.store.seals(after, 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

async fn loose<H: StoreHarness>(world: &World<H>, upto: u64) -> Vec<LooseEntry> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = world.store.loose_entries(upto, after, 2).await.unwrap();
        assert!(page.entries.len() <= 2);
        all.extend(page.entries);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

async fn report<H: StoreHarness>(world: &World<H>) -> ChainReport {
    let mut check = ChainCheck::new(TestSigner::check, &[SIGNER.key()], ChainTrust::default());
    let mut last = 0;
    for SealContent { seal, entries } in content(world).await {
        last = seal.number;
        check.seal(seal);
        for (listed, stored) in entries {
            check.entry(&listed, stored.as_ref());
        }
    }
    for entry in loose(world, last).await {
        check.loose(&entry);
    }
    check.finish(world.store.sealing_state().await.unwrap().seals)
}

/// The oldest come first, whatever wrote them. A sealed entry waits no more.
pub async fn each_entry_waits_until_it_is_sealed<H: StoreHarness>(world: World<H>) {
    let none = world.store.unsealed(10).await.unwrap();
    assert_eq!((none.head, none.entries), (ChainHead::default(), vec![]));
    assert_eq!(world.store.sealing_state().await.unwrap(), SealingState::default());
    world.scan("example.com").await;
    write(&world, 1).await;
    let unsealed = world.store.unsealed(10).await.unwrap();
    let texts: Vec<&str> = unsealed.entries.iter().map(|entry| entry.event.as_str()).collect();
    assert_eq!(
        texts,
        [
            r#"{"action":"scan_submitted"}"#,
            r#"{"action":"queue_paused","reason":"reason 0"}"#,
            r#"{"action":"queue_resumed"}"#
        ]
    );
    let who: Vec<(&str, Option<i64>)> =
        unsealed.entries.iter().map(|entry| (entry.principal.as_str(), entry.scan)).collect();
    assert_eq!(who[1..], [("anonymous", None), ("system", None)]);
    assert_eq!(who[0].1, Some(1));
    assert_eq!(world.store.unsealed(2).await.unwrap().entries, unsealed.entries[..2]);
    let state = world.store.sealing_state().await.unwrap();
    assert_eq!((state.seals, state.waiting, state.oldest), (0, 3, Some(unsealed.entries[0].key.at)));
    let seal = seal(&world, 2).await;
    let after = world.store.unsealed(10).await.unwrap();
    assert_eq!(after.head, ChainHead { number: 1, digest: seal_digest(&seal), pruned: 0 });
    assert_eq!(after.entries, unsealed.entries[2..]);
    let state = world.store.sealing_state().await.unwrap();
    assert_eq!((state.seals, state.waiting), (1, 1));
}

/// A seal that is added again, after a lost answer, is there once.
pub async fn of_two_seals_that_meet_one_is_added<H: StoreHarness>(world: World<H>) {
    write(&world, 2).await;
    let (one, its) = next_seal(&world, 3).await;
    let (other, others) = next_seal(&world, 4).await;
    assert!(world.store.add_seal(&one, &its).await.unwrap());
    assert!(!world.store.add_seal(&other, &others).await.unwrap());
    assert!(world.store.add_seal(&one, &its).await.unwrap(), "it is there already");
    assert_eq!(content(&world).await.len(), 1);
    let (next, entries) = next_seal(&world, 4).await;
    assert_eq!((next.number, next.count), (2, 1));
    let both =
        futures_util::future::join_all([world.store.add_seal(&next, &entries), world.store.add_seal(&other, &others)]);
    let both: Vec<bool> = both.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(both, [true, false]);
    assert!(report(&world).await.is_verified());
}

/// Also those that were sealed later than newer ones.
pub async fn seals_are_read_in_their_order_with_their_entries<H: StoreHarness>(world: World<H>) {
    let mut expected = Vec::new();
    for number in 1..=3 {
        write(&world, 1).await;
        let entries = world.store.unsealed(9).await.unwrap().entries;
        let seal = seal(&world, 9).await;
        assert_eq!((seal.number, seal.count), (number, 2));
        expected.push((seal, entries));
    }
    world.harness.set_back(Duration::from_secs(5));
    write(&world, 1).await;
    let entries = world.store.unsealed(9).await.unwrap().entries;
    expected.push((seal(&world, 9).await, entries));
    let found: Vec<(Seal, Vec<_>)> = content(&world)
        .await
        .into_iter()
        .map(|content| (content.seal, content.entries.into_iter().map(|(_, stored)| stored.unwrap()).collect()))
        .collect();
    assert_eq!(found, expected);
    let report = report(&world).await;
    assert!(report.is_verified(), "{report:?}");
    assert_eq!((report.seals, report.entries, report.waiting), (4, 8, 0));
}

/// A reader that stops at a seal counts the entries of later seals as not sealed.
pub async fn entries_that_are_not_sealed_are_found_page_by_page<H: StoreHarness>(world: World<H>) {
    write(&world, 2).await;
    seal(&world, 9).await;
    write(&world, 1).await;
    seal(&world, 9).await;
    write(&world, 2).await;
    let waiting = world.store.unsealed(9).await.unwrap().entries;
    let found = loose(&world, 2).await;
    assert!(found.iter().all(|entry| entry.waits));
    let mut keys: Vec<EntryKey> = found.into_iter().map(|entry| entry.entry.key).collect();
    keys.reverse();
    assert_eq!(keys, waiting.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>(), "newest first");
    assert_eq!((loose(&world, 1).await.len(), loose(&world, 0).await.len()), (6, 10));
    let report = report(&world).await;
    assert_eq!((report.is_verified(), report.waiting), (true, 4));
}

/// A key that is added again keeps its place.
pub async fn keys_are_kept_in_their_order<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.store.seal_keys().await.unwrap(), []);
    let keys = [9, 3, 5].map(|byte| TestSigner::new(byte).key());
    for (second, key) in [(1, keys[0]), (2, keys[1]), (3, keys[0]), (4, keys[2])] {
        world.store.add_seal_key(&key, jiff::Timestamp::from_second(second).unwrap()).await.unwrap();
    }
    assert_eq!(world.store.seal_keys().await.unwrap(), keys);
}

/// The seals stay, an entry of the log says what was pruned, and a repeated call does nothing.
pub async fn oldest_entries_are_pruned_and_the_chain_verifies_on<H: StoreHarness>(world: World<H>) {
    let mut seals = Vec::new();
    for _ in 0..3 {
        write(&world, 1).await;
        seals.push(seal(&world, 9).await);
    }
    assert_eq!(world.store.oldest_seals(2).await.unwrap(), seals[..2]);
    let pruning = Pruning { after: 0, through: 2, count: 4, at: seals[2].at };
    assert!(world.store.prune_entries(&pruning).await.unwrap());
    assert!(world.store.prune_entries(&pruning).await.unwrap(), "it has happened");
    assert!(!world.store.prune_entries(&Pruning { through: 1, ..pruning.clone() }).await.unwrap());
    assert_eq!(world.store.oldest_seals(9).await.unwrap(), seals[2..]);
    let audit = world.store.audit(&AuditQuery::newest(99)).await.unwrap().entries;
    let actions: Vec<&str> = audit.iter().map(|entry| entry.event.action()).collect();
    assert_eq!(actions, ["audit_pruned", "queue_resumed", "queue_paused"]);
    assert_eq!(serde_json::to_value(&audit[0].event).unwrap()["through"], 2);
    let found = content(&world).await;
    assert_eq!(found.iter().map(|content| content.entries.len()).collect::<Vec<_>>(), [0, 0, 2]);
    assert_eq!(found[0].seal, Seal { pruned_at: Some(seals[2].at), ..seals[0].clone() });
    let head = world.store.unsealed(9).await.unwrap().head;
    assert_eq!((head.number, head.pruned), (3, 2));
    for expected in [(3, 2, 2, 1), (4, 2, 3, 0)] {
        let report = report(&world).await;
        assert!(report.is_verified(), "{report:?}");
        assert_eq!((report.seals, report.pruned, report.entries, report.waiting), expected);
        if expected.3 > 0 {
            seal(&world, 9).await;
        }
    }
}

/// A chain continues where it was.
pub async fn chain_outlives_its_process<H: StoreHarness>(world: World<H>) {
    write(&world, 1).await;
    let first = seal(&world, 1).await;
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("the process has ended") };
    let store = Arc::new(harness.reopen(store).await);
    let world = World { harness, store };
    let second = seal(&world, 9).await;
    assert_eq!((second.number, second.count, second.previous), (2, 1, seal_digest(&first)));
    let report = report(&world).await;
    assert_eq!((report.is_verified(), report.entries), (true, 2));
}
