//! Leases a scan in one statement: a start costs one round trip, and no other writer can come
//! between reading the row and leasing it.
//!
//! The database cannot edit JSON text, so the statement writes only columns. The body keeps its
//! content from before the lease, and the row additionally holds the time and the name of the
//! lease. A reader of such a row applies the transition ([`StoredScan::into_record`]), and the next
//! change writes a new body. The conditions of the statement are those of `policy::transition`.
//!
//! The name makes a retry idempotent: the retry recognizes a lease whose response was lost. A
//! delayed statement may lease a row that is pending again, for a node that no longer expects it;
//! that node's reconciler hands the scan back.

use kastrel_actors::model::{Command, NodeId, ScanId};
use kastrel_actors::policy::transition::{Refusal, Transition, transition};
use kastrel_actors::ports::{Applied, StoreError};
use surrealdb::types::{RecordId, SurrealValue};

use super::calls::{self, Tries};
use super::error::{CallError, Failure};
use super::nodes;
use super::row::{self, StoredScan, stored};
use super::store::SurrealStore;

#[derive(Debug, Clone, SurrealValue)]
struct Arguments {
    key: RecordId,
    node: RecordId,
    name: String,
    lease: String,
    /// The version of a row that was found to be due although its `due` column is in the future,
    /// and the time until which that holds.
    seen: Option<i64>,
    since: Option<i64>,
    offset: i64,
}

#[derive(Debug, SurrealValue)]
struct Answer {
    row: Option<StoredScan>,
}

/// FOR UPDATE makes the commit fail if another writer changes the node's row. With a plain read,
/// this lease could be committed while a reconciler ends the node's lease.
const LEASE: &str = concat!(
    "BEGIN;
    IF (SELECT VALUE lease FROM ONLY $key) != $lease {
        IF (SELECT VALUE begun FROM ONLY pause:queue) != NONE { THROW 'queue paused' };
        LET $now = time::nano(time::now()) + $offset;
        LET $held = SELECT expires_at, drain_by FROM ONLY $node FOR UPDATE;
        IF $held = NONE OR $held.expires_at <= $now { THROW 'node lease ended' };
        IF $held.drain_by != NONE { THROW 'node draining' };
        UPDATE $key SET
            status = 'running', version += 1, token += 1, rank = NONE, due = NONE, node = $name, attempt += 1, granted_at = $now, lease = $lease
            WHERE status = 'pending' AND (due <= $now OR (version = $seen AND $now < $since)) RETURN NONE;
    };
    RETURN { row: (SELECT ",
    stored!(),
    " FROM ONLY $key WHERE lease = $lease) };
    COMMIT;"
);

impl SurrealStore {
    pub(super) async fn lease(&self, id: ScanId, node: &NodeId) -> Result<Applied, StoreError> {
        let Some(key) = row::scan_key(id) else { return Ok(Applied::Missing) };
        let lease = uuid::Uuid::new_v4().to_string();
        let mut arguments = Arguments {
            key,
            node: nodes::node_key(node),
            name: node.to_string(),
            lease,
            seen: None,
            since: None,
            offset: self.inner.offset(),
        };
        let mut tries = Tries::default();
        loop {
            let refusal = match calls::call::<Answer>(&self.inner.db, LEASE, arguments.clone()).await {
                Ok(Answer { row: Some(leased) }) => return Ok(Applied::Committed(self.inner.complete(leased).await?)),
                Ok(Answer { row: None }) => None,
                Err(error) => match error.failure() {
                    Failure::Thrown => Some(thrown(&error)),
                    Failure::Conflict | Failure::Lost => {
                        tries.after(error).await?;
                        continue;
                    }
                    Failure::Exists | Failure::Unsent | Failure::Outdated | Failure::Unknown => {
                        return Err(error.into());
                    }
                },
            };
            let Some(read) = self.read(id).await? else { return Ok(Applied::Missing) };
            match (transition(&read.record, &Command::Lease { node: node.clone() }, read.now), refusal) {
                (Transition::Refused(refusal), _) | (Transition::Changed(_), Some(refusal)) => {
                    return Ok(Applied::Refused(refusal, read.record));
                }
                // The row became due, or was handed back, after the statement ran; or the clock was
                // set back, and only the body shows that the row is due.
                (Transition::Changed(_), None) => {
                    arguments.seen = Some(row::signed(read.record.version)?);
                    arguments.since = Some(row::nanoseconds(read.record.waits_since()));
                    tries.after_collision().await?;
                }
            }
        }
    }
}

/// The refusal for the text that [`LEASE`] threw.
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
