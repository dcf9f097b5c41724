//! Brings the rows of earlier versions to the shape of this version. This happens once, before
//! anything else uses the database. Afterwards it costs one read.
//!
//! One walk over all scans does all of it, so each scan is read once: the plugins of an old row
//! move to rows of their own ([`split`](super::split)), and the rows beside the scan are written
//! ([`backfill`](super::backfill)). The indexes of lists are built afterwards
//! ([`indexes`]), because an index slows each write down.
//!
//! - **The position** of the walk is a row. The transaction that writes the rows beside the scans
//!   of a chunk moves the position, so an interruption at any moment repeats at most the reading of
//!   one chunk, and no scan is counted twice.
//! - **Several processes** may walk at the same time. The one that moves the position first has
//!   written the chunk, and the others continue behind it.

use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, RecordIdKeyRange, SurrealValue, Value};

use super::backfill::{Beside, write_beside};
use super::calls::{self, Nothing, Tries};
use super::error::{Failure, OpenError};
use super::executor::Executor;
use super::indexes;
use super::row::{self, Keyed};
use super::split::Moves;

/// How many scan numbers a chunk has.
const CHUNK: i64 = 50;

#[derive(Debug, SurrealValue)]
struct State {
    is_complete: bool,
    /// The number up to which scans were visited.
    walked: i64,
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
struct StepArguments {
    /// The position before the chunk.
    from: i64,
    upto: i64,
    beside: Beside,
}

/// The position after a step; it may be that of another process.
#[derive(Debug, SurrealValue)]
pub(super) struct Position {
    is_complete: bool,
    walked: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Upto {
    upto: i64,
}

/// The marks of the upgrades. Each version added one: `ended` (every finished scan has its `ended`
/// row), `severity` (those rows hold the worst severity), `results` (each plugin with results has
/// its `found` row), `ranks` (the `ended` rows hold each rank in a column of its own), and
/// `plugins` (each plugin has a row of its own). The migration to schema 11 deletes `ranks`,
/// because the rows beside the scans get their project, and a restore deletes all.
macro_rules! is_complete {
    () => {
        "(SELECT VALUE upto FROM ONLY backfill:plugins) != NONE AND (SELECT VALUE upto FROM ONLY backfill:ranks) != NONE"
    };
}

const STATE: &str = concat!(
    "RETURN {
        is_complete: ",
    is_complete!(),
    ",
        walked: (SELECT VALUE upto FROM ONLY backfill:walked) ?? 0,
        first: (SELECT VALUE record::id(id) FROM scan LIMIT 1)[0] ?? 1,
        last: (SELECT VALUE value FROM ONLY counter:scan) ?? 0,
    };"
);

/// Reads old and new rows. A row of schema 10 or earlier has a `document`.
const READ: &str = "
    RETURN { rows: (SELECT id, document != NONE AS is_old, number, version, created_at, body ?? document AS body, node, granted_at ?? leased_at AS granted_at,
        (SELECT VALUE result FROM plugin_result:[$parent.number, $parent.attempt ?? 0]..[$parent.number, ($parent.attempt ?? 0) + 1]) AS plugins
        FROM $range) };";

/// Writes the rows beside the scans of a chunk and moves the position, unless another process has
/// done that. The counts per day are added only to a database that has none yet.
const STEP: &str = concat!(
    "BEGIN;
    LET $is_complete = ",
    is_complete!(),
    ";
    IF !$is_complete AND ((SELECT VALUE upto FROM ONLY backfill:walked) ?? 0) = $from {
        ",
    write_beside!(),
    "
        IF (SELECT VALUE upto FROM ONLY backfill:ended) = NONE {
            FOR $day IN $beside.days {
                UPSERT $day.key SET
                    project = $day.project, date = $day.date, completed = (completed ?? 0) + $day.completed, failed = (failed ?? 0) + $day.failed,
                    cancelled = (cancelled ?? 0) + $day.cancelled RETURN NONE;
            };
        };
        UPSERT backfill:walked SET upto = $upto RETURN NONE;
    };
    RETURN { is_complete: $is_complete, walked: (SELECT VALUE upto FROM ONLY backfill:walked) ?? 0 };
    COMMIT;"
);

/// Fails if a scan was submitted since the last one was read: a process of an earlier version may
/// have written it while the schema changed. `moving` is the position of a walk that a build
/// between two versions began.
const FINISH: &str = "
    BEGIN;
    IF ((SELECT VALUE value FROM ONLY counter:scan FOR UPDATE) ?? 0) > $upto { THROW 'there are more scans' };
    UPSERT backfill:ended SET upto = $upto RETURN NONE;
    UPSERT backfill:severity SET upto = $upto RETURN NONE;
    UPSERT backfill:results SET upto = $upto RETURN NONE;
    UPSERT backfill:ranks SET upto = $upto RETURN NONE;
    UPSERT backfill:plugins SET upto = $upto RETURN NONE;
    DELETE backfill:walked RETURN NONE;
    DELETE backfill:moving RETURN NONE;
    COMMIT;";

/// Upgrades what is left to upgrade when the database is opened.
pub(super) async fn run(db: &dyn Executor) -> Result<(), OpenError> {
    upgrade(db).await.map_err(|source| OpenError::Database {
        doing: "upgrade the rows of earlier versions",
        source: Box::new(source),
    })
}

/// Upgrades what is left to upgrade.
pub(super) async fn upgrade(db: &dyn Executor) -> Result<(), StoreError> {
    loop {
        let State { is_complete, mut walked, first, last } = calls::call_again(db, STATE, Nothing {}).await?;
        if is_complete {
            return Ok(());
        }
        while first.max(walked + 1) <= last {
            let position = step(db, walked, first, last).await?;
            if position.is_complete {
                return Ok(());
            }
            walked = position.walked;
        }
        indexes::define(db, last == 0).await?;
        match calls::execute_again(db, FINISH, Upto { upto: last }).await {
            // There are more scans, or another process finished and the first scans were submitted.
            Err(error) if error.failure() == Failure::Thrown => {}
            other => return Ok(other?),
        }
    }
}

/// Visits the next chunk after `walked`.
async fn step(db: &dyn Executor, walked: i64, first: i64, last: i64) -> Result<Position, StoreError> {
    let begin = first.max(walked + 1);
    let upto = (begin + CHUNK - 1).min(last);
    let beside = visit(db, begin, upto).await?;
    write(db, walked, upto, beside).await
}

/// Writes the rows beside the scans after `from` up to `upto`, unless that is done already.
pub(super) async fn write(db: &dyn Executor, from: i64, upto: i64, beside: Beside) -> Result<Position, StoreError> {
    Ok(calls::call_again(db, STEP, StepArguments { from, upto, beside }).await?)
}

/// Moves the old rows among the scans from `first` to `until`, and returns the rows beside all of
/// them. Rows that changed between their read and their move are read again.
pub(super) async fn visit(db: &dyn Executor, first: i64, until: i64) -> Result<Beside, StoreError> {
    let range = RecordId::new("scan", RecordIdKeyRange::from(first..=until));
    let mut tries = Tries::default();
    loop {
        let Rows { rows } = calls::call_again(db, READ, Range { range: range.clone() }).await?;
        let (mut beside, mut moves) = (Beside::default(), Moves::new(db));
        for row in rows {
            let is_old = is_old(&row);
            let Keyed { id, record, .. } = row::keyed(row)?;
            match record {
                Ok(record) => {
                    if is_old {
                        moves.add(&record).await?;
                    }
                    beside.add(&record)?;
                }
                // An unreadable row must not block the others.
                Err(error) => {
                    tracing::error!(
                        scan.id = id.0,
                        error = &error as &dyn std::error::Error,
                        "the row of a scan cannot be read; lists go on without it"
                    );
                    if is_old {
                        moves.keep_text(id).await?;
                    }
                    beside.add_unreadable(id)?;
                }
            }
        }
        if moves.finish().await? {
            return Ok(beside);
        }
        tries.after_collision().await?;
    }
}

/// True for a row that an earlier version wrote and that is not moved yet.
fn is_old(row: &Value) -> bool {
    matches!(row, Value::Object(row) if row.get("is_old") == Some(&Value::Bool(true)))
}
