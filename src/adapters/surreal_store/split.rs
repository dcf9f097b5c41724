//! Moves the plugins of scans of earlier versions, whose rows hold them in one document, to rows of
//! their own. This happens once, before anything else uses the database. Afterwards it costs one
//! read.
//!
//! It moves some scans at a time and notes how far it is, so an interruption costs nothing. Several
//! processes may do it at the same time: each row is moved by one of them.

use std::collections::HashSet;
use std::time::Duration;

use kastrel_actors::model::ScanId;
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, RecordIdKeyRange, SurrealValue, Value};

use super::calls::{self, Nothing, Tries};
use super::database::Database;
use super::error::{Failure, OpenError};
use super::results::{Results, write_results};
use super::row::{self, Columns, Keyed, earlier, set_columns};

/// How many scans are read at a time.
const CHUNK: i64 = 50;
/// The approximate number of bytes of one transaction, which is held in memory.
const MOST_BYTES: usize = 2 << 20;

#[derive(Debug, SurrealValue)]
struct State {
    is_complete: bool,
    /// The number up to which scans are moved.
    moved: i64,
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
struct Moved {
    rows: Vec<MovedRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct MovedRow {
    key: RecordId,
    columns: Columns,
    results: Results,
}

#[derive(Debug, Clone, SurrealValue)]
struct Unreadable {
    key: RecordId,
}

#[derive(Debug, Clone, SurrealValue)]
struct Upto {
    upto: i64,
}

const STATE: &str = "
    RETURN {
        is_complete: (SELECT VALUE upto FROM ONLY backfill:plugins) != NONE,
        moved: (SELECT VALUE upto FROM ONLY backfill:moving) ?? 0,
        first: (SELECT VALUE record::id(id) FROM scan LIMIT 1)[0] ?? 1,
        last: (SELECT VALUE value FROM ONLY counter:scan) ?? 0,
    };";

const READ: &str = concat!("RETURN { rows: (SELECT id, ", earlier!(), " FROM $range WHERE document != NONE) };");

const MOVE: &str = concat!(
    "BEGIN;
    FOR $row IN $rows {
        LET $columns = $row.columns;
        LET $moved = UPDATE $row.key SET ",
    set_columns!(),
    ", document = NONE, leased_at = NONE, lease = NONE, project = 'default' WHERE document != NONE AND version = $columns.version RETURN VALUE version;
        LET $results = $row.results;
        IF array::len($moved) > 0 {",
    write_results!(),
    "};
    };
    COMMIT;"
);

/// Keeps the text of a row that cannot be read.
const MOVE_UNREADABLE: &str = "
    UPDATE $key SET body = document, granted_at = leased_at, attempt = attempt ?? 0, project = 'default', document = NONE, leased_at = NONE
        WHERE document != NONE RETURN NONE;";

const NOTE: &str = "UPSERT backfill:moving SET upto = $upto RETURN NONE;";

/// One statement for each index.
const INDEXES: &str = include_str!("migrations/0011_then_indexes.surql");

/// The longest pause between two looks at the build of an index.
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// Fails if a scan was submitted since the last one was read: a process of an earlier version may
/// have written it while the schema changed.
const FINISH: &str = "
    BEGIN;
    IF ((SELECT VALUE value FROM ONLY counter:scan FOR UPDATE) ?? 0) > $upto { THROW 'there are more scans' };
    CREATE backfill:plugins SET upto = $upto RETURN NONE;
    DELETE backfill:moving RETURN NONE;
    COMMIT;";

/// Moves what is left to move when the database is opened.
pub(super) async fn run(db: &Database) -> Result<(), OpenError> {
    move_all(db).await.map_err(|source| OpenError::Database {
        doing: "move the plugins of earlier versions to rows of their own",
        source: Box::new(source),
    })
}

/// Moves what is left to move.
pub(super) async fn move_all(db: &Database) -> Result<(), StoreError> {
    let State { is_complete, moved, first, mut last } = calls::call_again(db, STATE, Nothing {}).await?;
    if is_complete {
        return Ok(());
    }
    let mut first = first.max(moved + 1);
    loop {
        while first <= last {
            let until = (first + CHUNK - 1).min(last);
            move_range(db, first, until).await?;
            calls::execute_again(db, NOTE, Upto { upto: until }).await?;
            first = until + 1;
        }
        if last == 0 {
            define_all(db).await?;
        } else {
            define_indexes(db).await?;
        }
        match calls::execute_again(db, FINISH, Upto { upto: last }).await {
            Err(error) if error.failure() == Failure::Thrown => {
                let state: State = calls::call_again(db, STATE, Nothing {}).await?;
                last = state.last;
            }
            // Another process that started at the same time finished first, or the response was
            // lost.
            Err(error) if error.failure() == Failure::Exists => return Ok(()),
            other => return Ok(other?),
        }
    }
}

#[derive(Debug, SurrealValue)]
struct Build {
    status: Option<String>,
    error: Option<String>,
}

/// Defines the indexes of lists, one after the other, and waits until each is built. The engine
/// builds an index in the background, because over many rows that takes longer than a call may. A
/// build that another process began, or one that was interrupted, is waited for as well.
async fn define_indexes(db: &Database) -> Result<(), StoreError> {
    for statement in INDEXES.lines().filter_map(|line| line.trim().strip_suffix(';')) {
        let mut words = statement.split_whitespace().skip_while(|word| *word != "EXISTS").skip(1);
        let (Some(name), Some("ON"), Some(table)) = (words.next(), words.next(), words.next()) else { continue };
        run_definition(db, &format!("{statement} CONCURRENTLY;")).await?;
        let look = format!(
            "LET $index = INFO FOR INDEX {name} ON {table};
            RETURN {{ status: $index.building.status, error: $index.building.error }};"
        );
        let (mut pause, mut tries) = (Duration::from_millis(2), Tries::default());
        loop {
            let build: Build = match calls::call_text(db, look.clone(), Nothing {}).await {
                Err(error) => {
                    tries.after(error).await?;
                    continue;
                }
                Ok(build) => build,
            };
            match (build.status.as_deref(), build.error) {
                (Some("ready"), _) => break,
                (Some("error" | "aborted"), error) | (_, error @ Some(_)) => {
                    let why = error.unwrap_or_else(|| "its build ended".into());
                    return Err(row::corrupt(format!("the index {name} was not built: {why}")));
                }
                _ => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }
    Ok(())
}

/// Defines the indexes of a database without scans, where each is built at once.
async fn define_all(db: &Database) -> Result<(), StoreError> {
    run_definition(db, INDEXES).await
}

/// Runs definitions, again if another process runs the same ones.
async fn run_definition(db: &Database, sql: &str) -> Result<(), StoreError> {
    let mut tries = Tries::default();
    loop {
        match calls::execute(db, sql, Nothing {}).await {
            Err(error) if error.failure() == Failure::Exists => tries.after_collision().await?,
            Err(error) => tries.after(error).await?,
            Ok(()) => return Ok(()),
        }
    }
}

/// Moves the scans with the numbers from `first` to `until`. A row that changed between its read and
/// its move is read again.
pub(super) async fn move_range(db: &Database, first: i64, until: i64) -> Result<(), StoreError> {
    let range = || RecordId::new("scan", RecordIdKeyRange::from(first..=until));
    let mut kept = HashSet::new();
    loop {
        let Rows { rows } = calls::call_again(db, READ, Range { range: range() }).await?;
        if !move_rows(db, rows, &mut kept).await? {
            return Ok(());
        }
    }
}

/// Moves rows. Returns `false` if none of them is movable; `kept` holds those that are not.
async fn move_rows(db: &Database, rows: Vec<Value>, kept: &mut HashSet<ScanId>) -> Result<bool, StoreError> {
    let mut is_movable = false;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let Keyed { id, record, .. } = row::keyed(row)?;
        if kept.contains(&id) {
            continue;
        }
        let key = RecordId::new("scan", row::signed(id.0)?);
        let (columns, results) = match record.and_then(|record| Ok((Columns::of(&record)?, Results::of(&record)?))) {
            Ok(moved) => moved,
            Err(error) => {
                kept.insert(id);
                tracing::error!(
                    scan.id = id.0,
                    error = &error as &dyn std::error::Error,
                    "the row of a scan cannot be read; it is kept as it is"
                );
                if let Err(error) = calls::execute_again(db, MOVE_UNREADABLE, Unreadable { key }).await {
                    tracing::warn!(
                        scan.id = id.0,
                        error = &error as &dyn std::error::Error,
                        "the unreadable row of a scan keeps its old shape"
                    );
                }
                continue;
            }
        };
        is_movable = true;
        bytes += columns.body.len() + results.bytes();
        batch.push(MovedRow { key, columns, results });
        if bytes >= MOST_BYTES {
            calls::execute_again(db, MOVE, Moved { rows: std::mem::take(&mut batch) }).await?;
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        calls::execute_again(db, MOVE, Moved { rows: batch }).await?;
    }
    Ok(is_movable)
}
