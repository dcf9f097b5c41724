//! Submissions: ids without gaps, idempotency keys, and batches.
//!
//! The id comes from a counter row in the same transaction, so an id is assigned exactly when its
//! row is committed. Concurrent writers of one counter would conflict, and each commit waits for
//! the disk. So the submissions of this process are queued, and one writer at a time commits all
//! queued ones in one transaction.
//!
//! Each batch has a number, which the same transaction writes to this process's row in `submitter`.
//! When the response is lost, that row shows whether the batch was committed. If it was not, the
//! query ([`SETTLE`]) takes the batch number in the same step, so that the batch can no longer be
//! committed: its transaction may still be in transit, or pending on the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kastrel_actors::model::{DomainEvent, NewScan, ScanId, ScanRecord, Submitted};
use kastrel_actors::policy::listing::target_text;
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};
use tokio::sync::oneshot;

use super::calls::{self, OPERATION_LIMIT, Tries};
use super::embedded::RefusedBatch;
use super::error::{CallError, Failure};
use super::event::{EventRows, write_event};
use super::inner::Inner;
use super::row::{self, Columns};

/// The maximum number of submissions in one transaction.
const BATCH: usize = 64;

/// The timeout of a submission, including its queueing and its transaction. Other batches may be
/// ahead, and each batch may retry conflicts up to the limit of an operation.
const SUBMIT_LIMIT: Duration = OPERATION_LIMIT.saturating_mul(2);

/// The longest idempotency key, in bytes. It becomes part of a key in the storage engine, and one
/// submission must not break the transaction of others.
const MAX_KEY_BYTES: usize = 1024;

/// The queue of submissions that wait for their transaction. Each submission starts a task that
/// writes the next batch.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<Turn>,
}

impl Default for Queue {
    fn default() -> Self {
        let submitter = uuid::Uuid::new_v4().to_string();
        Self {
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::new(Turn { submitter, batch: 0, unanswered: None }),
        }
    }
}

/// The state that only the current writer may change.
#[derive(Debug)]
struct Turn {
    /// The key of this store's row in `submitter`.
    submitter: String,
    /// The number of the last batch.
    batch: i64,
    /// The last batch that was sent, while its outcome is unknown.
    unanswered: Option<RefusedBatch>,
}

impl Turn {
    fn row(&self) -> RecordId {
        RecordId::new("submitter", self.submitter.clone())
    }
}

#[derive(Debug)]
struct Waiting {
    scan: NewScan,
    answer: oneshot::Sender<Result<Submitted, StoreError>>,
}

impl Queue {
    fn push(&self, one: Waiting) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }

    /// The next submissions to write. Submissions whose callers are dropped are left out: a caller
    /// that got an error must not find the scan later.
    fn take_batch(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|one| !one.answer.is_closed());
        let batch = waiting.len().min(BATCH);
        waiting.drain(..batch).collect()
    }
}

impl Queue {
    /// Queues a submission, and waits until its batch is written.
    pub(super) async fn submit(self: &Arc<Self>, inner: &Arc<Inner>, scan: NewScan) -> Result<Submitted, StoreError> {
        if scan.idempotency_key.as_ref().is_some_and(|key| key.len() > MAX_KEY_BYTES) {
            return Err(row::corrupt(format!("an idempotency key has more than {MAX_KEY_BYTES} bytes")));
        }
        let (answer, answered) = oneshot::channel();
        self.push(Waiting { scan, answer });
        let (queue, inner) = (Arc::clone(self), Arc::clone(inner));
        // A separate task: a dropped caller must not cancel the submissions of others.
        drop(tokio::spawn(async move {
            let mut turn = queue.turn.lock().await;
            write_batch(&inner, &mut turn, queue.take_batch()).await;
        }));
        match tokio::time::timeout(SUBMIT_LIMIT, answered).await {
            Ok(answer) => answer.map_err(|_| CallError::Abandoned)?,
            Err(_) => Err(CallError::TimedOut(SUBMIT_LIMIT).into()),
        }
    }

    /// The key of this store's row in `submitter`, and the number of its last batch.
    #[cfg(test)]
    pub(super) async fn submitter(&self) -> (String, i64) {
        let turn = self.turn.lock().await;
        (turn.submitter.clone(), turn.batch)
    }
}

impl Inner {
    /// The scan that was created by a submission with this key.
    pub(super) async fn by_key(&self, key: &str) -> Result<Option<ScanRecord>, StoreError> {
        let keys = Keys { keys: vec![row::idempotency_key(key)] };
        let UsedKeys { used } = calls::call_again(&self.db, FIND_KEYS, keys).await?;
        let Some(used) = used.first() else { return Ok(None) };
        Ok(self.read(ScanId(row::unsigned(used.scan)?)).await?.map(|read| read.record))
    }
}

async fn write_batch(inner: &Inner, turn: &mut Turn, batch: Vec<Waiting>) {
    if batch.is_empty() {
        return;
    }
    let scans: Vec<&NewScan> = batch.iter().map(|one| &one.scan).collect();
    let answers = write(inner, turn, &scans).await;
    match answers {
        Ok(answers) => {
            for (one, answer) in batch.into_iter().zip(answers) {
                // An error only means that the caller no longer waits.
                let _ = one.answer.send(answer);
            }
        }
        Err(WriteError::Call(error)) => {
            // A submission whose caller gets an error must not run later.
            if let Some(refused) = turn.unanswered.take() {
                inner.db.refuse(refused).await;
            }
            for one in batch {
                let _ = one.answer.send(Err(error.clone().into()));
            }
        }
        Err(WriteError::Row(error)) => {
            let text = error.to_string();
            for one in batch {
                let _ = one.answer.send(Err(row::corrupt(text.clone())));
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{0}")]
    Row(String),
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        match std::error::Error::source(&error) {
            Some(source) => Self::Row(source.to_string()),
            None => Self::Row(error.to_string()),
        }
    }
}

#[derive(Debug, Clone, SurrealValue)]
struct Keys {
    keys: Vec<RecordId>,
}

#[derive(Debug, SurrealValue)]
struct UsedKeys {
    used: Vec<UsedKey>,
}

#[derive(Debug, SurrealValue)]
struct UsedKey {
    key: String,
    scan: i64,
}

#[derive(Debug, SurrealValue)]
struct NewRow {
    ordinal: i64,
    key: Option<RecordId>,
    target: String,
    mode: String,
    owner: Option<String>,
    project: String,
    aim: RecordId,
    trace: String,
    rank: i64,
    body: String,
    /// The scan is known within the transaction.
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct NewRows {
    submitter: RecordId,
    batch: i64,
    offset: i64,
    amount: i64,
    rows: Vec<NewRow>,
}

#[derive(Debug, SurrealValue)]
struct Born {
    last: i64,
    now: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Batch {
    submitter: RecordId,
    batch: i64,
}

#[derive(Debug, SurrealValue)]
struct Settled {
    last: Option<i64>,
    now: Option<i64>,
}

const FIND_KEYS: &str = "RETURN { used: (SELECT record::id(id)[0] AS key, scan FROM $keys) };";

const WRITE: &str = concat!(
    "BEGIN;
    LET $now = time::nano(time::now()) + $offset;
    LET $last = (SELECT VALUE value FROM ONLY counter:scan) ?? 0;
    IF (SELECT VALUE since FROM ONLY restore:running FOR UPDATE) != NONE { THROW 'the database is being restored' };
    IF ((SELECT VALUE batch FROM ONLY $submitter) ?? 0) >= $batch { THROW 'batch settled' };
    UPSERT $submitter SET batch = $batch, last = $last, at = $now RETURN NONE;
    UPSERT counter:scan SET value = $last + $amount RETURN NONE;
    FOR $row IN $rows {
        LET $number = $last + $row.ordinal;
        CREATE type::record('scan', $number) SET
            number = $number, status = 'pending', target = $row.target, mode = $row.mode, created_at = $now, version = 0, token = 0, failures = 0, trace = $row.trace,
            rank = $row.rank, due = $now, node = NONE, cancel = false, body = $row.body, owner = $row.owner, project = $row.project
            RETURN NONE;
        IF (SELECT VALUE first FROM ONLY $row.aim) = NONE { CREATE $row.aim SET first = $number RETURN NONE; };
        IF $row.key != NONE { CREATE $row.key SET scan = $number RETURN NONE; };
        LET $event = object::extend($row.event, { scan: $number });
        ",
    write_event!(),
    "
    };
    RETURN { last: $last, now: $now };
    COMMIT;"
);

/// Returns the outcome of a batch, and takes its number if it was not committed. Both transactions
/// write the same row, so they cannot both commit without seeing each other.
const SETTLE: &str = "
    BEGIN;
    LET $known = SELECT batch, last, at FROM ONLY $submitter;
    IF $known.batch != $batch { UPSERT $submitter SET batch = $batch, last = NONE, at = time::nano(time::now()) RETURN NONE; };
    RETURN IF $known.batch = $batch { { last: $known.last, now: $known.at } } ELSE { { last: NONE, now: NONE } };
    COMMIT;";

/// Writes `scans` in one transaction and returns the result of each, in order. An error for all of
/// them means that none was written, as far as that can be known.
async fn write(
    inner: &Inner,
    turn: &mut Turn,
    scans: &[&NewScan],
) -> Result<Vec<Result<Submitted, StoreError>>, WriteError> {
    let mut tries = Tries::default();
    loop {
        let used = find_keys(inner, scans).await?;
        let plan = Plan::new(scans, &used, inner.offset())?;
        if plan.records.is_empty() {
            return answers(inner, plan.places, plan.records, None).await;
        }
        inner.db.check_submission()?;
        turn.batch += 1;
        let amount = i64::try_from(plan.records.len()).map_err(row::corrupt)?;
        turn.unanswered = Some(RefusedBatch { submitter: turn.submitter.clone(), batch: turn.batch, amount });
        let rows =
            NewRows { submitter: turn.row(), batch: turn.batch, offset: inner.offset(), amount, rows: plan.rows };
        let born = match calls::call::<Born>(&inner.db, WRITE, rows).await {
            Ok(born) => born,
            Err(error) => {
                let failure = error.failure();
                if matches!(
                    failure,
                    Failure::Exists | Failure::Conflict | Failure::Thrown | Failure::Outdated | Failure::Unsent
                ) {
                    // Nothing was written, so there is nothing to withdraw.
                    turn.unanswered = None;
                }
                match failure {
                    // Another process took the id or the key. The next attempt reads what it wrote.
                    Failure::Exists => {
                        tries.after_collision().await?;
                        continue;
                    }
                    Failure::Conflict => {
                        tries.after(error).await?;
                        continue;
                    }
                    Failure::Lost => {
                        tries.after(error).await?;
                        match settle(inner, turn).await? {
                            Some(born) => born,
                            None => {
                                turn.unanswered = None;
                                continue;
                            }
                        }
                    }
                    Failure::Thrown | Failure::Outdated | Failure::Unsent | Failure::Unknown => {
                        return Err(error.into());
                    }
                }
            }
        };
        turn.unanswered = None;
        return answers(inner, plan.places, plan.records, Some(born)).await;
    }
}

/// The outcome of the last batch, whose response was lost. `None`: it was not committed, and never
/// will be.
async fn settle(inner: &Inner, turn: &Turn) -> Result<Option<Born>, CallError> {
    let settled: Settled =
        calls::call_again(&inner.db, SETTLE, Batch { submitter: turn.row(), batch: turn.batch }).await?;
    Ok(settled.last.zip(settled.now).map(|(last, now)| Born { last, now }))
}

async fn find_keys(inner: &Inner, scans: &[&NewScan]) -> Result<HashMap<String, ScanId>, WriteError> {
    let keys: Vec<RecordId> =
        scans.iter().filter_map(|scan| scan.idempotency_key.as_deref()).map(row::idempotency_key).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let found: UsedKeys = calls::call_again(&inner.db, FIND_KEYS, Keys { keys }).await?;
    found.used.into_iter().map(|used| Ok((used.key, ScanId(row::unsigned(used.scan)?)))).collect()
}

/// The result of a submission.
enum Place {
    /// A scan that already exists.
    Existing(ScanId),
    /// A new scan: its index in [`Plan::records`], and whether this submission creates it.
    New { at: usize, first: bool },
}

struct Plan {
    places: Vec<Place>,
    records: Vec<ScanRecord>,
    rows: Vec<NewRow>,
}

impl Plan {
    fn new(scans: &[&NewScan], used: &HashMap<String, ScanId>, offset: i64) -> Result<Self, StoreError> {
        let mut plan = Self { places: Vec::with_capacity(scans.len()), records: Vec::new(), rows: Vec::new() };
        let mut planned: HashMap<&str, usize> = HashMap::new();
        for scan in scans {
            let key = scan.idempotency_key.as_deref();
            let place = if let Some(id) = key.and_then(|key| used.get(key)) {
                Place::Existing(*id)
            } else if let Some(at) = key.and_then(|key| planned.get(key)) {
                Place::New { at: *at, first: false }
            } else {
                let at = plan.records.len();
                planned.extend(key.map(|key| (key, at)));
                let record = template(scan);
                let target = target_text(&record);
                plan.rows.push(NewRow {
                    ordinal: i64::try_from(at).map_err(row::corrupt)? + 1,
                    key: key.map(row::idempotency_key),
                    aim: row::text_key("aim", &target),
                    target,
                    mode: record.request.options.mode.as_str().to_owned(),
                    owner: record.owner.clone(),
                    project: record.project.to_string(),
                    trace: record.trace.to_string(),
                    rank: row::rank(record.request.options.priority),
                    body: Columns::of(&record)?.body,
                    event: EventRows::new(
                        &DomainEvent::ScanSubmitted { rerun_of: scan.rerun_of },
                        &scan.submitted_by,
                        None,
                        offset,
                    )?,
                });
                plan.records.push(record);
                Place::New { at, first: true }
            };
            plan.places.push(place);
        }
        Ok(plan)
    }
}

/// The record of a submission, without its id and its time.
fn template(scan: &NewScan) -> ScanRecord {
    ScanRecord::submitted(ScanId(0), scan.clone(), jiff::Timestamp::UNIX_EPOCH)
}

/// The results for each submission. The transaction is committed, so an error in one result affects
/// only that one.
async fn answers(
    inner: &Inner,
    places: Vec<Place>,
    mut records: Vec<ScanRecord>,
    born: Option<Born>,
) -> Result<Vec<Result<Submitted, StoreError>>, WriteError> {
    if let Some(born) = born {
        for (record, number) in records.iter_mut().zip(born.last + 1..) {
            row::with_identity(record, number, born.now)?;
        }
    }
    let mut answers = Vec::with_capacity(places.len());
    for place in places {
        answers.push(match place {
            Place::New { at, first } => match records.get(at) {
                Some(record) if first => Ok(Submitted::Created(record.clone())),
                Some(record) => Ok(Submitted::Existing(record.clone())),
                None => Err(row::corrupt("a planned record is missing")),
            },
            Place::Existing(id) => match inner.read(id).await {
                Ok(Some(read)) => Ok(Submitted::Existing(read.record)),
                Ok(None) => Err(row::corrupt(format!("the scan {id} of an idempotency key is missing"))),
                Err(error) => Err(error),
            },
        });
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use kastrel_actors::ports::ScanRepository as _;
    use kastrel_actors::testing::fixtures;

    use super::*;
    use crate::adapters::surreal_store::SurrealStore;

    #[test]
    fn submissions_of_dropped_callers_are_not_written() {
        let queue = Queue::default();
        let mut callers: Vec<_> = (0..3)
            .map(|number| {
                let (answer, answered) = oneshot::channel();
                queue.push(Waiting { scan: fixtures::new_scan(&format!("host-{number}.example.com")), answer });
                answered
            })
            .collect();
        drop(callers.remove(1));
        let targets: Vec<String> = queue.take_batch().iter().map(|one| one.scan.request.target.to_string()).collect();
        assert_eq!(targets, ["host-0.example.com", "host-2.example.com"]);
    }

    #[tokio::test]
    async fn an_unreadable_row_does_not_affect_other_submissions() {
        let store = SurrealStore::in_memory().await.unwrap();
        let keyed = NewScan { idempotency_key: Some("key".into()), ..fixtures::new_scan("example.com") };
        store.submit(keyed.clone()).await.unwrap();
        calls::execute(&store.inner.db, "UPDATE scan:1 SET body = 'spoilt';", Keys { keys: Vec::new() }).await.unwrap();
        let mut turn = store.submissions.turn.lock().await;
        let other = fixtures::new_scan("example.org");
        let answers = write(&store.inner, &mut turn, &[&keyed, &other]).await.unwrap();
        assert!(
            matches!(answers.as_slice(), [Err(StoreError::Corrupt(_)), Ok(Submitted::Created(record))] if record.id == ScanId(2)),
            "{answers:?}"
        );
    }
}
