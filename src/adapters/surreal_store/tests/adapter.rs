//! Tests of behaviour that only this adapter has.

use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{
    Command, Deleted, Failure, FailureKind, IssueRef, ListQuery, NewScan, PluginResult, PluginStatus, ProjectFilter,
    ProjectId, Resolution, ScanId, ScanOrder, ScanStatus, Severity, Verdict,
};
use kastrel_actors::policy::transition::{Transition, transition};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::ports::{Applied, StoreError};
use kastrel_actors::testing::fixtures;
use surrealdb::types::{RecordId, SurrealValue, Value};
use tempfile::TempDir;

use super::super::apply::was_made;
use super::super::calls::{self, Nothing};
use super::super::database::Database;
use super::super::executor::Executor as _;
use super::super::migrate::{self, STEPS, Step};
use super::super::row::{MAX_DOCUMENT_BYTES, text_key};
use super::super::{OpenError, SurrealStore};
use super::super::{before_migration, upgrade};
use super::run;
use crate::backup::BackupFolder;
use crate::config::AuthLevel;

async fn memory() -> Database {
    let db = SurrealStore::in_memory().await.unwrap().inner.db.clone();
    migrate::select_database(&db, "test", "test", AuthLevel::Root).await.unwrap();
    db
}

#[derive(SurrealValue)]
struct Numbers {
    numbers: Vec<i64>,
}

async fn numbers(db: &Database, sql: &'static str) -> Vec<i64> {
    calls::call::<Numbers>(db, sql, Nothing {}).await.unwrap().numbers
}

/// Runs `before` like the opening of an embedded database.
async fn run_before(db: &Database, before: &BackupFolder) -> Result<(), OpenError> {
    let Some(schema) = migrate::outdated(db).await? else { return Ok(()) };
    before_migration::run(db.clone(), schema, before).await
}

const TTL: Duration = Duration::from_secs(30);

#[test]
fn a_folder_is_opened_once_and_names_its_holder() {
    run(async {
        let folder = TempDir::new().unwrap();
        let store = SurrealStore::open(folder.path()).await.unwrap();
        match SurrealStore::open(folder.path()).await {
            Err(OpenError::Locked { folder: locked, pid }) => {
                assert_eq!((locked.as_path(), pid), (folder.path(), Some(std::process::id())));
            }
            other => panic!("{other:?}"),
        }
        store.ping().await.unwrap();
        drop(store);
        SurrealStore::open(folder.path()).await.unwrap().ping().await.unwrap();
    });
}

/// The database of an earlier version has no additional rows. Opening it creates them once.
#[test]
fn missing_rows_of_an_earlier_version_are_created_once() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        store.register(fixtures::registration("a"), TTL).await.unwrap();
        for (target, findings) in [("a.test", 3), ("b.test", 0)] {
            let id = store.submit(fixtures::new_scan(target)).await.unwrap().into_record().id;
            let Applied::Committed(record) =
                store.apply(id, Command::Lease { node: "a".parse().unwrap() }).await.unwrap()
            else {
                panic!()
            };
            let plugin =
                PluginResult { findings_count: findings, ..PluginResult::new("whatweb", PluginStatus::Completed) };
            let verdict = Verdict { plugins: vec![plugin], dry_run: false };
            store
                .apply(
                    id,
                    Command::Finish { token: record.token, resolution: Resolution::Complete(verdict), plugins: None },
                )
                .await
                .unwrap();
        }
        store.submit(fixtures::new_scan("c.test")).await.unwrap();
        let since = jiff::civil::date(1970, 1, 1);
        super::deliver(&store).await;
        let (days, runs) = (
            store.outcomes(since, &ProjectFilter::All).await.unwrap(),
            store.past_runs(None, &ProjectFilter::All, 9).await.unwrap(),
        );
        assert_eq!((days[0].completed, runs.len()), (2, 2));
        let db = &store.inner.db;
        calls::execute(db, "DELETE ended; DELETE found; DELETE day; DELETE aim; DELETE backfill;", Nothing {})
            .await
            .unwrap();
        assert_eq!(store.past_runs(None, &ProjectFilter::All, 9).await.unwrap(), []);
        for _ in 0..2 {
            upgrade::run(db).await.unwrap();
            assert_eq!(
                (
                    store.outcomes(since, &ProjectFilter::All).await.unwrap(),
                    store.past_runs(None, &ProjectFilter::All, 9).await.unwrap()
                ),
                (days.clone(), runs.clone())
            );
        }
        let listed = async |query: ListQuery| {
            store.list(query).await.unwrap().scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>()
        };
        assert_eq!(listed(ListQuery { plugin: Some("whatweb".into()), ..ListQuery::default() }).await, [1]);
        assert_eq!(listed(ListQuery { order: ScanOrder::Target, ..ListQuery::default() }).await, [1, 2, 3]);
        assert!(matches!(
            store.delete(ScanId(1), &kastrel_actors::model::Principal::System).await.unwrap(),
            Deleted::Gone(_)
        ));
        super::deliver(&store).await;
        assert_eq!(
            store.outcomes(since, &ProjectFilter::All).await.unwrap()[0].completed,
            1,
            "a filled in scan is deleted like any other"
        );
    });
}

/// The database of the version before severities has additional rows. Opening it adds only the
/// missing data, and counts no day twice.
#[test]
fn severities_of_scans_of_an_earlier_version_are_filled_in_once() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        store.register(fixtures::registration("a"), TTL).await.unwrap();
        for (target, severity) in [("a.test", Severity::Low), ("b.test", Severity::High)] {
            let id = store.submit(fixtures::new_scan(target)).await.unwrap().into_record().id;
            let Applied::Committed(record) =
                store.apply(id, Command::Lease { node: "a".parse().unwrap() }).await.unwrap()
            else {
                panic!()
            };
            let issue = IssueRef { id: "x".into(), severity, title: String::new() };
            let plugins = vec![PluginResult::new("whatweb", PluginStatus::Completed).with_issues([issue])];
            let end = Resolution::Complete(Verdict { plugins, dry_run: false });
            store.apply(id, Command::Finish { token: record.token, resolution: end, plugins: None }).await.unwrap();
        }
        let db = &store.inner.db;
        calls::execute(
            db,
            "UPDATE ended SET worst = NONE, severity = NONE; DELETE backfill:severity; DELETE backfill:results; DELETE backfill:ranks;",
            Nothing {},
        )
        .await
        .unwrap();
        let listed = async |query: ListQuery| {
            store.list(query).await.unwrap().scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>()
        };
        let worst = || ListQuery { order: ScanOrder::Worst, ..ListQuery::default() };
        let severe = || ListQuery { min_severity: Some(Severity::High), ..ListQuery::default() };
        assert_eq!((listed(worst()).await, listed(severe()).await), (vec![], vec![]));
        let since = jiff::civil::date(1970, 1, 1);
        super::deliver(&store).await;
        let days = store.outcomes(since, &ProjectFilter::All).await.unwrap();
        assert!(!days.is_empty());
        for _ in 0..2 {
            upgrade::run(db).await.unwrap();
            assert_eq!((listed(worst()).await, listed(severe()).await), (vec![2, 1], vec![2]));
            assert_eq!(store.outcomes(since, &ProjectFilter::All).await.unwrap(), days);
        }
    });
}

/// The previous version had no row for a plugin that reported an issue and collected nothing, and
/// used the plugin's own spelling.
#[test]
fn plugins_with_issues_of_an_earlier_version_are_filled_in_once() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        store.register(fixtures::registration("a"), TTL).await.unwrap();
        for (name, findings, issues) in [("wafw00f", 0, 1), ("WafW00f", 2, 0), ("wafw00f", 0, 0)] {
            let id = store.submit(fixtures::new_scan("a.test")).await.unwrap().into_record().id;
            let Applied::Committed(record) =
                store.apply(id, Command::Lease { node: "a".parse().unwrap() }).await.unwrap()
            else {
                panic!()
            };
            let issues =
                (0..issues).map(|_| IssueRef { id: "x".into(), severity: Severity::Low, title: String::new() });
            let plugin = PluginResult { findings_count: findings, ..PluginResult::new(name, PluginStatus::Completed) }
                .with_issues(issues);
            let end = Resolution::Complete(Verdict { plugins: vec![plugin], dry_run: false });
            store.apply(id, Command::Finish { token: record.token, resolution: end, plugins: None }).await.unwrap();
        }
        let db = &store.inner.db;
        let earlier = "
            DEFINE FIELD OVERWRITE plugin ON found TYPE string; DELETE found; CREATE found:['WafW00f', 2] SET plugin = 'WafW00f', number = 2;
            DELETE backfill:results; DELETE backfill:ranks;";
        calls::execute(db, earlier, Nothing {}).await.unwrap();
        let listed = async |plugin: &str| {
            let page = store.list(ListQuery { plugin: Some(plugin.into()), ..ListQuery::default() }).await.unwrap();
            page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>()
        };
        assert_eq!(listed("wafw00f").await, [0_u64; 0]);
        let since = jiff::civil::date(1970, 1, 1);
        super::deliver(&store).await;
        let days = store.outcomes(since, &ProjectFilter::All).await.unwrap();
        assert!(!days.is_empty());
        calls::execute(db, STEPS[8].sql, Nothing {}).await.unwrap();
        for _ in 0..2 {
            upgrade::run(db).await.unwrap();
            assert_eq!((listed("wafw00f").await, listed("WAFW00F").await), (vec![2, 1], vec![2, 1]));
            assert_eq!(store.outcomes(since, &ProjectFilter::All).await.unwrap(), days, "no day is counted twice");
        }
        assert_eq!(
            numbers(db, "RETURN { numbers: (SELECT VALUE number FROM found ORDER BY number) };").await,
            [1, 2],
            "no row is left under another spelling"
        );
        assert!(matches!(
            store.delete(ScanId(2), &kastrel_actors::model::Principal::System).await.unwrap(),
            Deleted::Gone(_)
        ));
        assert_eq!(listed("wafw00f").await, [1]);
    });
}

/// Rows are damaged in each possible way: every list contains all other rows, and reports these
/// ids.
#[test]
fn a_row_that_cannot_be_read_hides_only_itself() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        for number in 1..=7 {
            let id = store.submit(fixtures::new_scan(&format!("host-{number}.test"))).await.unwrap().into_record().id;
            store
                .apply(
                    id,
                    Command::Cancel {
                        by: kastrel_actors::model::CancelledBy::User,
                        principal: kastrel_actors::model::Principal::System,
                    },
                )
                .await
                .unwrap();
        }
        let spoil = "
            UPDATE scan:2 SET body = '{}';
            UPDATE scan:3 SET version = 7;
            DEFINE FIELD OVERWRITE body ON scan TYPE any;
            UPDATE scan:4 SET body = 7;";
        calls::execute(&store.inner.db, spoil, Nothing {}).await.unwrap();
        for order in ScanOrder::ALL {
            for (statuses, target) in
                [(vec![], None), (vec![ScanStatus::Cancelled], None), (vec![], Some("host".to_owned()))]
            {
                for limit in [1, 2, 20] {
                    let mut query = ListQuery {
                        order: *order,
                        statuses: statuses.clone(),
                        target: target.clone(),
                        limit,
                        count: true,
                        ..ListQuery::default()
                    };
                    let (mut seen, mut unreadable) = (Vec::new(), std::collections::BTreeSet::new());
                    loop {
                        let page = store.list(query.clone()).await.unwrap();
                        seen.extend(page.scans.iter().map(|scan| scan.id.0));
                        unreadable.extend(page.unreadable.iter().map(|id| id.0));
                        assert!(seen.len() <= 4, "{query:?}: {seen:?}");
                        let Some(next) = page.next else { break };
                        match order {
                            ScanOrder::Newest => query.before = Some(next.id),
                            ScanOrder::Oldest => query.after = Some(next.id),
                            _ => query.from = Some(next),
                        }
                    }
                    seen.sort_unstable();
                    let expected = if *order == ScanOrder::Longest { vec![] } else { vec![1, 5, 6, 7] };
                    assert_eq!(seen, expected, "{query:?}");
                    assert_eq!(
                        unreadable.into_iter().collect::<Vec<_>>(),
                        if expected.is_empty() { vec![] } else { vec![2, 3, 4] },
                        "{query:?}"
                    );
                }
            }
        }
        upgrade::run(&store.inner.db).await.unwrap();
    });
}

#[derive(Clone, SurrealValue)]
struct TargetRow {
    key: RecordId,
    first: i64,
}

/// Targets stay in the index when all their scans are deleted. However many there are, later
/// targets stay reachable.
#[test]
fn many_targets_without_scans_do_not_hide_later_targets() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        store.submit(fixtures::new_scan("z.test")).await.unwrap();
        for first in 2..=900 {
            let aim = TargetRow { key: text_key("aim", &format!("gone-{first}.test")), first };
            calls::execute(&store.inner.db, "CREATE $key SET first = $first;", aim).await.unwrap();
        }
        let mut query = ListQuery { order: ScanOrder::Target, ..ListQuery::default() };
        let mut seen = Vec::new();
        for page in 1.. {
            let list = store.list(query.clone()).await.unwrap();
            seen.extend(list.scans.iter().map(|scan| scan.id));
            assert!(page <= 4 && list.is_partial == list.next.is_some(), "page {page}: {:?}", list.next);
            let Some(next) = list.next else { break };
            query.from = Some(next);
        }
        assert_eq!(seen, [ScanId(1)]);
    });
}

/// A page of some projects never ends at a target of another project: its cursor would name it.
#[test]
fn list_of_a_project_by_target_names_no_target_of_another_project() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        let project = |id: &str| id.parse::<ProjectId>().unwrap();
        for (id, target) in [("red", "z.test"), ("blue", "a.test")] {
            let scan = NewScan { project: project(id), ..fixtures::new_scan(target) };
            store.submit(scan).await.unwrap();
        }
        let query =
            ListQuery { projects: ProjectFilter::of(project("red")), order: ScanOrder::Target, ..ListQuery::default() };
        let few = store.list(query.clone()).await.unwrap();
        assert_eq!((few.order, few.scans.len(), few.next), (ScanOrder::Target, 1, None));
        for first in 3..=900 {
            let aim = TargetRow { key: text_key("aim", &format!("blue-{first}.test")), first };
            calls::execute(&store.inner.db, "CREATE $key SET first = $first;", aim).await.unwrap();
        }
        let many = store.list(query).await.unwrap();
        assert_eq!((many.order, many.scans.len(), many.next), (ScanOrder::Newest, 1, None));
    });
}

#[test]
fn an_unsupported_folder_path_is_refused() {
    run(async {
        let folder = TempDir::new().unwrap();
        let error = SurrealStore::open(&folder.path().join("what?sync=never")).await.unwrap_err();
        assert!(matches!(error, OpenError::Path(_)), "{error}");
    });
}

#[test]
fn steps_are_applied_once_and_in_order() {
    run(async {
        let db = memory().await;
        let first = Step { version: 1, sql: "DEFINE TABLE one;" };
        let second = Step { version: 2, sql: "CREATE one:1 SET made = true;" };
        migrate::run_steps(&db, &[first]).await.unwrap();
        for _ in 0..2 {
            migrate::run_steps(&db, &[first, second]).await.unwrap();
        }
        let error = migrate::run_steps(&db, &[first]).await.unwrap_err();
        assert!(matches!(error, OpenError::TooNew { found: 2, known: 1 }), "{error}");
        let edited = Step { version: 2, sql: "CREATE one:2 SET made = true;" };
        let error = migrate::run_steps(&db, &[first, edited]).await.unwrap_err();
        assert!(matches!(error, OpenError::Checksum { version: 2 }), "{error}");
    });
}

/// Databases like those of every earlier version: a complete backup is made before the schema
/// changes.
#[test]
fn a_database_of_each_earlier_schema_is_backed_up_before_it_changes() {
    #[derive(Clone, SurrealValue)]
    struct Document {
        document: String,
    }
    run(async {
        for steps in 1..STEPS.len() {
            let db = memory().await;
            migrate::run_steps(&db, &STEPS[..steps]).await.unwrap();
            let record = fixtures::record(1, jiff::Timestamp::UNIX_EPOCH);
            let document = Document { document: serde_json::to_string(&record).unwrap() };
            let schema = STEPS[steps - 1].version;
            // Schema 11 refuses the columns of the programs before it.
            let (column, since, format) = if schema > 10 { ("body", "begun", 2) } else { ("document", "since", 1) };
            let rows = format!(
                "CREATE scan:1 SET number = 1, status = 'pending', target = 'example.com', created_at = 0, version = 0, token = 0, failures = 0, trace = 'x',
                    rank = 1, due = 0, cancel = false, {column} = $document;
                CREATE counter:scan SET value = 7;"
            );
            calls::execute(&db, rows, document).await.unwrap();
            // The first schema has no table for the pause.
            let is_paused = steps > 1;
            if is_paused {
                let pause = format!("CREATE pause:queue SET {since} = 0, reason = 'upgrade';");
                calls::execute(&db, pause, Nothing {}).await.unwrap();
            }
            let dir = TempDir::new().unwrap();
            let folder = BackupFolder::new(dir.path().to_owned(), 3);
            run_before(&db, &folder).await.unwrap();
            let files = folder.list().unwrap();
            assert_eq!(
                files.iter().map(|file| file.mark.before_migration_of).collect::<Vec<_>>(),
                [Some(schema)],
                "schema {schema}"
            );
            let text = std::fs::read(&files[0].path).unwrap();
            assert!(
                String::from_utf8_lossy(&text)
                    .starts_with(&format!("{{\"kastrel_backup\":{format},\"schema\":{schema},")),
                "an older program may restore it"
            );
            let restored = SurrealStore::in_memory().await.unwrap();
            let summary = crate::backup::read(&restored, text.as_slice()).await.unwrap();
            assert_eq!((summary.scans, summary.last, summary.paused), (1, ScanId(7), is_paused));
            assert_eq!(restored.get(ScanId(1)).await.unwrap(), Some(record));
            migrate::run(&db).await.unwrap();
        }
        let dir = TempDir::new().unwrap();
        let folder = BackupFolder::new(dir.path().join("new"), 3);
        let db = memory().await;
        run_before(&db, &folder).await.unwrap();
        migrate::run(&db).await.unwrap();
        run_before(&db, &folder).await.unwrap();
        assert!(!folder.path().exists(), "neither a new database nor one that is up to date is backed up");
    });
}

/// A failed backup keeps the schema unchanged.
#[test]
fn a_backup_that_cannot_be_made_keeps_the_schema_as_it_is() {
    run(async {
        let db = memory().await;
        migrate::run_steps(&db, &STEPS[..1]).await.unwrap();
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = run_before(&db, &BackupFolder::new(file, 3)).await.unwrap_err();
        assert!(matches!(error, OpenError::BeforeMigration { schema: 1, .. }), "{error}");
        assert!(error.to_string().contains("with `backup.enabled = false` it changes without a backup"), "{error}");
    });
}

#[test]
fn a_step_that_fails_leaves_nothing_behind() {
    run(async {
        let db = memory().await;
        let broken = Step { version: 1, sql: "CREATE one:1 SET made = true; THROW 'broken';" };
        migrate::run_steps(&db, &[broken]).await.unwrap_err();
        assert_eq!(numbers(&db, "RETURN { numbers: (SELECT VALUE version FROM migration) };").await, [0; 0]);
        migrate::run_steps(&db, &[Step { version: 1, sql: "DEFINE TABLE one;" }]).await.unwrap();
    });
}

#[test]
fn programs_that_start_together_migrate_once() {
    run(async {
        let db = memory().await;
        let starts: Vec<_> = (0..6)
            .map(|_| {
                tokio::spawn({
                    let db = db.clone();
                    async move { migrate::run(&db).await }
                })
            })
            .collect();
        for start in starts {
            start.await.unwrap().unwrap();
        }
        let applied = numbers(&db, "RETURN { numbers: (SELECT VALUE version FROM migration ORDER BY version) };").await;
        assert_eq!(applied, STEPS.iter().map(|step| step.version).collect::<Vec<_>>());
    });
}

/// Two processes on one database share no queue, so their transactions really conflict.
#[test]
fn two_programs_share_one_database() {
    run(async {
        let one = SurrealStore::in_memory().await.unwrap();
        let two = one.second_handle();
        let submissions: Vec<_> = (0..80)
            .map(|number| {
                let store = if number % 2 == 0 { one.clone() } else { two.clone() };
                let mut scan = fixtures::new_scan("example.com");
                scan.idempotency_key = Some(format!("key {}", number / 2));
                tokio::spawn(async move { store.submit(scan).await.unwrap().into_record().id })
            })
            .collect();
        let mut ids = std::collections::BTreeMap::<ScanId, usize>::new();
        for submission in submissions {
            *ids.entry(submission.await.unwrap()).or_default() += 1;
        }
        assert_eq!(ids, (1..=40).map(|id| (ScanId(id), 2)).collect());
        let page = one.list(ListQuery { limit: 100, count: true, ..ListQuery::default() }).await.unwrap();
        assert_eq!((page.scans.len(), page.total), (40, Some(40)));
    });
}

#[test]
fn a_burst_of_submissions_gets_ids_without_gaps() {
    run(async {
        let folder = TempDir::new().unwrap();
        let store = SurrealStore::open(folder.path()).await.unwrap();
        let submissions: Vec<_> = (0..300)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id.0
                })
            })
            .collect();
        let mut ids = Vec::new();
        for submission in submissions {
            ids.push(submission.await.unwrap());
        }
        ids.sort_unstable();
        assert_eq!(ids, (1..=300).collect::<Vec<_>>());
    });
}

#[test]
fn a_dropped_submission_does_not_cancel_others() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        let (one, two) =
            (store.submit(fixtures::new_scan("example.com")), store.submit(fixtures::new_scan("example.com")));
        let mut one = Box::pin(one);
        // It is queued now, and on a busy machine it may even be written.
        let _queued = futures_util::poll!(&mut one);
        drop(one);
        two.await.unwrap();
    });
}

#[test]
fn a_row_that_is_too_large_is_refused_and_the_store_keeps_working() {
    run(async {
        let store = Arc::new(SurrealStore::in_memory().await.unwrap());
        store.register(fixtures::registration("a"), TTL).await.unwrap();
        let id = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let Applied::Committed(running) = store.apply(id, Command::Lease { node: "a".parse().unwrap() }).await.unwrap()
        else {
            panic!()
        };
        let mut plugin = PluginResult::new("whatweb", PluginStatus::Completed);
        plugin.message = Some("\0".repeat(MAX_DOCUMENT_BYTES / 6));
        let error = store
            .apply(id, Command::Progress { token: running.token, scanner: None, plugins: vec![plugin.clone()] })
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
        plugin.message = Some("\0".repeat(MAX_DOCUMENT_BYTES / 7));
        let large = store
            .apply(id, Command::Progress { token: running.token, scanner: None, plugins: vec![plugin] })
            .await
            .unwrap();
        assert!(matches!(large, Applied::Committed(_)));
        let mut keyed = fixtures::new_scan("example.com");
        keyed.idempotency_key = Some("k".repeat(2000));
        assert!(matches!(store.submit(keyed).await, Err(StoreError::Corrupt(_))));
        store.ping().await.unwrap();
    });
}

#[test]
fn a_row_that_cannot_be_read_is_corrupt() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        let id = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        for spoil in ["UPDATE scan:1 SET version = 3;", "UPDATE scan:1 SET body = '{}';"] {
            calls::execute(&store.inner.db, spoil, Nothing {}).await.unwrap();
            let error = store.get(id).await.unwrap_err();
            assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
        }
    });
}

/// The counts and the queue are only fast while the planner uses their indexes.
#[test]
fn queries_use_their_indexes() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        for (query, expected) in [
            ("SELECT count() FROM scan WHERE status = 'pending' GROUP ALL", "IndexCountScan"),
            (
                "SELECT number FROM scan WHERE project = 'default' AND status = 'failed' AND number < 9 ORDER BY number DESC LIMIT 2",
                "index: scan_project_status",
            ),
            (
                "SELECT number FROM scan WHERE project = 'default' AND number < 9 ORDER BY number DESC LIMIT 2",
                "index: scan_project_number",
            ),
            (
                "SELECT number FROM scan WHERE project = 'default' AND target = 'a' AND number > 9 ORDER BY number LIMIT 2",
                "index: scan_project_target",
            ),
            (
                "SELECT number FROM scan WHERE project = 'default' AND mode = 'active' AND number > 9 ORDER BY number LIMIT 2",
                "index: scan_project_mode",
            ),
            (
                "SELECT number FROM scan WHERE project = 'default' AND created_at < 9 ORDER BY created_at DESC LIMIT 1",
                "index: scan_project_created",
            ),
            (
                "SELECT number FROM found WHERE project = 'default' AND plugin = 'a' AND number < 9 ORDER BY number DESC LIMIT 2",
                "index: found_project_plugin",
            ),
            (
                "SELECT number FROM ended WHERE project = 'default' AND worst = 'high' AND number < 9 ORDER BY number DESC LIMIT 2",
                "index: ended_project_worst",
            ),
            (
                "SELECT number, due, trace FROM scan WHERE rank = 1 AND due <= 9 ORDER BY due LIMIT 2",
                "index: scan_waiting",
            ),
            ("SELECT number FROM scan WHERE node = 'a' AND cancel = true ORDER BY number", "index: scan_on_node"),
            (
                "SELECT number FROM scan WHERE status = 'running' AND node NOT IN ['a'] ORDER BY number",
                "index: scan_by_status",
            ),
        ] {
            let results =
                store.inner.db.query(format!("EXPLAIN {query}"), Value::Object(Default::default())).await.unwrap();
            let plan = format!("{results:?}");
            assert!(plan.contains(expected) && !plan.contains("TableScan"), "{query}: {plan}");
        }
    });
}

#[test]
fn the_most_specific_error_of_a_transaction_is_reported() {
    run(async {
        use super::super::error::Failure;
        let store = SurrealStore::in_memory().await.unwrap();
        for (sql, expected) in [
            (
                "BEGIN; CREATE counter:scan SET value = 1; THROW 'no'; CREATE counter:two SET value = 1; COMMIT;",
                Failure::Thrown,
            ),
            ("BEGIN; CREATE counter:a SET value = 1; CREATE counter:a SET value = 1; COMMIT;", Failure::Exists),
            ("BEGIN; CREATE counter:a SET value = 'text'; COMMIT;", Failure::Unknown),
            ("SELECT FROM WHERE", Failure::Unknown),
        ] {
            let error = calls::execute(&store.inner.db, sql, Nothing {}).await.unwrap_err();
            assert_eq!(error.failure(), expected, "{sql}: {error:?}");
        }
    });
}

#[test]
fn an_unanswered_write_is_recognised_in_the_row() {
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    let next = |record, command: &Command, now| match transition(record, command, at(now)) {
        Transition::Changed(next) => *next,
        Transition::Refused(refusal) => panic!("{refusal}"),
    };
    let lease = |name: &str| Command::Lease { node: name.parse().unwrap() };
    let submitted = fixtures::record(1, at(0));
    let (ours, theirs) = (next(&submitted, &lease("a"), 1), next(&submitted, &lease("b"), 1));
    assert!(was_made(&ours, &ours));
    assert!(!was_made(&ours, &submitted), "not yet");
    assert!(!was_made(&ours, &theirs), "another node was faster");
    let progress = Command::Progress {
        token: ours.token,
        scanner: None,
        plugins: vec![PluginResult::new("whatweb", PluginStatus::Pending)],
    };
    let later = next(&ours, &progress, 2);
    let failed = Command::Finish {
        token: ours.token,
        resolution: Resolution::Fail(Failure::new(FailureKind::Crashed, "")),
        plugins: None,
    };
    assert!(!was_made(&next(&ours, &failed, 3), &later), "another end than ours is not ours");
    let end = next(&ours, &failed, 3);
    let principal = kastrel_actors::model::Principal::System;
    let transfer = Command::Transfer { from: end.project.clone(), to: "web".parse().unwrap(), principal };
    assert!(was_made(&end, &next(&end, &transfer, 4)), "a transfer keeps the end");
    let again = Command::Finish {
        token: ours.token,
        resolution: Resolution::Retry {
            failure: Failure::new(FailureKind::Crashed, ""),
            after: Duration::from_secs(1),
        },
        plugins: None,
    };
    let ended = next(&ours, &again, 3);
    assert!(was_made(&ended, &next(&ended, &lease("b"), 5)), "the end stands, whatever came after it");
    let cancelled = next(
        &ended,
        &Command::Cancel {
            by: kastrel_actors::model::CancelledBy::User,
            principal: kastrel_actors::model::Principal::System,
        },
        4,
    );
    let theirs = next(
        &next(&ended, &lease("b"), 5),
        &Command::Progress { token: ended.token.next(), scanner: None, plugins: vec![] },
        6,
    );
    assert!(!was_made(&cancelled, &theirs), "a cancel that came too late is not told by the attempt before it");
}
