//! Tests of the plugin rows, and of the move of rows of earlier versions.

use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::model::{
    CancelledBy, Command, Deleted, DomainEvent, Failure, FailureKind, FencingToken, ListQuery, OutboxEntry, OutboxKey,
    PluginResult, PluginStatus, Principal, ProjectId, Resolution, ScanId, ScanRecord, ScanState, ScanStatus, Verdict,
};
use kastrel_actors::policy::transition::{Transition, transition};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::ports::{Applied, StoreError};
use kastrel_actors::testing::fixtures;
use serde_json::{Value as Json, json};
use surrealdb::types::SurrealValue;

use super::super::calls::{self, Nothing};
use super::super::database::Database;
use super::super::migrate::{self, STEPS};
use super::super::row::nanoseconds;
use super::super::steps::MIGRATED;
use super::super::{ImportError, SurrealStore, upgrade};
use super::run;
use crate::config::AuthLevel;

const TTL: Duration = Duration::from_secs(3_600);

/// The number of steps before plugins had rows of their own.
const EARLIER: usize = 10;

#[derive(SurrealValue)]
struct Numbers {
    numbers: Vec<i64>,
}

pub(super) async fn numbers(db: &Database, sql: &'static str) -> Vec<i64> {
    calls::call::<Numbers>(db, sql, Nothing {}).await.unwrap().numbers
}

pub(super) async fn earlier_database() -> Database {
    let db = SurrealStore::in_memory().await.unwrap().inner.db.clone();
    migrate::select_database(&db, "test", "test", AuthLevel::Root).await.unwrap();
    migrate::run_steps(&db, &STEPS[..EARLIER]).await.unwrap();
    db
}

#[derive(Clone, SurrealValue)]
pub(super) struct Created {
    pub(super) row: EarlierRow,
}

/// The row of a scan as the earlier schema held it.
#[derive(Clone, SurrealValue)]
pub(super) struct EarlierRow {
    number: i64,
    status: String,
    version: i64,
    token: i64,
    node: Option<String>,
    leased_at: Option<i64>,
    document: String,
}

/// The statement with which processes of the earlier version create a row.
pub(super) const CREATE: &str = "
    CREATE type::record('scan', $row.number) SET
        number = $row.number, status = $row.status, target = 'example.com', mode = 'passive', created_at = 0, version = $row.version, token = $row.token, failures = 0,
        trace = 'x', node = $row.node, cancel = false, leased_at = $row.leased_at, document = $row.document RETURN NONE;";

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn after(record: &ScanRecord, command: &Command, now: i64) -> ScanRecord {
    match transition(record, command, at(now)) {
        Transition::Changed(next) => *next,
        Transition::Refused(refusal) => panic!("{command:?}: {refusal}"),
    }
}

pub(super) fn plugins(number: usize) -> Vec<PluginResult> {
    (0..number)
        .map(|one| PluginResult {
            findings_count: one as u64,
            message: Some("\0".into()),
            ..PluginResult::new(format!("plugin-{one}"), PluginStatus::Completed)
        })
        .collect()
}

/// The document of the earlier version: a completed scan has its plugins in its verdict as well.
fn document(record: &ScanRecord) -> String {
    let mut document = serde_json::to_value(record).unwrap();
    let verdict = json!({ "plugins": record.plugins, "dry_run": false });
    if let (ScanState::Completed { .. }, Some(state)) = (&record.state, document["state"].as_object_mut()) {
        state.remove("summary");
        state.insert("verdict".into(), verdict.clone());
    }
    for attempt in document["attempts"].as_array_mut().unwrap() {
        if attempt["end"]["end"] == "completed" {
            attempt["end"] = verdict.clone();
            attempt["end"]["end"] = Json::from("completed");
        }
    }
    document.to_string()
}

pub(super) fn earlier(record: &ScanRecord) -> EarlierRow {
    EarlierRow {
        number: i64::try_from(record.id.0).unwrap(),
        status: record.status().as_str().to_owned(),
        version: i64::try_from(record.version).unwrap(),
        token: i64::try_from(record.token.0).unwrap(),
        node: match &record.state {
            ScanState::Running { node, .. } => Some(node.to_string()),
            _ => None,
        },
        leased_at: None,
        document: document(record),
    }
}

pub(super) fn finish(resolution: Resolution, plugins: Vec<PluginResult>) -> Command {
    Command::Finish { token: FencingToken(1), resolution, plugins: Some(plugins) }
}

/// A scan in each state, and its earlier row.
fn each_state() -> Vec<(ScanRecord, EarlierRow)> {
    let lease = Command::Lease { node: "a".parse().unwrap() };
    let scan = |id| fixtures::record(id, at(0));
    let leased = |id| after(&scan(id), &lease, 1);
    let crash = || Failure::new(FailureKind::Crashed, "x");
    let progress = Command::Progress { token: FencingToken(1), scanner: None, plugins: plugins(2) };
    let verdict = Verdict { plugins: plugins(3), dry_run: false };
    let retry = Resolution::Retry { failure: crash(), after: Duration::from_secs(8) };
    let mut all: Vec<(ScanRecord, EarlierRow)> = [
        scan(1),
        after(&leased(2), &progress, 2),
        after(&leased(3), &finish(Resolution::Complete(verdict), plugins(3)), 2),
        after(&leased(4), &finish(Resolution::Fail(crash()), plugins(1)), 2),
        after(&leased(5), &finish(retry, plugins(2)), 2),
    ]
    .into_iter()
    .map(|record| (record.clone(), earlier(&record)))
    .collect();
    // Leased, and not written since: the document is the one from before the lease.
    let row = EarlierRow { document: document(&scan(6)), leased_at: Some(nanoseconds(at(1))), ..earlier(&leased(6)) };
    all.push((leased(6), row));
    all
}

#[test]
fn rows_of_an_earlier_version_are_moved_once() {
    run(async {
        let db = earlier_database().await;
        let all = each_state();
        for (_, row) in &all {
            calls::execute(&db, CREATE, Created { row: row.clone() }).await.unwrap();
        }
        let others = "
            CREATE counter:scan SET value = 7; CREATE pause:queue SET since = 5, reason = 'upgrade';
            CREATE scan:7 SET number = 7, status = 'failed', target = 'x', mode = 'passive', created_at = 0, version = 0, token = 0, failures = 0, trace = 'x',
                cancel = false, document = '{}';";
        calls::execute(&db, others, Nothing {}).await.unwrap();
        migrate::run(&db).await.unwrap();
        let store = SurrealStore::from_database(db.clone(), None);
        for _ in 0..2 {
            upgrade::run(&db).await.unwrap();
            for (record, _) in &all {
                assert_eq!(store.get(record.id).await.unwrap().as_ref(), Some(record));
            }
            assert_eq!(
                numbers(&db, "RETURN { numbers: (SELECT VALUE scan * 10 + ordinal FROM plugin_result) };").await,
                [20, 21, 30, 31, 32, 40, 50, 51]
            );
        }
        assert_eq!(
            numbers(
                &db,
                "RETURN { numbers: (SELECT VALUE number FROM scan WHERE document != NONE OR leased_at != NONE) };"
            )
            .await,
            [0; 0]
        );
        let page = store.list(ListQuery::default()).await.unwrap();
        assert_eq!((page.scans.len(), page.unreadable), (6, vec![ScanId(7)]));
        let listed: Vec<PluginResult> = plugins(3).iter().map(PluginResult::listed).collect();
        assert_eq!(page.scans[3].plugins, listed);
        assert_eq!(store.paused().await.unwrap().unwrap().since, Timestamp::from_nanosecond(5).unwrap());
    });
}

/// A row that another process has moved already, and has changed since, is not moved again.
#[test]
fn interrupted_move_continues_and_overwrites_nothing() {
    run(async {
        let db = earlier_database().await;
        let lease = Command::Lease { node: "a".parse().unwrap() };
        let progress = Command::Progress { token: FencingToken(1), scanner: None, plugins: plugins(2) };
        for id in 1..=120 {
            let running = after(&after(&fixtures::record(id, at(0)), &lease, 1), &progress, 2);
            calls::execute(&db, CREATE, Created { row: earlier(&running) }).await.unwrap();
        }
        calls::execute(&db, "CREATE counter:scan SET value = 120;", Nothing {}).await.unwrap();
        migrate::run(&db).await.unwrap();
        // The first chunk is moved, and the process ends before it notes that.
        upgrade::visit(&db, 1, 50).await.unwrap();
        let store = SurrealStore::from_database(db.clone(), None);
        let more = Command::Progress { token: FencingToken(1), scanner: None, plugins: plugins(4) };
        let Applied::Committed(changed) = store.apply(ScanId(7), more).await.unwrap() else { panic!() };
        let starts = (0..3).map(|_| upgrade::run(&db));
        for moved in futures_util::future::join_all(starts).await {
            moved.unwrap();
        }
        assert_eq!(store.get(ScanId(7)).await.unwrap(), Some(changed));
        for id in [1, 50, 51, 120] {
            assert_eq!(store.get(ScanId(id)).await.unwrap().unwrap().plugins, plugins(2), "{id}");
        }
        assert_eq!(numbers(&db, "RETURN { numbers: (SELECT VALUE scan FROM plugin_result) };").await.len(), 242);
    });
}

/// The statements with which processes of the earlier version write.
#[test]
fn process_of_an_earlier_version_cannot_write() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        store.register(fixtures::registration("a"), TTL).await.unwrap();
        store.submit(fixtures::new_scan("example.com")).await.unwrap();
        store.submit(fixtures::new_scan("example.com")).await.unwrap();
        store.apply(ScanId(2), Command::Lease { node: "a".parse().unwrap() }).await.unwrap();
        let db = &store.inner.db;
        let before = (store.get(ScanId(1)).await.unwrap(), store.get(ScanId(2)).await.unwrap());
        for (what, sql) in [
            (
                "a submission",
                "CREATE scan:9 SET number = 9, status = 'pending', target = 'x', mode = 'passive', created_at = 0, version = 0, token = 0, failures = 0,
                    trace = 'x', rank = 1, due = 0, node = NONE, cancel = false, document = '{}' RETURN NONE;",
            ),
            (
                "a lease",
                "UPDATE scan:1 SET status = 'running', version += 1, token += 1, rank = NONE, due = NONE, node = 'b', leased_at = 1, lease = 'b'
                    WHERE status = 'pending' RETURN NONE;",
            ),
            (
                "a change",
                "UPDATE scan:2 SET status = 'failed', version = 2, token = 1, failures = 1, rank = NONE, due = NONE, node = NONE, cancel = false,
                    document = '{}', leased_at = NONE, lease = NONE WHERE version = 1 RETURN VALUE version;",
            ),
            ("a new node", "UPSERT node:b SET name = 'b', expires_at = 9, ttl = 9, registration = '{}';"),
            ("a renewal", "UPDATE node:a SET expires_at = 9, ttl = 9, registration = '{}';"),
            ("a pause", "UPSERT pause:queue SET since = 5, reason = 'x' RETURN NONE;"),
            ("a turn", "UPSERT look:cluster SET next = 5, holder = 'b' RETURN NONE;"),
        ] {
            let error = calls::execute(db, format!("BEGIN; {sql} COMMIT;"), Nothing {}).await.unwrap_err();
            let text = format!("{error:?}");
            assert!(text.contains("migrated by a newer version of Kastrel"), "{what}: {text}");
        }
        assert_eq!((store.get(ScanId(1)).await.unwrap(), store.get(ScanId(2)).await.unwrap()), before);
        assert_eq!(store.paused().await.unwrap(), None);
    });
}

/// A newer program has migrated the database while this one is connected: each write fails, and the
/// readiness check says so.
#[test]
fn process_cannot_write_after_a_newer_one_has_migrated() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        let node = "a".parse().unwrap();
        store.register(fixtures::registration("a"), TTL).await.unwrap();
        for _ in 0..3 {
            store.submit(fixtures::new_scan("example.com")).await.unwrap();
        }
        store.apply(ScanId(2), Command::Lease { node }).await.unwrap();
        store.apply(ScanId(3), Command::Cancel { by: CancelledBy::User, principal: Principal::System }).await.unwrap();
        let before = store.list(ListQuery::default()).await.unwrap();
        let newer = format!(
            "CREATE migration:{} SET version = 99, checksum = 'x', applied_at = time::now();",
            SurrealStore::schema_version() + 1
        );
        calls::execute(&store.inner.db, newer, Nothing {}).await.unwrap();
        let lease = Command::Lease { node: "a".parse().unwrap() };
        let progress = Command::Progress { token: FencingToken(1), scanner: None, plugins: plugins(1) };
        let every = Duration::from_secs(1);
        let entry = OutboxKey { scan: ScanId(3), version: 1 };
        let counted = OutboxEntry {
            key: entry,
            event: DomainEvent::ScanDeleted { status: ScanStatus::Cancelled, at: at(0), project: ProjectId::default() },
            failures: 0,
            accepted_by: Vec::new(),
        };
        for (what, refused) in [
            ("ping", store.ping().await.unwrap_err()),
            ("submit", store.submit(fixtures::new_scan("example.com")).await.unwrap_err()),
            ("lease", store.apply(ScanId(1), lease).await.unwrap_err()),
            ("progress", store.apply(ScanId(2), progress).await.unwrap_err()),
            (
                "finish",
                store.apply(ScanId(2), finish(Resolution::Complete(Verdict::default()), vec![])).await.unwrap_err(),
            ),
            ("delete", store.delete(ScanId(3), &Principal::System).await.unwrap_err()),
            ("register", store.register(fixtures::registration("b"), TTL).await.unwrap_err()),
            ("renew", store.renew(fixtures::registration("a"), TTL).await.unwrap_err()),
            ("remove", store.remove(&"a".parse().unwrap()).await.unwrap_err()),
            ("end others", store.end_others(&"b".parse().unwrap()).await.unwrap_err()),
            ("drain", store.order_drain(&"a".parse().unwrap(), Some(every), &Principal::System).await.unwrap_err()),
            ("keep drain", store.keep_drain(&"a".parse().unwrap(), every).await.unwrap_err()),
            ("pause", store.pause(None, &Principal::System).await.unwrap_err()),
            ("resume", store.resume(&Principal::System).await.unwrap_err()),
            ("turn", store.claim_turn(&"a".parse().unwrap(), every).await.unwrap_err()),
            ("orphans", store.orphans().await.unwrap_err()),
            ("lease of events", store.lease_entries("relay", 9, every).await.unwrap_err()),
            ("settle", store.settle("relay", &[entry]).await.unwrap_err()),
            ("defer", store.defer("relay", entry, every, &[]).await.unwrap_err()),
            ("bury", store.bury("relay", entry, &[], "x").await.unwrap_err()),
            ("resend", store.resend(entry, &Principal::System).await.unwrap_err()),
            ("count", store.count_outcomes(&[counted]).await.unwrap_err()),
        ] {
            assert!(matches!(refused, StoreError::Outdated), "{what}: {refused:?}");
        }
        assert_eq!(store.list(ListQuery::default()).await.unwrap(), before);
        // What a start writes.
        let db = &store.inner.db;
        let tidied = migrate::tidy(db).await.unwrap_err();
        assert!(format!("{tidied:?}").contains(MIGRATED), "{tidied:?}");
        calls::execute(db, "DELETE backfill;", Nothing {}).await.unwrap();
        let upgraded = upgrade::upgrade(db).await.unwrap_err();
        assert!(matches!(upgraded, StoreError::Outdated), "{upgraded:?}");
        let restored = store.begin_import().await.unwrap_err();
        assert!(matches!(restored, ImportError::Store(StoreError::Outdated)), "{restored:?}");
    });
}

#[test]
fn progress_writes_only_the_plugins_that_changed() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        store.register(fixtures::registration("a"), TTL).await.unwrap();
        let id = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let db = &store.inner.db;
        let event =
            "DEFINE EVENT written ON plugin_result THEN { UPSERT counter:written SET value = (value ?? 0) + 1 };";
        calls::execute(db, event, Nothing {}).await.unwrap();
        store.apply(id, Command::Lease { node: "a".parse().unwrap() }).await.unwrap();
        let mut now = plugins(20);
        let progress = |plugins: &[PluginResult]| Command::Progress {
            token: FencingToken(1),
            scanner: None,
            plugins: plugins.to_vec(),
        };
        for expected in [20, 21, 22, 22] {
            let Applied::Committed(row) = store.apply(id, progress(&now)).await.unwrap() else { panic!() };
            assert_eq!(store.get(id).await.unwrap(), Some(row));
            assert_eq!(numbers(db, "RETURN { numbers: [counter:written.value] };").await, [expected]);
            if expected < 22 {
                now[7].findings_count += 100;
            }
        }
        // The end of the attempt has fewer plugins.
        let end = finish(Resolution::Complete(Verdict { plugins: plugins(3), dry_run: false }), plugins(3));
        let Applied::Committed(ended) = store.apply(id, end).await.unwrap() else { panic!() };
        assert_eq!((ended.plugins.len(), store.get(id).await.unwrap()), (3, Some(ended)));
        let left = "RETURN { numbers: (SELECT VALUE ordinal FROM plugin_result) };";
        assert_eq!(numbers(db, left).await, [0, 1, 2]);
        assert!(matches!(store.delete(id, &Principal::System).await.unwrap(), Deleted::Gone(_)));
        assert_eq!(numbers(db, left).await, [0; 0]);
    });
}
