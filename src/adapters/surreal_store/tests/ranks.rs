//! Tests of the orders by duration, number of findings and worst severity.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::model::{
    Command, IssueRef, ListQuery, MAX_COUNT, NewScan, PluginResult, PluginStatus, ProjectFilter, Resolution,
    ResultSummary, ScanId, ScanOrder, ScanRecord, ScanState, Severity, Verdict,
};
use kastrel_actors::policy::listing::cursor;
use kastrel_actors::ports::Applied;
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::fixtures;
use surrealdb::types::{SurrealValue, Value};

use super::super::calls::{self, Nothing};
use super::super::database::Database;
use super::super::executor::Executor as _;
use super::super::migrate::{self, STEPS};
use super::super::{OpenError, SurrealStore, upgrade};
use super::{advance, run};
use crate::config::AuthLevel;

const ORDERS: [ScanOrder; 3] = [ScanOrder::Longest, ScanOrder::Findings, ScanOrder::Worst];

/// The schema version before ranks had a column of their own.
const EARLIER: usize = 9;

#[derive(Clone, SurrealValue)]
struct Counter {
    last: i64,
}

#[derive(SurrealValue)]
struct Numbers {
    numbers: Vec<i64>,
}

async fn numbers(db: &Database, sql: &'static str) -> Vec<i64> {
    calls::call::<Numbers>(db, sql, Nothing {}).await.unwrap().numbers
}

/// The scans of all pages of three, in their order.
async fn pages(store: &SurrealStore, order: ScanOrder) -> Vec<u64> {
    let mut query = ListQuery { order, limit: 3, ..ListQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = store.list(query.clone()).await.unwrap();
        seen.extend(page.scans.iter().map(|scan| scan.id.0));
        assert!(seen.len() < 100, "{order}: pages repeat scans: {seen:?}");
        let Some(next) = page.next else { return seen };
        query.from = Some(next);
    }
}

/// The expected order: highest rank first, and newest first among equal ranks.
fn expected(records: &[ScanRecord], order: ScanOrder) -> Vec<u64> {
    let rank = |record: &ScanRecord| cursor(record, order).unwrap().rank.parse::<u64>().unwrap();
    let mut places: Vec<(u64, u64)> = records.iter().map(|record| (rank(record), record.id.0)).collect();
    places.sort_unstable_by_key(|place| Reverse(*place));
    places.into_iter().map(|(_, id)| id).collect()
}

/// Results whose counts repeat from scan to scan.
fn results(number: u64) -> Vec<PluginResult> {
    let severity = if number.is_multiple_of(4) { Severity::High } else { Severity::Low };
    let issues = (0..number % 3).map(|_| IssueRef { id: "x".into(), severity, title: String::new() });
    let findings_count = if number.is_multiple_of(7) { MAX_COUNT - number % 2 } else { number % 3 };
    vec![PluginResult { findings_count, ..PluginResult::new("whatweb", PluginStatus::Completed) }.with_issues(issues)]
}

/// Scan numbers of more than 20 and of more than 32 bits.
#[test]
fn pages_by_rank_contain_each_scan_once_beyond_a_million_scans() {
    run(async {
        for first in [1_048_570, (1 << 32) - 6] {
            let offset = Arc::new(AtomicI64::new(0));
            let store = SurrealStore::in_memory().await.unwrap().with_clock_offset(Arc::clone(&offset));
            let counter = Counter { last: first - 1 };
            calls::execute(&store.inner.db, "UPSERT counter:scan SET value = $last;", counter).await.unwrap();
            store.register(fixtures::registration("a"), Duration::from_secs(36_000)).await.unwrap();
            let mut records = Vec::new();
            for number in 0..17 {
                let id = store.submit(fixtures::new_scan("a.test")).await.unwrap().into_record().id;
                let Applied::Committed(running) =
                    store.apply(id, Command::Lease { node: "a".parse().unwrap() }).await.unwrap()
                else {
                    panic!()
                };
                advance(&offset, Duration::from_secs(number % 5));
                let end = Resolution::Complete(Verdict { plugins: results(id.0), dry_run: false });
                let finish = Command::Finish { token: running.token, resolution: end, plugins: None };
                let Applied::Committed(ended) = store.apply(id, finish).await.unwrap() else { panic!() };
                records.push(ended);
            }
            assert_eq!(records[0].id, ScanId(first.unsigned_abs()));
            for order in ORDERS {
                assert_eq!(pages(&store, order).await, expected(&records, order), "{order} from scan {first}");
            }
        }
    });
}

/// A page reads only its own rows, wherever it begins.
#[test]
fn pages_by_rank_follow_an_index_in_both_directions() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        for column in ["took", "findings", "severity"] {
            for (direction, compare) in [("DESC", "<"), ("ASC", ">")] {
                for (condition, order, access) in [
                    (
                        format!("{column} = 5 AND number {compare} 9"),
                        format!("number {direction}"),
                        if compare == "<" { "['default', 5] LessThan 9" } else { "['default', 5] MoreThan 9" },
                    ),
                    (
                        format!("{column} {compare} 5"),
                        format!("{column} {direction}, number {direction}"),
                        if compare == "<" { "['default'] LessThan 5" } else { "['default'] MoreThan 5" },
                    ),
                ] {
                    let query = format!(
                        "EXPLAIN SELECT number, {column} AS rank FROM ended WHERE project = 'default' AND {condition} ORDER BY {order} LIMIT 3"
                    );
                    let plan = store.inner.db.query(query.clone(), Value::Object(Default::default())).await.unwrap();
                    let plan = format!("{plan:?}");
                    let index = format!("index: ended_project_{column}");
                    assert!(plan.contains(&index) && plan.contains(access), "{query}: {plan}");
                    assert!(!plan.contains("TableScan") && !plan.contains("Sort"), "{query}: {plan}");
                }
            }
        }
    });
}

/// The projects are read from an index, however many scans they have.
#[test]
fn projects_of_lists_follow_an_index() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        for project in ["default", "team", "a-team", "a-team-2"] {
            let scan = fixtures::new_scan("example.com");
            store.submit(NewScan { project: project.parse().unwrap(), ..scan }).await.unwrap();
        }
        for (bound, expected) in
            [("", Some("a-team")), ("a-team!", Some("a-team-2")), ("default!", Some("team")), ("team!", None)]
        {
            let query =
                format!("SELECT VALUE project FROM scan WHERE project > '{bound}' ORDER BY project ASC LIMIT 1");
            let nothing = || Value::Object(Default::default());
            let plan = format!("{:?}", store.inner.db.query(format!("EXPLAIN {query}"), nothing()).await.unwrap());
            assert!(plan.contains("index: scan_project"), "{query}: {plan}");
            assert!(!plan.contains("TableScan") && !plan.contains("Sort"), "{query}: {plan}");
            let found = format!("{:?}", store.inner.db.query(query.clone(), nothing()).await.unwrap());
            assert_eq!(found.contains("String"), expected.is_some(), "{query}: {found}");
            assert!(expected.is_none_or(|expected| found.contains(&format!("{expected:?}"))), "{query}: {found}");
        }
    });
}

/// The row of a finished scan, and its `ended` row as the earlier schema held it.
#[derive(Clone, SurrealValue)]
struct EarlierRow {
    number: i64,
    took: i64,
    by_took: i64,
    by_findings: i64,
    by_severity: i64,
    document: String,
}

const CREATE_SCAN: &str = "
    CREATE type::record('scan', $number) SET
        number = $number, status = 'completed', target = 'example.com', mode = 'passive', created_at = 0, version = 0,
        token = 0, failures = 0, trace = 'x', cancel = false, document = $document;";

/// The statement with which processes of the earlier version end a scan.
const END_EARLIER: &str = "
    UPSERT type::record('ended', $number) SET
        number = $number, target = 'example.com', mode = 'passive', run = true,
        took = $took, by_took = $by_took, by_findings = $by_findings,
        worst = NONE, by_severity = $by_severity RETURN NONE;";

fn earlier_row(record: &ScanRecord) -> EarlierRow {
    let number = i64::try_from(record.id.0).unwrap();
    let value = |order| cursor(record, order).unwrap().rank.parse::<i64>().unwrap();
    let packed = |value: i64| (value.min(i64::MAX >> 20) << 20) | (number & 0xf_ffff);
    EarlierRow {
        number,
        took: value(ScanOrder::Longest),
        by_took: packed(value(ScanOrder::Longest)),
        by_findings: packed(value(ScanOrder::Findings)),
        by_severity: packed(value(ScanOrder::Worst)),
        document: serde_json::to_string(record).unwrap(),
    }
}

fn completed(number: u64, plugins: Vec<PluginResult>) -> ScanRecord {
    ScanRecord {
        started_at: Some(Timestamp::UNIX_EPOCH),
        state: ScanState::Completed {
            at: Timestamp::from_second(i64::try_from(number % 5).unwrap()).unwrap(),
            summary: ResultSummary::of(&plugins, false),
        },
        plugins,
        ..fixtures::record(number, Timestamp::UNIX_EPOCH)
    }
}

/// The database of the version before, with scan numbers of more than 20 bits: opening it fills in
/// the ranks, also after an interruption.
#[test]
fn ranks_of_an_earlier_version_are_filled_in_once() {
    run(async {
        let db = SurrealStore::in_memory().await.unwrap().inner.db.clone();
        migrate::select_database(&db, "test", "test", AuthLevel::Root).await.unwrap();
        migrate::run_steps(&db, &STEPS[..EARLIER]).await.unwrap();
        let first = (1 << 20) - 5;
        let records: Vec<ScanRecord> = (first..first + 12).map(|number| completed(number, results(number))).collect();
        let marks = "
            CREATE backfill:ended SET upto = 0; CREATE backfill:severity SET upto = 0;
            CREATE backfill:results SET upto = 0; CREATE counter:scan SET value = 1048583;";
        calls::execute(&db, marks, Nothing {}).await.unwrap();
        for record in &records {
            let row = earlier_row(record);
            calls::execute(&db, CREATE_SCAN, row.clone()).await.unwrap();
            calls::execute(&db, END_EARLIER, row).await.unwrap();
        }
        migrate::run(&db).await.unwrap();
        let refused = migrate::run_steps(&db, &STEPS[..EARLIER]).await.unwrap_err();
        assert!(matches!(refused, OpenError::TooNew { found: 10, known: 9 }), "{refused}");
        let store = SurrealStore::from_database(db.clone(), None);
        let old_columns = "RETURN { numbers: array::flatten((SELECT VALUE [by_took, by_findings, by_severity] FROM ended)).filter(|$one| $one != NONE) };";
        for _ in 0..2 {
            upgrade::run(&db).await.unwrap();
            for order in ORDERS {
                assert_eq!(pages(&store, order).await, expected(&records, order), "{order}");
            }
            assert_eq!(numbers(&db, old_columns).await, [0; 0], "the old columns are cleared");
        }
        assert!(
            store.outcomes(jiff::civil::date(1970, 1, 1), &ProjectFilter::All).await.unwrap().is_empty(),
            "no day is counted again"
        );

        // A backfill that was interrupted after some rows.
        let interrupted =
            "DELETE backfill:ranks; UPDATE ended SET findings = NONE, severity = NONE WHERE number > 1048576;";
        calls::execute(&db, interrupted, Nothing {}).await.unwrap();
        upgrade::run(&db).await.unwrap();
        for order in ORDERS {
            assert_eq!(pages(&store, order).await, expected(&records, order), "{order} after an interruption");
        }
    });
}

/// The rank of a scan whose row cannot be read comes from its old columns: the lists report it.
#[test]
fn an_unreadable_scan_of_an_earlier_version_keeps_its_rank() {
    run(async {
        let db = SurrealStore::in_memory().await.unwrap().inner.db.clone();
        migrate::select_database(&db, "test", "test", AuthLevel::Root).await.unwrap();
        migrate::run_steps(&db, &STEPS[..EARLIER]).await.unwrap();
        for number in [5, 10] {
            let row = EarlierRow { document: "{}".into(), ..earlier_row(&completed(number, results(number))) };
            calls::execute(&db, CREATE_SCAN, row.clone()).await.unwrap();
            calls::execute(&db, END_EARLIER, row).await.unwrap();
        }
        // One row has another shape.
        let spoil = "
            DEFINE FIELD OVERWRITE document ON scan TYPE any; UPDATE scan:10 SET document = 7;
            CREATE counter:scan SET value = 10;";
        calls::execute(&db, spoil, Nothing {}).await.unwrap();
        migrate::run(&db).await.unwrap();
        upgrade::run(&db).await.unwrap();
        let store = SurrealStore::from_database(db.clone(), None);
        for order in ORDERS {
            let mut unreadable = store.list(ListQuery { order, ..ListQuery::default() }).await.unwrap().unreadable;
            unreadable.sort_unstable();
            assert_eq!(unreadable, [ScanId(5), ScanId(10)], "{order}");
        }
        assert_eq!(numbers(&db, "RETURN { numbers: (SELECT VALUE findings FROM ended) };").await, [2, 1]);
    });
}
