//! The directives of operators: draining a node, and pausing the queue.

use std::time::Duration;

use kastrel_actors::model::{DomainEvent, NodeId, Principal, QueuePause};
use kastrel_actors::policy::events::drain_event;
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::calls::{self, Nothing};
use super::event::{EventRows, write_event};
use super::store::SurrealStore;
use super::{nodes, row};

#[derive(Debug, Clone, SurrealValue)]
struct DrainArguments {
    key: RecordId,
    within: Option<i64>,
    offset: i64,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct KeepArguments {
    key: RecordId,
    left: i64,
    offset: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct PauseArguments {
    reason: Option<String>,
    offset: i64,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct ResumeArguments {
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct Changed {
    changed: i64,
}

#[derive(Debug, SurrealValue)]
struct PauseAnswer {
    since: Option<i64>,
    reason: Option<String>,
}

const DRAIN: &str = concat!(
    "
    BEGIN;
    LET $by = IF $within != NONE { time::nano(time::now()) + $offset + $within } ELSE { NONE };
    LET $previous = SELECT VALUE drain_by FROM ONLY $key;
    LET $changed = UPDATE $key SET drain_by = $by, drain_within = $within WHERE registration = NONE RETURN VALUE name;
    IF array::len($changed) > 0 AND ($by != NONE OR $previous != NONE) { ",
    write_event!(),
    " };
    RETURN { changed: array::len($changed) };
    COMMIT;"
);

/// Writes an order again that was lost with the node's row.
const KEEP_DRAIN: &str = "
    BEGIN;
    UPDATE $key SET drain_by = time::nano(time::now()) + $offset + $left, drain_within = $left
        WHERE registration = NONE AND drain_by = NONE RETURN NONE;
    COMMIT;";

const PAUSE: &str = concat!(
    "
    BEGIN;
    LET $previous = SELECT begun, reason FROM ONLY pause:queue;
    LET $since = $previous.begun ?? time::nano(time::now()) + $offset;
    UPSERT pause:queue SET begun = $since, reason = $reason RETURN NONE;
    IF $previous.begun = NONE OR $previous.reason != $reason { ",
    write_event!(),
    " };
    RETURN { since: $since, reason: $reason };
    COMMIT;"
);

const RESUME: &str = concat!(
    "
    BEGIN;
    LET $ended = DELETE pause:queue RETURN BEFORE;
    IF array::len($ended) > 0 { ",
    write_event!(),
    " };
    RETURN { changed: array::len($ended) };
    COMMIT;"
);

/// Also reads the row of a schema of an earlier version.
const PAUSED: &str = "
    LET $pause = SELECT begun ?? since AS since, reason FROM ONLY pause:queue;
    RETURN { since: $pause.since, reason: $pause.reason };";

impl SurrealStore {
    pub(super) async fn drain(
        &self,
        node: &NodeId,
        within: Option<Duration>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let event = EventRows::new(&drain_event(node, within), by, None, self.inner.offset())?;
        let within = within.map(row::wait);
        let arguments = DrainArguments { key: nodes::node_key(node), within, offset: self.inner.offset(), event };
        let answer: Changed = calls::call_again(&self.inner.db, DRAIN, arguments).await?;
        Ok(answer.changed > 0)
    }

    pub(super) async fn keep_order(&self, node: &NodeId, left: Duration) -> Result<(), StoreError> {
        let arguments =
            KeepArguments { key: nodes::node_key(node), left: row::wait(left), offset: self.inner.offset() };
        Ok(calls::execute_again(&self.inner.db, KEEP_DRAIN, arguments).await?)
    }

    pub(super) async fn set_pause(&self, reason: Option<String>, by: &Principal) -> Result<QueuePause, StoreError> {
        let (event, offset) = (DomainEvent::QueuePaused { reason: reason.clone() }, self.inner.offset());
        let event = EventRows::new(&event, by, None, offset)?;
        let answer = calls::call_again(&self.inner.db, PAUSE, PauseArguments { reason, offset, event }).await?;
        pause(answer)?.ok_or_else(|| row::corrupt("a new pause has no beginning"))
    }

    pub(super) async fn end_pause(&self, by: &Principal) -> Result<bool, StoreError> {
        let event = EventRows::new(&DomainEvent::QueueResumed, by, None, self.inner.offset())?;
        let answer: Changed = calls::call_once(&self.inner.db, RESUME, ResumeArguments { event }).await?;
        Ok(answer.changed > 0)
    }

    pub(super) async fn current_pause(&self) -> Result<Option<QueuePause>, StoreError> {
        match calls::call_again(&self.inner.db, PAUSED, Nothing {}).await {
            // The first schema has no such table, and this query also runs before the migration.
            Err(error) if error.is_missing_ground() => Ok(None),
            answer => pause(answer?),
        }
    }
}

fn pause(answer: PauseAnswer) -> Result<Option<QueuePause>, StoreError> {
    answer.since.map(|since| Ok(QueuePause { since: row::timestamp(since)?, reason: answer.reason })).transpose()
}
