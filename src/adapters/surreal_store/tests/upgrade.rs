//! Tests of the upgrade of the rows of earlier versions: it visits each scan once, and may end at
//! any moment.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use kastrel_actors::model::{
    Command, DayOutcomes, FencingToken, ListQuery, PluginResult, PluginStatus, ProjectFilter, Resolution, ScanId,
    ScanOrder, ScanRecord, Verdict,
};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::fixtures;
use surrealdb::types::Value;

use super::super::calls::{self, Nothing};
use super::super::database::Database;
use super::super::error::CallError;
use super::super::executor::Executor;
use super::super::{SurrealStore, migrate, upgrade};
use super::run;
use super::split::{CREATE, Created, after, at, earlier, earlier_database, finish, numbers};

/// The number of scans: more than one chunk.
const SCANS: u64 = 60;

/// A database whose process dies at one statement: before the statement, or right after its commit.
struct Mortal<'a> {
    db: &'a Database,
    /// A part of the statement, and how many such statements come before.
    at: (&'static str, usize),
    is_committed: bool,
    is_dead: AtomicBool,
    seen: Mutex<Vec<String>>,
}

impl<'a> Mortal<'a> {
    fn new(db: &'a Database, at: (&'static str, usize), is_committed: bool) -> Self {
        Self { db, at, is_committed, is_dead: AtomicBool::new(false), seen: Mutex::default() }
    }

    fn count(&self, part: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|sql| sql.contains(part)).count()
    }
}

#[async_trait]
impl Executor for Mortal<'_> {
    async fn query(&self, sql: String, variables: Value) -> Result<Vec<surrealdb::Result<Value>>, CallError> {
        let before = self.count(self.at.0);
        self.seen.lock().unwrap().push(sql.clone());
        let dies = sql.contains(self.at.0) && before == self.at.1;
        if self.is_dead.load(Ordering::Relaxed) || (dies && !self.is_committed) {
            self.is_dead.store(true, Ordering::Relaxed);
            return Err(CallError::Abandoned);
        }
        let answer = self.db.query(sql, variables).await;
        if dies {
            self.is_dead.store(true, Ordering::Relaxed);
            return Err(CallError::Abandoned);
        }
        answer
    }

    async fn select(&self, namespace: &str, database: &str) -> Result<(), CallError> {
        self.db.select(namespace, database).await
    }
}

/// Every third scan is running, and the others have completed with results.
fn records() -> Vec<ScanRecord> {
    let lease = Command::Lease { node: "a".parse().unwrap() };
    (1..=SCANS)
        .map(|id| {
            let plugins = || {
                let result = |name: &str| PluginResult {
                    findings_count: id,
                    ..PluginResult::new(name, PluginStatus::Completed)
                };
                vec![result("whatweb"), result("nmap")]
            };
            let running = after(&fixtures::record(id, at(0)), &lease, 1);
            if id % 3 == 0 {
                let progress = Command::Progress { token: FencingToken(1), scanner: None, plugins: plugins() };
                return after(&running, &progress, 2);
            }
            let verdict = Verdict { plugins: plugins(), dry_run: false };
            // The second half ends on another day.
            let end = if id > SCANS / 2 { 90_000 } else { 2 };
            after(&running, &finish(Resolution::Complete(verdict), plugins()), end)
        })
        .collect()
}

/// A database of schema 10 with its scans, migrated and not yet upgraded.
async fn migrated(records: &[ScanRecord]) -> Database {
    let db = earlier_database().await;
    for record in records {
        calls::execute(&db, CREATE, Created { row: earlier(record) }).await.unwrap();
    }
    calls::execute(&db, "CREATE counter:scan SET value = 60;", Nothing {}).await.unwrap();
    migrate::run(&db).await.unwrap();
    db
}

/// Everything is there exactly once.
async fn assert_upgraded(db: &Database, records: &[ScanRecord], when: &str) {
    let store = SurrealStore::from_database(db.clone(), None);
    for record in records {
        assert_eq!(store.get(record.id).await.unwrap().as_ref(), Some(record), "{when}");
    }
    let ended: Vec<u64> = records.iter().filter(|scan| scan.ended_at().is_some()).map(|scan| scan.id.0).rev().collect();
    let stats = store.stats(&ProjectFilter::All).await.unwrap();
    assert_eq!((stats.running, stats.completed), (20, 40), "{when}");
    let day = |day: i8| DayOutcomes { day: jiff::civil::date(1970, 1, day), completed: 20, failed: 0, cancelled: 0 };
    assert_eq!(
        store.outcomes(jiff::civil::date(1970, 1, 1), &ProjectFilter::All).await.unwrap(),
        [day(1), day(2)],
        "{when}"
    );
    let all = || ListQuery { limit: 100, ..ListQuery::default() };
    for query in [
        ListQuery { plugin: Some("nmap".into()), ..all() },
        ListQuery { order: ScanOrder::Findings, ..all() },
        ListQuery { statuses: vec![kastrel_actors::model::ScanStatus::Completed], ..all() },
    ] {
        let listed: Vec<u64> = store.list(query.clone()).await.unwrap().scans.iter().map(|scan| scan.id.0).collect();
        assert_eq!(listed, ended, "{when}: {query:?}");
    }
    for (sql, expected) in [
        ("RETURN { numbers: (SELECT VALUE scan FROM plugin_result) };", 120),
        ("RETURN { numbers: (SELECT VALUE number FROM ended WHERE project = 'default') };", 40),
        ("RETURN { numbers: (SELECT VALUE number FROM found WHERE project = 'default') };", 80),
        ("RETURN { numbers: (SELECT VALUE first FROM aim) };", 1),
        ("RETURN { numbers: (SELECT VALUE number FROM scan WHERE document != NONE) };", 0),
        ("RETURN { numbers: (SELECT VALUE upto FROM backfill WHERE id IN [backfill:walked, backfill:moving]) };", 0),
    ] {
        assert_eq!(numbers(db, sql).await.len(), expected, "{when}: {sql}");
    }
}

#[test]
fn upgrade_visits_each_scan_once_and_builds_the_indexes_last() {
    run(async {
        let records = records();
        let db = migrated(&records).await;
        let watched = Mortal::new(&db, ("nothing", 0), false);
        upgrade::upgrade(&watched).await.unwrap();
        assert_upgraded(&db, &records, "without an interruption").await;
        assert_eq!(watched.count("FROM $range"), 2, "one read for each chunk");
        let seen = watched.seen.lock().unwrap().clone();
        let first_index = seen.iter().position(|sql| sql.contains("DEFINE INDEX")).unwrap();
        assert!(seen[first_index..].iter().all(|sql| !sql.contains("$rows") && !sql.contains("$beside")));
        let again = Mortal::new(&db, ("nothing", 0), false);
        upgrade::upgrade(&again).await.unwrap();
        assert_eq!(again.seen.lock().unwrap().len(), 1, "afterwards it costs one read");
    });
}

#[test]
fn upgrade_continues_after_an_end_at_each_statement() {
    run(async {
        let records = records();
        for part in [
            ("FROM $range", 1),
            ("left: array::len", 0),
            ("left: array::len", 1),
            ("$beside", 0),
            ("$beside", 1),
            ("CONCURRENTLY", 0),
            ("CONCURRENTLY", 7),
            ("there are more scans", 0),
        ] {
            for is_committed in [false, true] {
                let db = migrated(&records).await;
                let mortal = Mortal::new(&db, part, is_committed);
                upgrade::upgrade(&mortal).await.unwrap_err();
                upgrade::upgrade(&db).await.unwrap();
                assert_upgraded(&db, &records, &format!("{part:?}, committed: {is_committed}")).await;
            }
        }
    });
}

/// A process that stopped for long continues in a database that others have upgraded, and use.
#[test]
fn process_that_upgrades_late_changes_nothing() {
    run(async {
        let records = records();
        let db = migrated(&records).await;
        let late = upgrade::visit(&db, 1, 50).await.unwrap();
        let starts = (0..3).map(|_| upgrade::upgrade(&db));
        for upgraded in futures_util::future::join_all(starts).await {
            upgraded.unwrap();
        }
        assert_upgraded(&db, &records, "by three at a time").await;
        let store = SurrealStore::from_database(db.clone(), None);
        store.delete(ScanId(1), &kastrel_actors::model::Principal::System).await.unwrap();
        upgrade::write(&db, 0, 50, late).await.unwrap();
        assert_eq!(
            store
                .list(ListQuery { plugin: Some("nmap".into()), limit: 100, ..ListQuery::default() })
                .await
                .unwrap()
                .scans
                .len(),
            39
        );
        assert_eq!(store.outcomes(jiff::civil::date(1970, 1, 1), &ProjectFilter::All).await.unwrap()[0].completed, 20);
        assert_eq!(numbers(&db, "RETURN { numbers: (SELECT VALUE number FROM ended) };").await.len(), 39);
    });
}
