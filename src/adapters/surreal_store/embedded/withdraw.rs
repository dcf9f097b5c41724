//! Withdraws submissions whose callers got an error although the commit may be on disk.
//!
//! The scan ids stay assigned: the counter is not decremented.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::RefusedBatch;
use crate::adapters::surreal_store::calls;
use crate::adapters::surreal_store::error::CallError;
use crate::adapters::surreal_store::executor::Executor;
use crate::adapters::surreal_store::row;

#[derive(Debug, Clone, SurrealValue)]
struct Asked {
    submitter: RecordId,
    batch: i64,
}

#[derive(Debug, SurrealValue)]
struct Written {
    last: Option<i64>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Scans {
    scans: Vec<RecordId>,
}

#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<Value>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Withdrawn {
    submitter: RecordId,
    batch: i64,
    scans: Vec<RecordId>,
    numbers: Vec<i64>,
    keys: Vec<RecordId>,
}

/// Reads the last id before the batch, if the batch was committed.
const ASK: &str = "RETURN { last: (SELECT VALUE last FROM ONLY $submitter WHERE batch = $batch) };";

/// Also reads rows that an earlier version wrote and that are not moved yet.
const READ: &str = "
    RETURN { rows: (SELECT id, number, version, created_at, body ?? document AS body, node, granted_at ?? leased_at AS granted_at, [] AS plugins
        FROM $scans) };";

/// Also writes the batch number, so that a batch that was not committed can no longer be committed.
const WITHDRAW: &str = "
    BEGIN;
    DELETE $scans RETURN NONE;
    DELETE $keys RETURN NONE;
    DELETE aim WHERE first IN $numbers RETURN NONE;
    LET $entries = DELETE audit WHERE scan IN $numbers RETURN BEFORE;
    FOR $entry IN $entries {
        DELETE type::record('audit_open', [$entry.at, record::id($entry.id)[1]]) RETURN NONE;
    };
    UPSERT $submitter SET batch = $batch, last = NONE, at = time::nano(time::now()) RETURN NONE;
    COMMIT;";

/// Deletes the committed scans of `batch`, and returns their number.
pub(super) async fn withdraw(db: &dyn Executor, batch: &RefusedBatch) -> Result<usize, CallError> {
    let submitter = RecordId::new("submitter", batch.submitter.clone());
    let asked = Asked { submitter: submitter.clone(), batch: batch.batch };
    let Written { last } = calls::call_again(db, ASK, asked).await?;
    let numbers: Vec<i64> = last.map(|last| (last + 1..=last + batch.amount).collect()).unwrap_or_default();
    let scans: Vec<RecordId> = numbers.iter().map(|number| RecordId::new("scan", *number)).collect();
    let Rows { rows } = if scans.is_empty() {
        Rows { rows: Vec::new() }
    } else {
        calls::call_again(db, READ, Scans { scans: scans.clone() }).await?
    };
    let withdrawn = rows.len();
    // A row that cannot be read is withdrawn like the others; its key is not known.
    let keys = rows
        .into_iter()
        .filter_map(|row| row::keyed(row).ok()?.record.ok()?.idempotency_key)
        .map(|key| row::idempotency_key(&key))
        .collect();
    calls::execute_again(db, WITHDRAW, Withdrawn { submitter, batch: batch.batch, scans, numbers, keys }).await?;
    Ok(withdrawn)
}
