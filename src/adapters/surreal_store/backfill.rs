//! Creates the additional rows of this version for scans of earlier versions. This happens once,
//! before anything else uses the database. Afterwards it costs one read.

use std::collections::BTreeMap;

use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, RecordIdKeyRange, SurrealValue, Value};

use super::calls::{self, Nothing};
use super::database::Database;
use super::ended::{self, Ended, PARTS};
use super::error::{Failure, OpenError};
use super::row::{self, Keyed, stored, text_key};

const CHUNK: i64 = 200;

#[derive(Debug, SurrealValue)]
struct State {
    /// All rows are filled in.
    is_complete: bool,
    /// The number of the first scan that exists.
    first: i64,
    last: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Range {
    range: RecordId,
}

/// Rows are decoded separately, so that one with a different shape does not affect the others.
#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<Value>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Beside {
    aims: Vec<TargetRow>,
    all: Vec<Ended>,
    /// Keys that an earlier version stored with the plugin's own spelling.
    stale: Vec<RecordId>,
    /// The `ended` rows of unreadable scans.
    unreadable: Vec<RecordId>,
}

#[derive(Debug, Clone, SurrealValue)]
struct TargetRow {
    key: RecordId,
    first: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Days {
    upto: i64,
    days: Vec<Day>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Day {
    key: RecordId,
    date: i64,
    completed: i64,
    failed: i64,
    cancelled: i64,
}

/// The marks of the backfills: `ended` (every finished scan has its `ended` row), `severity` (those
/// rows hold the worst severity), `results` (each plugin with results has its `found` row), and
/// `ranks` (the `ended` rows hold each rank in a column of its own). Each version added one, so the
/// last one exists only if all exist.
const STATE: &str = "
    RETURN {
        is_complete: (SELECT VALUE upto FROM ONLY backfill:ranks) != NONE,
        first: (SELECT VALUE record::id(id) FROM scan LIMIT 1)[0] ?? 1,
        last: (SELECT VALUE value FROM ONLY counter:scan) ?? 0,
    };";

const READ: &str = concat!("RETURN { rows: (SELECT id, ", stored!(), " FROM $range) };");

const WRITE: &str = "
    BEGIN;
    FOR $aim IN $aims { IF (SELECT VALUE first FROM ONLY $aim.key) = NONE { CREATE $aim.key SET first = $aim.first RETURN NONE; }; };
    FOR $ended IN $all {
        UPSERT $ended.key SET
            number = $ended.number, target = $ended.target, mode = $ended.mode, run = $ended.run,
            took = $ended.took, findings = $ended.findings, worst = $ended.worst, severity = $ended.severity,
            by_took = NONE, by_findings = NONE, by_severity = NONE RETURN NONE;
        FOR $one IN $ended.found { UPSERT $one.key SET plugin = $one.plugin, number = $ended.number RETURN NONE; };
    };
    DELETE $stale RETURN NONE;
    UPDATE $unreadable SET findings = findings RETURN NONE;
    COMMIT;";

/// The counts per day come last and in one transaction with the completion marks, unless the
/// database already has them. A process that finds the marks may increment the counts, and a slower
/// process changes nothing any more.
const FINISH: &str = "
    BEGIN;
    CREATE backfill:ranks SET upto = $upto RETURN NONE;
    UPSERT backfill:results SET upto = $upto RETURN NONE;
    UPSERT backfill:severity SET upto = $upto RETURN NONE;
    IF (SELECT VALUE upto FROM ONLY backfill:ended) = NONE {
        CREATE backfill:ended SET upto = $upto RETURN NONE;
        FOR $day IN $days {
            UPSERT $day.key SET date = $day.date, completed = $day.completed, failed = $day.failed, cancelled = $day.cancelled RETURN NONE;
        };
    };
    COMMIT;";

/// Fills in the missing rows when the database is opened.
pub(super) async fn run(db: &Database) -> Result<(), OpenError> {
    fill_in(db).await.map_err(|source| OpenError::Database {
        doing: "fill in what earlier versions did not keep",
        source: Box::new(source),
    })
}

/// Fills in the missing rows.
pub(super) async fn fill_in(db: &Database) -> Result<(), StoreError> {
    let State { is_complete, mut first, last } = calls::call_again(db, STATE, Nothing {}).await?;
    if is_complete {
        return Ok(());
    }
    let mut days: BTreeMap<(i64, u64), Day> = BTreeMap::new();
    while first <= last {
        let until = (first + CHUNK - 1).min(last);
        let beside = read(db, first, until, &mut days).await?;
        calls::execute_again(db, WRITE, beside).await?;
        first = until + 1;
    }
    match calls::execute_again(db, FINISH, Days { upto: last, days: days.into_values().collect() }).await {
        // Another process that started at the same time finished first, or the response was lost.
        Err(error) if error.failure() == Failure::Exists => Ok(()),
        other => Ok(other?),
    }
}

async fn read(
    db: &Database,
    first: i64,
    until: i64,
    days: &mut BTreeMap<(i64, u64), Day>,
) -> Result<Beside, StoreError> {
    let range = RecordId::new("scan", RecordIdKeyRange::from(first..=until));
    let Rows { rows } = calls::call_again(db, READ, Range { range }).await?;
    let mut beside = Beside { aims: Vec::new(), all: Vec::new(), stale: Vec::new(), unreadable: Vec::new() };
    for row in rows {
        let Keyed { id, record, .. } = row::keyed(row)?;
        let record = match record {
            Ok(record) => record,
            // An unreadable row must not block the others.
            Err(error) => {
                tracing::error!(
                    scan.id = id.0,
                    error = &error as &dyn std::error::Error,
                    "the row of a scan cannot be read; lists go on without it"
                );
                beside.unreadable.push(RecordId::new("ended", row::signed(id.0)?));
                continue;
            }
        };
        beside.aims.push(TargetRow {
            key: text_key("aim", &kastrel_actors::policy::listing::target_text(&record)),
            first: row::signed(id.0)?,
        });
        let Some(ended) = Ended::of(&record)? else { continue };
        beside.stale.extend(ended::keys_of_other_spelling(&record)?);
        let part = record.id.0 % PARTS;
        let day = days.entry((ended.date, part)).or_insert_with(|| Day {
            key: ended.day.clone(),
            date: ended.date,
            completed: 0,
            failed: 0,
            cancelled: 0,
        });
        day.completed += ended.completed;
        day.failed += ended.failed;
        day.cancelled += ended.cancelled;
        beside.all.push(ended);
    }
    Ok(beside)
}
