//! Tests of what somebody changes in the tables of the audit log, and of the entries of earlier
//! versions.

use std::sync::Arc;

use kastrel_actors::model::{ChainHead, DomainEvent, Principal, SealContent};
use kastrel_actors::policy::audit_chain::{ChainCheck, ChainFault, ChainReport, ChainTrust};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::ports::{SealSigner as _, SystemClock};
use kastrel_actors::service::AuditSealer;
use kastrel_actors::testing::TestSigner;

use super::super::SurrealStore;
use super::super::calls::{self, Nothing};
use super::run;

const SIGNER: TestSigner = TestSigner::new(7);

async fn seal(store: &SurrealStore) -> u64 {
    let sealer = AuditSealer::new(Arc::new(store.clone()), Arc::new(SIGNER), Arc::new(SystemClock), None);
    sealer.seal().await.unwrap()
}

async fn write(store: &SurrealStore, count: usize) {
    for _ in 0..count {
        store.record(DomainEvent::ScansExported, None, &Principal::System).await.unwrap();
    }
}

/// A store with three seals of two entries, and one entry that waits.
async fn sealed() -> SurrealStore {
    let store = SurrealStore::in_memory().await.unwrap();
    for _ in 0..3 {
        write(&store, 2).await;
        assert_eq!(seal(&store).await, 2);
    }
    write(&store, 1).await;
    store
}

async fn report(store: &SurrealStore) -> ChainReport {
    let seals = store.sealing_state().await.unwrap().seals;
    let mut check = ChainCheck::new(TestSigner::check, &[SIGNER.key()], ChainTrust::default());
    let mut after = 0;
    loop {
        let page = store.seals(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.seal.number;
        for SealContent { seal, entries } in page {
            check.seal(seal);
            entries.iter().for_each(|(listed, stored)| check.entry(listed, stored.as_ref()));
        }
    }
    let mut next = None;
    loop {
        let page = store.loose_entries(seals, next, 100).await.unwrap();
        page.entries.iter().for_each(|loose| check.loose(loose));
        match page.next {
            Some(key) => next = Some(key),
            None => return check.finish(seals),
        }
    }
}

async fn change(store: &SurrealStore, sql: &str) {
    calls::execute(&store.inner.db, sql, Nothing {}).await.unwrap();
}

#[test]
fn each_change_of_a_table_is_found() {
    run(async {
        let report = report(&sealed().await).await;
        assert!(report.is_verified(), "{report:?}");
        assert_eq!((report.seals, report.entries, report.waiting), (3, 6, 1));
        // The rows are read newest first, so the row at 1 is the last one of seal 3.
        type Expected = fn(&ChainFault) -> bool;
        let table: [(&str, Expected); 15] = [
            (
                "LET $rows = SELECT VALUE id FROM audit LIMIT 2; LET $row = $rows[1]; UPDATE $row SET event = '{}';",
                |fault| matches!(fault, ChainFault::EntryChanged { seal: 3, .. }),
            ),
            (
                "LET $rows = SELECT VALUE id FROM audit LIMIT 2; LET $row = $rows[1]; UPDATE $row SET principal = 'user:bo';",
                |fault| matches!(fault, ChainFault::EntryChanged { seal: 3, .. }),
            ),
            ("LET $rows = SELECT VALUE id FROM audit LIMIT 2; LET $row = $rows[1]; UPDATE $row SET at = 5;", |fault| {
                matches!(fault, ChainFault::EntryChanged { seal: 3, .. })
            }),
            ("LET $rows = SELECT VALUE id FROM audit LIMIT 2; LET $row = $rows[1]; DELETE $row;", |fault| {
                matches!(fault, ChainFault::EntryMissing { seal: 3, .. })
            }),
            ("CREATE audit:[-5, 'x'] SET at = 5, principal = 'system', event = '{}';", |fault| {
                matches!(fault, ChainFault::EntryInNoSeal { .. })
            }),
            ("CREATE audit:[-5, 'x'] SET at = 5, principal = 'system', event = '{}', seal = 2;", |fault| {
                matches!(fault, ChainFault::EntryInNoSeal { .. })
            }),
            ("CREATE audit:foreign SET at = 5, principal = 'system', event = '{}';", |fault| {
                matches!(fault, ChainFault::EntryInNoSeal { .. })
            }),
            ("CREATE audit:['a', 'b'] SET at = 5, principal = 'system', event = '{}';", |fault| {
                matches!(fault, ChainFault::EntryInNoSeal { .. })
            }),
            (
                "LET $rows = SELECT VALUE id FROM audit LIMIT 2; LET $key = record::id($rows[1]); CREATE type::record('audit', [$key[0], $key[1], 1]) SET at = 5, principal = 'system', event = '{}', seal = 3;",
                |fault| matches!(fault, ChainFault::EntryInNoSeal { .. }),
            ),
            ("DELETE audit_seal:3; UPDATE audit_head:chain SET number = 2;", |fault| {
                matches!(fault, ChainFault::EntryInNoSeal { .. })
            }),
            ("UPDATE audit_seal:2 SET entries = '[]';", |fault| matches!(fault, ChainFault::EntriesDiffer { seal: 2 })),
            ("UPDATE audit_seal:2 SET at = 5;", |fault| matches!(fault, ChainFault::BadSignature { seal: 2 })),
            ("UPDATE audit_seal:2 SET list = 'x';", |fault| {
                matches!(fault, ChainFault::SealsMissing { first: 2, last: 2 })
            }),
            ("DELETE audit_seal:3;", |fault| matches!(fault, ChainFault::SealsMissing { first: 3, last: 3 })),
            (
                "LET $rows = SELECT VALUE id FROM audit WHERE seal = 1; DELETE $rows; UPDATE audit_seal:1 SET entries = NONE, pruned_at = 5; UPDATE audit_head:chain SET pruned = 1;",
                |fault| matches!(fault, ChainFault::PrunedWithoutEntry { seal: 1 }),
            ),
        ];
        for (sql, expected) in table {
            let store = sealed().await;
            change(&store, sql).await;
            let faults = self::report(&store).await.faults;
            assert!(faults.iter().any(expected), "{sql}: {faults:?}");
        }
    });
}

/// An entry that is removed before it is sealed leaves a trace in the table of those that wait.
#[test]
fn entry_that_is_removed_before_its_seal_is_missed_afterwards() {
    run(async {
        let store = sealed().await;
        change(&store, "LET $rows = SELECT VALUE id FROM audit LIMIT 1; DELETE $rows;").await;
        assert_eq!(seal(&store).await, 1);
        let faults = report(&store).await.faults;
        assert!(matches!(&faults[..], [ChainFault::EntryMissing { seal: 4, .. }]), "{faults:?}");
    });
}

/// More entries than one step of the walk visits. They are sealed in the order of time.
#[test]
fn entries_of_an_earlier_version_are_sealed() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        write(&store, 501).await;
        change(&store, "DELETE audit_open; UPDATE audit_head:chain SET walked = false;").await;
        assert!(report(&store).await.is_verified(), "they wait");
        write(&store, 2).await;
        assert_eq!(seal(&store).await, 503);
        let report = report(&store).await;
        assert!(report.is_verified(), "{report:?}");
        assert_eq!((report.seals, report.entries, report.waiting), (2, 503, 0));
        let all: Vec<_> = store
            .seals(0, 9)
            .await
            .unwrap()
            .into_iter()
            .flat_map(|content| content.entries.into_iter().map(|(listed, _)| listed.key))
            .collect();
        assert!(all.is_sorted(), "oldest first");
        write(&store, 1).await;
        assert_eq!(seal(&store).await, 1, "the walk is not repeated");
        assert_ne!(store.unsealed(1).await.unwrap().head, ChainHead::default());
    });
}
