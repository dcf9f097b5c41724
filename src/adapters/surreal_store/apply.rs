//! Reading one row, and changing it by compare-and-set.

use jiff::Timestamp;
use kastrel_actors::model::{Command, NodeId, ScanId, ScanRecord, ScanState};
use kastrel_actors::policy::transition::{Refusal, Transition, transition};
use kastrel_actors::ports::{Applied, StoreError};
use surrealdb::types::{RecordId, SurrealValue};

use super::calls::{self, Tries};
use super::ended::{Ended, write_ended};
use super::error::{CallError, Failure};
use super::nodes;
use super::row::{self, Columns, StoredScan};
use super::store::{Inner, SurrealStore};

/// A row and the database's time when it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) record: ScanRecord,
    now: Timestamp,
}

#[derive(Debug, Clone, SurrealValue)]
struct ReadArguments {
    key: RecordId,
    offset: i64,
}

#[derive(Debug, SurrealValue)]
struct ReadAnswer {
    row: Option<StoredScan>,
    now: i64,
}

#[derive(Debug, SurrealValue)]
struct WriteArguments {
    key: RecordId,
    expected: i64,
    row: Columns,
    ended: Option<Ended>,
    node: Option<RecordId>,
    offset: i64,
}

#[derive(Debug, SurrealValue)]
struct WriteAnswer {
    written: i64,
}

const READ: &str = "
    RETURN {
        row: (SELECT number, version, created_at, document FROM ONLY $key),
        now: time::nano(time::now()) + $offset,
    };";

macro_rules! update {
    () => {
        "LET $written = UPDATE $key SET
            status = $row.status, version = $row.version, token = $row.token, failures = $row.failures, rank = $row.rank, due = $row.due,
            node = $row.node, cancel = $row.cancel, document = $row.document
            WHERE version = $expected RETURN VALUE version;
        RETURN { written: array::len($written) };"
    };
}

const WRITE: &str = concat!("BEGIN;", update!(), "COMMIT;");

/// The change with which a scan ends brings the rows that are kept beside it.
const WRITE_END: &str = concat!(
    "BEGIN;
    IF (SELECT VALUE version FROM ONLY $key) = $expected {",
    write_ended!(),
    "};",
    update!(),
    "COMMIT;"
);

/// FOR UPDATE makes the commit fail if the node's row was changed meanwhile; a plain read would let this lease slip past a rescuer that ends the node's lease just now.
const WRITE_LEASE: &str = concat!(
    "BEGIN;
    IF (SELECT VALUE since FROM ONLY pause:queue) != NONE { THROW 'queue paused' };
    LET $lease = SELECT expires_at, drain_by FROM ONLY $node FOR UPDATE;
    IF $lease = NONE OR $lease.expires_at <= time::nano(time::now()) + $offset { THROW 'node lease ended' };
    IF $lease.drain_by != NONE { THROW 'node draining' };",
    update!(),
    "COMMIT;"
);

/// What [`WRITE_LEASE`] threw.
fn thrown(error: &CallError) -> Refusal {
    let text = match error {
        CallError::Failed(error) => error.message(),
        _ => "",
    };
    if text.contains("queue paused") {
        Refusal::QueuePaused
    } else if text.contains("node draining") {
        Refusal::NodeDraining
    } else {
        Refusal::NodeLeaseEnded
    }
}

/// What became of a write.
enum Written {
    Yes,
    /// Somebody else changed the row first.
    Lost,
    Refused(Refusal),
    /// The answer was lost, so nobody knows.
    Unknown(CallError),
    /// Nothing was sent, or the database failed.
    Failed(CallError),
}

impl Inner {
    pub(super) async fn read(&self, id: ScanId) -> Result<Option<Read>, StoreError> {
        let Some(key) = row::scan_key(id) else { return Ok(None) };
        let answer: ReadAnswer = calls::call_again(&self.db, READ, ReadArguments { key, offset: self.offset() }).await?;
        let Some(stored) = answer.row else { return Ok(None) };
        Ok(Some(Read { record: stored.into_record()?, now: row::timestamp(answer.now)? }))
    }

    async fn write(&self, key: RecordId, read: &ScanRecord, next: &ScanRecord, lease_of: Option<&NodeId>) -> Result<Written, StoreError> {
        let arguments = WriteArguments {
            key,
            expected: row::signed(read.version)?,
            row: Columns::of(next)?,
            ended: Ended::of(next)?,
            node: lease_of.map(nodes::node_key),
            offset: self.offset(),
        };
        let sql = match (lease_of, &arguments.ended) {
            (Some(_), _) => WRITE_LEASE,
            (None, Some(_)) => WRITE_END,
            (None, None) => WRITE,
        };
        Ok(match calls::call::<WriteAnswer>(&self.db, sql, arguments).await {
            Ok(WriteAnswer { written: 0 }) => Written::Lost,
            Ok(_) => Written::Yes,
            Err(error) => match error.failure() {
                Failure::Conflict | Failure::Exists => Written::Lost,
                Failure::Thrown => Written::Refused(thrown(&error)),
                Failure::Lost | Failure::Unknown => Written::Unknown(error),
                Failure::Unsent => Written::Failed(error),
            },
        })
    }
}

impl SurrealStore {
    pub(super) async fn read(&self, id: ScanId) -> Result<Option<Read>, StoreError> {
        self.inner.read(id).await
    }

    pub(super) async fn change(&self, id: ScanId, command: &Command) -> Result<Applied, StoreError> {
        let Some(key) = row::scan_key(id) else { return Ok(Applied::Missing) };
        let lease_of = match command {
            Command::Lease { node } => Some(node),
            Command::Progress { .. } | Command::Finish { .. } | Command::Cancel { .. } | Command::Rescue { .. } => None,
        };
        let mut tries = Tries::default();
        // A write whose answer was lost. It may yet be made, until the row has another version; so it is looked for first, and while the row is as it was the same write is sent again:
        // whichever of the two is made, it is ours.
        let mut unanswered: Option<ScanRecord> = None;
        loop {
            let Some(read) = self.read(id).await? else { return Ok(Applied::Missing) };
            if unanswered.as_ref().is_some_and(|wanted| was_made(wanted, &read.record)) {
                return Ok(Applied::Committed(read.record));
            }
            unanswered = unanswered.filter(|wanted| wanted.version == read.record.version + 1);
            let next = match &unanswered {
                Some(wanted) => wanted.clone(),
                None => match transition(&read.record, command, read.now) {
                    Transition::Changed(next) => *next,
                    Transition::Refused(refusal) => return Ok(Applied::Refused(refusal, read.record)),
                },
            };
            match self.inner.write(key.clone(), &read.record, &next, lease_of).await? {
                Written::Yes => return Ok(Applied::Committed(next)),
                Written::Refused(refusal) => {
                    let found = if unanswered.is_some() { self.read(id).await?.map_or(read.record, |read| read.record) } else { read.record };
                    let made = unanswered.as_ref().is_some_and(|wanted| was_made(wanted, &found));
                    return Ok(if made { Applied::Committed(found) } else { Applied::Refused(refusal, found) });
                }
                Written::Lost => tries.after_collision().await?,
                Written::Unknown(error) if error.failure() == Failure::Lost => {
                    tries.after(error).await?;
                    unanswered = Some(next);
                }
                Written::Unknown(error) => return self.read_back(id, next, error).await,
                Written::Failed(error) => return Err(error.into()),
            }
        }
    }

    /// After a write that the database did not clearly refuse: the row tells whether it was made. If it does not, the caller hears that nobody knows.
    async fn read_back(&self, id: ScanId, wanted: ScanRecord, error: CallError) -> Result<Applied, StoreError> {
        match self.read(id).await {
            Ok(Some(read)) if was_made(&wanted, &read.record) => Ok(Applied::Committed(read.record)),
            _ => Err(error.into()),
        }
    }
}

/// Whether the write of `wanted` is part of the history of `found`.
///
/// The same version with the same content is ours. After later changes, a write that began or ended an attempt is still told by that attempt's token, node and moments, which no other
/// write shares.
pub(super) fn was_made(wanted: &ScanRecord, found: &ScanRecord) -> bool {
    if found.version == wanted.version {
        return found == wanted;
    }
    let began_or_ended = wanted.attempts.last().filter(|_| found.version > wanted.version);
    began_or_ended.is_some_and(|attempt| match &wanted.state {
        // It ended an attempt: nothing else makes a row wait.
        ScanState::Pending { .. } => found.attempts.contains(attempt),
        ScanState::Running { .. } => {
            wanted.plugins.is_empty()
                && wanted.cancel_requested.is_none()
                && found.attempts.iter().any(|other| (other.token, other.started_at, &other.node) == (attempt.token, attempt.started_at, &attempt.node))
        }
        // Nothing changes such a row any more.
        ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => false,
    })
}
