//! Converts a record to a row and back.

use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::model::{Command, PluginResult, Priority, ScanId, ScanRecord, ScanState};
use kastrel_actors::policy::transition::{Transition, transition};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{Array, RecordId, RecordIdKey, SurrealValue, Value};

use super::error::CallError;

/// The largest document that is written, in bytes. The engine's own limit is its memory table; a
/// larger row is an error of the caller.
pub(super) const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;

/// The columns of a [`StoredScan`], with the plugins of the last attempt. A row that an earlier
/// version wrote and that could not be moved has no attempt.
macro_rules! stored {
    () => {
        "number, version, created_at, body, node, granted_at,
            (SELECT VALUE result FROM plugin_result:[$parent.number, $parent.attempt ?? 0]..[$parent.number, ($parent.attempt ?? 0) + 1]) AS plugins"
    };
}
pub(super) use stored;

/// The columns of a [`ListedScan`].
macro_rules! listed {
    () => {
        "number, version, created_at, body, node, granted_at, listed"
    };
}
pub(super) use listed;

/// The columns of a [`StoredScan`] in a row of schema 10 or earlier, whose document has the
/// plugins. Columns that a schema does not have are `NONE`.
macro_rules! earlier {
    () => {
        "number, version, created_at, document AS body, node, leased_at AS granted_at, [] AS plugins"
    };
}
pub(super) use earlier;

/// Assigns `$columns`, the [`Columns`] of a row.
macro_rules! set_columns {
    () => {
        "status = $columns.status, version = $columns.version, token = $columns.token, failures = $columns.failures, rank = $columns.rank,
            due = $columns.due, node = $columns.node, cancel = $columns.cancel, attempt = $columns.attempt, body = $columns.body, listed = $columns.listed,
            granted_at = NONE"
    };
}
pub(super) use set_columns;

/// The columns of a row that its record is built from.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct StoredScan {
    pub(super) number: i64,
    pub(super) version: i64,
    pub(super) created_at: i64,
    /// The record without its plugins.
    pub(super) body: String,
    pub(super) node: Option<String>,
    /// Set while the body is older than the lease.
    pub(super) granted_at: Option<i64>,
    /// The plugins of the last attempt, in order. While the body is older than the lease there are
    /// none, and [`carries`](Self::carries) names the attempt whose plugins count.
    pub(super) plugins: Vec<String>,
}

/// The columns of a row in a list: it has of each plugin only what [`PluginResult::listed`] keeps.
#[derive(Debug, Clone, SurrealValue)]
struct ListedScan {
    number: i64,
    version: i64,
    created_at: i64,
    body: String,
    node: Option<String>,
    granted_at: Option<i64>,
    /// The plugins as one JSON text; `NONE` before the first attempt.
    listed: Option<String>,
}

impl ListedScan {
    fn into_record(self) -> Result<ScanRecord, StoreError> {
        let Self { number, version, created_at, body, node, granted_at, listed } = self;
        let plugins = match listed {
            Some(listed) => serde_json::from_str(&listed).map_err(corrupt)?,
            None => Vec::new(),
        };
        let stored = StoredScan { number, version, created_at, body, node, granted_at, plugins: Vec::new() };
        stored.record_with(plugins)
    }
}

impl StoredScan {
    /// The attempt whose plugins the lease of the row brings into the new one, if the row is that
    /// of a retry that was leased and not written since. Their rows do not change any more.
    pub(super) fn carries(&self) -> Result<Option<i64>, StoreError> {
        if self.granted_at.is_none() {
            return Ok(None);
        }
        let before: ScanRecord = serde_json::from_str(&self.body).map_err(corrupt)?;
        Ok(Some(attempt_of(&before)).filter(|attempt| *attempt > 0))
    }

    pub(super) fn into_record(self) -> Result<ScanRecord, StoreError> {
        let plugins = self.plugins.iter().map(|result| serde_json::from_str(result).map_err(corrupt));
        let plugins = plugins.collect::<Result<_, StoreError>>()?;
        self.record_with(plugins)
    }

    /// Builds the record. `plugins` are those of the row's attempt, or of the attempt before the
    /// lease while the body is older than the lease.
    fn record_with(self, plugins: Vec<PluginResult>) -> Result<ScanRecord, StoreError> {
        let mut record: ScanRecord = serde_json::from_str(&self.body).map_err(corrupt)?;
        let of_body = self.version - i64::from(self.granted_at.is_some());
        if of_body == 0 {
            // A submission is written before its id and its time are known, so its body
            // contains neither. The first change writes both.
            with_identity(&mut record, self.number, self.created_at)?;
        }
        if !plugins.is_empty() {
            record.plugins = plugins;
        }
        if let (Some(at), Some(node)) = (self.granted_at, &self.node) {
            record = leased(&record, node, at)?;
        }
        if i64::try_from(record.version) == Ok(self.version) && i64::try_from(record.id.0) == Ok(self.number) {
            Ok(record)
        } else {
            Err(corrupt(format!("the columns and the body of scan {} disagree", self.number)))
        }
    }
}

/// A row with its key, decoded separately.
#[derive(Debug)]
pub(super) struct Keyed {
    /// The scan id in the key.
    pub(super) id: ScanId,
    /// The number of the row in the indexes. In a valid row it equals the key.
    pub(super) number: i64,
    /// The record, or the reason why it is unreadable.
    pub(super) record: Result<ScanRecord, StoreError>,
}

/// Decodes a row with its `id`. An unreadable record is part of the result and not an error.
///
/// # Errors
/// The value is not a row of a scan.
pub(super) fn keyed(row: Value) -> Result<Keyed, CallError> {
    keyed_by(row, StoredScan::into_record)
}

/// Decodes a row of a list like [`keyed`].
pub(super) fn keyed_listed(row: Value) -> Result<Keyed, CallError> {
    keyed_by(row, ListedScan::into_record)
}

fn keyed_by<T: SurrealValue>(
    row: Value,
    into_record: fn(T) -> Result<ScanRecord, StoreError>,
) -> Result<Keyed, CallError> {
    let (key, number) = match &row {
        Value::Object(row) => {
            let key = match row.get("id") {
                Some(Value::RecordId(RecordId { key: RecordIdKey::Number(number), .. })) => Some(*number),
                _ => None,
            };
            (key, row.get("number").cloned().and_then(|number| i64::from_value(number).ok()))
        }
        _ => (None, None),
    };
    let key = key.ok_or_else(|| CallError::Shape("a row of a scan has no number as its key".into()))?;
    let id =
        ScanId(u64::try_from(key).map_err(|_| CallError::Shape("a row of a scan has no number as its key".into()))?);
    let record = match T::from_value(row).map_err(|error| corrupt(error.to_string())).and_then(into_record) {
        Ok(record) if record.id != id => Err(corrupt(format!("the row says that it is that of scan {}", record.id))),
        other => other,
    };
    Ok(Keyed { id, number: number.unwrap_or(key), record })
}

/// Applies a lease to the record from before the lease.
fn leased(before: &ScanRecord, node: &str, at: i64) -> Result<ScanRecord, StoreError> {
    match transition(before, &Command::Lease { node: node.parse().map_err(corrupt)? }, timestamp(at)?) {
        Transition::Changed(next) => Ok(*next),
        Transition::Refused(refusal) => Err(corrupt(format!("scan {} was leased although {refusal}", before.id))),
    }
}

/// Sets the id and the time of a submission.
pub(super) fn with_identity(record: &mut ScanRecord, number: i64, now: i64) -> Result<(), StoreError> {
    record.id = ScanId(unsigned(number)?);
    record.created_at = timestamp(now)?;
    if let ScanState::Pending { due, .. } = &mut record.state {
        *due = record.created_at;
    }
    Ok(())
}

/// The columns that change together with a row.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct Columns {
    pub(super) status: String,
    pub(super) version: i64,
    pub(super) token: i64,
    pub(super) failures: i64,
    pub(super) rank: Option<i64>,
    pub(super) due: Option<i64>,
    pub(super) node: Option<String>,
    pub(super) cancel: bool,
    pub(super) attempt: i64,
    pub(super) body: String,
    listed: Option<String>,
}

impl Columns {
    pub(super) fn of(record: &ScanRecord) -> Result<Self, StoreError> {
        let (rank, due, node) = match &record.state {
            ScanState::Pending { due, .. } => {
                (Some(rank(record.request.options.priority)), Some(nanoseconds(*due)), None)
            }
            ScanState::Running { node, .. } => (None, None, Some(node.to_string())),
            ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => (None, None, None),
        };
        let body = serde_json::to_string(&record.without_plugins()).map_err(corrupt)?;
        if body.len() > MAX_DOCUMENT_BYTES {
            return Err(corrupt(format!(
                "the row of scan {} would have {} bytes, more than {MAX_DOCUMENT_BYTES}",
                record.id,
                body.len()
            )));
        }
        Ok(Self {
            status: record.status().as_str().to_owned(),
            version: signed(record.version)?,
            token: signed(record.token.0)?,
            failures: i64::from(record.failures),
            rank,
            due,
            node,
            cancel: record.cancel_requested.is_some(),
            attempt: attempt_of(record),
            body,
            listed: listed_text(record)?,
        })
    }
}

/// The plugins of a record for lists.
fn listed_text(record: &ScanRecord) -> Result<Option<String>, StoreError> {
    if record.plugins.is_empty() {
        return Ok(None);
    }
    let listed: Vec<PluginResult> = record.plugins.iter().map(PluginResult::listed).collect();
    serde_json::to_string(&listed).map(Some).map_err(corrupt)
}

/// The number of the last attempt; 0 before the first.
pub(super) fn attempt_of(record: &ScanRecord) -> i64 {
    record.attempts.last().map_or(0, |attempt| i64::from(attempt.number.0))
}

/// The key of the row of an idempotency key.
pub(super) fn idempotency_key(key: &str) -> RecordId {
    text_key("idempotency", key)
}

/// An array with one element, so that no text can be interpreted as another kind of key.
pub(super) fn text_key(table: &str, text: &str) -> RecordId {
    RecordId::new(table, Array::from(vec![Value::String(text.to_owned())]))
}

/// The key of a row whose key is a list.
pub(super) fn parts_key<const N: usize>(parts: [Value; N]) -> RecordIdKey {
    RecordIdKey::Array(Array::from(Vec::from(parts)))
}

/// The record id of a scan; `None` for a number outside the range of ids.
pub(super) fn scan_key(id: ScanId) -> Option<RecordId> {
    i64::try_from(id.0).ok().map(|number| RecordId::new("scan", number))
}

/// The rank of a priority among queued scans: 0 is first.
pub(super) const fn rank(priority: Priority) -> i64 {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

/// A time as a column: whole nanoseconds since 1970. Times outside the range of a column are
/// clamped.
pub(super) fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(if at < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX })
}

/// A wait as an argument: whole nanoseconds. One that a column cannot hold becomes 73 years, so
/// that its sum with a time stays in the range of a column.
pub(super) fn wait(wait: Duration) -> i64 {
    i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX / 4)
}

pub(super) fn timestamp(nanoseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).map_err(corrupt)
}

pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(corrupt)
}

/// A row limit as the argument of a statement.
pub(super) fn at_most(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(corrupt)
}

pub(super) fn corrupt(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Corrupt(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_ranks_follow_the_order_of_priorities() {
        let ranks: Vec<i64> = Priority::ALL.iter().map(|priority| rank(*priority)).collect();
        assert_eq!(ranks, [0, 1, 2]);
    }

    #[test]
    fn times_outside_the_range_of_a_column_are_clamped() {
        assert_eq!((nanoseconds(Timestamp::MIN), nanoseconds(Timestamp::MAX)), (i64::MIN, i64::MAX));
        assert_eq!(timestamp(nanoseconds(Timestamp::UNIX_EPOCH)).unwrap(), Timestamp::UNIX_EPOCH);
    }
}
