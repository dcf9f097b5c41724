//! Creates the additional rows of this version for scans of earlier versions. This happens once,
//! before anything else uses the database. Afterwards it costs one read.

use std::collections::BTreeMap;

use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, RecordIdKeyRange, SurrealValue};

use super::calls::{self, Database};
use super::ended::{self, Ended, PARTS};
use super::error::{Failure, OpenError};
use super::row::{StoredScan, stored};
use super::submit::text_key;

const CHUNK: i64 = 200;

#[derive(Debug, Clone, SurrealValue)]
struct Nothing {}

#[derive(Debug, SurrealValue)]
struct State {
    /// Every finished scan has its `ended` row.
    ended: bool,
    /// Those rows hold the worst severity.
    severity: bool,
    /// Each plugin with results (collected items or issues) has its `found` row.
    results: bool,
    last: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Upto {
    upto: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Range {
    range: RecordId,
}

#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<StoredScan>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Beside {
    aims: Vec<TargetRow>,
    all: Vec<Ended>,
    /// Keys that an earlier version stored with the plugin's own spelling.
    stale: Vec<RecordId>,
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

const STATE: &str = "
    RETURN {
        ended: (SELECT VALUE upto FROM ONLY backfill:ended) != NONE,
        severity: (SELECT VALUE upto FROM ONLY backfill:severity) != NONE,
        results: (SELECT VALUE upto FROM ONLY backfill:results) != NONE,
        last: (SELECT VALUE value FROM ONLY counter:scan) ?? 0,
    };";

const READ: &str = concat!("RETURN { rows: (SELECT ", stored!(), " FROM $range) };");

const WRITE: &str = "
    BEGIN;
    FOR $aim IN $aims { IF (SELECT VALUE first FROM ONLY $aim.key) = NONE { CREATE $aim.key SET first = $aim.first RETURN NONE; }; };
    FOR $ended IN $all {
        UPSERT $ended.key SET
            number = $ended.number, target = $ended.target, mode = $ended.mode, run = $ended.run,
            took = $ended.took, by_took = $ended.by_took, by_findings = $ended.by_findings,
            worst = $ended.worst, by_severity = $ended.by_severity RETURN NONE;
        FOR $one IN $ended.found { UPSERT $one.key SET plugin = $one.plugin, number = $ended.number RETURN NONE; };
    };
    DELETE $stale RETURN NONE;
    COMMIT;";

/// The counts come last and in one transaction with the completion marks. A process that finds the
/// marks may increment the counts, and a slower process changes nothing any more.
const FINISH: &str = "
    BEGIN;
    CREATE backfill:ended SET upto = $upto RETURN NONE;
    CREATE backfill:severity SET upto = $upto RETURN NONE;
    CREATE backfill:results SET upto = $upto RETURN NONE;
    FOR $day IN $days {
        UPSERT $day.key SET date = $day.date, completed = $day.completed, failed = $day.failed, cancelled = $day.cancelled RETURN NONE;
    };
    COMMIT;";

/// For a database that already has the counts per day, but no severities.
const FINISH_SEVERITY: &str = "
    BEGIN;
    CREATE backfill:severity SET upto = $upto RETURN NONE;
    CREATE backfill:results SET upto = $upto RETURN NONE;
    COMMIT;";

/// For a database that also has severities, but no row for a plugin that reported an issue and
/// collected nothing.
const FINISH_RESULTS: &str = "CREATE backfill:results SET upto = $upto RETURN NONE;";

/// Fills in the missing rows when the database is opened.
pub(super) async fn run(db: &Database) -> Result<(), OpenError> {
    fill_in(db).await.map_err(|source| OpenError::Database {
        doing: "fill in what earlier versions did not keep",
        source: Box::new(source),
    })
}

/// Fills in the missing rows.
pub(super) async fn fill_in(db: &Database) -> Result<(), StoreError> {
    let State { ended, severity, results, last } = calls::call_again(db, STATE, Nothing {}).await?;
    if results {
        return Ok(());
    }
    let mut days: BTreeMap<(i64, u64), Day> = BTreeMap::new();
    let mut first = 1;
    while first <= last {
        let until = (first + CHUNK - 1).min(last);
        let beside = read(db, first, until, &mut days).await?;
        calls::execute_again(db, WRITE, beside).await?;
        first = until + 1;
    }
    let finished = match (ended, severity) {
        (true, true) => calls::execute_again(db, FINISH_RESULTS, Upto { upto: last }).await,
        (true, false) => calls::execute_again(db, FINISH_SEVERITY, Upto { upto: last }).await,
        (false, _) => calls::execute_again(db, FINISH, Days { upto: last, days: days.into_values().collect() }).await,
    };
    match finished {
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
    let mut beside = Beside { aims: Vec::new(), all: Vec::new(), stale: Vec::new() };
    for stored in rows {
        let number = stored.number;
        let record = match stored.into_record() {
            Ok(record) => record,
            // An unreadable row must not block the others.
            Err(error) => {
                tracing::error!(
                    scan.id = number,
                    error = &error as &dyn std::error::Error,
                    "the row of a scan cannot be read; lists go on without it"
                );
                continue;
            }
        };
        beside.aims.push(TargetRow {
            key: text_key("aim", &kastrel_actors::policy::listing::target_text(&record)),
            first: number,
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
