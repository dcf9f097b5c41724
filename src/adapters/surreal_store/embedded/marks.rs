//! The database side of the high-water record: increments the mark, and reads the state of the
//! database.

use surrealdb::types::SurrealValue;

use super::high_water::Found;
use crate::adapters::surreal_store::calls::{self, Nothing};
use crate::adapters::surreal_store::error::CallError;
use crate::adapters::surreal_store::executor::Executor;

#[derive(Debug, Clone, SurrealValue)]
struct NewMark {
    mark: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Accepted {
    least: i64,
    detail: String,
}

#[derive(Debug, SurrealValue)]
struct Answer {
    installation: Option<String>,
    mark: Option<i64>,
    last: Option<i64>,
    scans: i64,
}

/// The state of the database, as an object.
macro_rules! found {
    () => {
        "RETURN {
            installation: (SELECT VALUE name FROM ONLY installation:this),
            mark: (SELECT VALUE mark FROM ONLY high_water:this),
            last: (SELECT VALUE value FROM ONLY counter:scan),
            scans: math::sum([
                (SELECT count() FROM scan WHERE status = 'pending' GROUP ALL)[0].count ?? 0,
                (SELECT count() FROM scan WHERE status = 'running' GROUP ALL)[0].count ?? 0,
                (SELECT count() FROM scan WHERE status = 'completed' GROUP ALL)[0].count ?? 0,
                (SELECT count() FROM scan WHERE status = 'failed' GROUP ALL)[0].count ?? 0,
                (SELECT count() FROM scan WHERE status = 'cancelled' GROUP ALL)[0].count ?? 0,
            ]),
        };"
    };
}

const FOUND: &str = found!();

/// Everything that the transaction sees was committed before it, and its own commit follows in the
/// log. When this commit is on disk, so is everything that the response counts.
const MARK: &str = concat!("BEGIN; UPSERT high_water:this SET mark = $mark RETURN NONE;", found!(), "COMMIT;");

/// Raises the counter, so that scan ids that were assigned before a loss are not assigned again.
const ACCEPT: &str = "
    BEGIN;
    LET $last = (SELECT VALUE value FROM ONLY counter:scan) ?? 0;
    IF $last < $least { UPSERT counter:scan SET value = $least RETURN NONE; };
    CREATE storage_event SET at = time::nano(time::now()), kind = 'loss_accepted', detail = $detail RETURN NONE;
    COMMIT;";

const RAISE: &str = "
    BEGIN;
    LET $last = (SELECT VALUE value FROM ONLY counter:scan) ?? 0;
    IF $last < $least { UPSERT counter:scan SET value = $least RETURN NONE; };
    COMMIT;";

/// Reads the state of the database.
pub(super) async fn found(db: &dyn Executor) -> Result<Found, CallError> {
    read(calls::call_again(db, FOUND, Nothing {}).await?)
}

/// Commits `mark`, and returns the state of the database in that transaction.
pub(super) async fn mark(db: &dyn Executor, mark: u64) -> Result<Found, CallError> {
    let mark = i64::try_from(mark).map_err(|error| CallError::Shape(error.to_string()))?;
    read(calls::call_again(db, MARK, NewMark { mark }).await?)
}

/// Marks the ids up to `least` as assigned.
pub(in super::super) async fn keep_ids_above(db: &dyn Executor, least: u64) -> Result<(), CallError> {
    calls::execute_again(db, RAISE, Accepted { least: i64::try_from(least).unwrap_or(i64::MAX), detail: String::new() })
        .await
}

/// Records that an operator accepted a loss. `least` is the last scan id that is known to be
/// assigned.
pub(super) async fn accept(db: &dyn Executor, least: u64, detail: String) -> Result<(), CallError> {
    calls::execute_again(db, ACCEPT, Accepted { least: i64::try_from(least).unwrap_or(i64::MAX), detail }).await
}

fn read(answer: Answer) -> Result<Found, CallError> {
    let unsigned = |number: i64| u64::try_from(number).map_err(|error| CallError::Shape(error.to_string()));
    Ok(Found {
        installation: answer.installation.unwrap_or_default(),
        mark: answer.mark.map(unsigned).transpose()?,
        last_scan: unsigned(answer.last.unwrap_or_default())?,
        scans: unsigned(answer.scans)?,
    })
}
