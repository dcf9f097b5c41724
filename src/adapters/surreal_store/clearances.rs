//! The clearances of targets: the port [`ClearanceStore`].
//!
//! Each change and its entry of the audit log are one transaction. A call that is repeated after a
//! lost response finds its own row by `made_by`; a removal whose row was there before the lost
//! response, and is gone after it, was committed.

use async_trait::async_trait;
use kastrel_actors::model::{Clearance, DomainEvent, Host, HostPattern, Principal, ProjectId};
use kastrel_actors::ports::{ClearanceStore, StoreError};
use surrealdb::types::{Array, RecordId, SurrealValue};

use super::calls;
use super::event::{EventRows, write_event};
use super::row;
use super::store::SurrealStore;

/// The columns of a clearance.
#[derive(Debug, Clone, SurrealValue)]
struct ClearanceRow {
    project: String,
    pattern: String,
    level: String,
    authorised_by: String,
    at: i64,
    until: Option<i64>,
    text: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct OfProject {
    project: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct Keys {
    keys: Vec<RecordId>,
}

#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<ClearanceRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct SetArguments {
    key: RecordId,
    row: ClearanceRow,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct RemoveArguments {
    key: RecordId,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct Gone {
    gone: i64,
}

macro_rules! clearance_columns {
    () => {
        "project, pattern, level, authorised_by, at, until, text"
    };
}

const OF_PROJECT: &str =
    concat!("RETURN { rows: (SELECT ", clearance_columns!(), " FROM clearance:[$project]..[$project + '!']) };");

/// One read of each row that can exist.
const OF_KEYS: &str = concat!("RETURN { rows: (SELECT ", clearance_columns!(), " FROM $keys) };");

const SET: &str = concat!(
    "
    BEGIN;
    IF (SELECT VALUE made_by FROM ONLY $key) != $event.nonce {
        UPSERT $key SET
            project = $row.project, pattern = $row.pattern, level = $row.level, authorised_by = $row.authorised_by, at = $row.at,
            until = $row.until, text = $row.text, made_by = $event.nonce
            RETURN NONE;
        ",
    write_event!(),
    "
    };
    COMMIT;"
);

const REMOVE: &str = concat!(
    "
    BEGIN;
    LET $gone = DELETE $key RETURN BEFORE;
    IF array::len($gone) > 0 { ",
    write_event!(),
    " };
    RETURN { gone: array::len($gone) };
    COMMIT;"
);

/// The key of the row of a clearance.
fn clearance_key(project: &ProjectId, pattern: &HostPattern) -> RecordId {
    let parts = vec![project.to_string().into_value(), pattern.to_string().into_value()];
    RecordId::new("clearance", Array::from(parts))
}

impl ClearanceRow {
    fn new(clearance: Clearance) -> Self {
        let Clearance { project, pattern, level, authorised_by, at, until, text } = clearance;
        Self {
            project: project.to_string(),
            pattern: pattern.to_string(),
            level: level.to_string(),
            authorised_by: authorised_by.to_string(),
            at: row::nanoseconds(at),
            until: until.map(row::nanoseconds),
            text,
        }
    }

    fn into_clearance(self) -> Result<Clearance, StoreError> {
        Ok(Clearance {
            project: self.project.parse().map_err(row::corrupt)?,
            pattern: self.pattern.parse().map_err(row::corrupt)?,
            level: self.level.parse().map_err(row::corrupt)?,
            authorised_by: self.authorised_by.parse().map_err(row::corrupt)?,
            at: row::timestamp(self.at)?,
            until: self.until.map(row::timestamp).transpose()?,
            text: self.text,
        })
    }
}

impl Rows {
    fn into_clearances(self) -> Result<Vec<Clearance>, StoreError> {
        let mut all = self.rows.into_iter().map(ClearanceRow::into_clearance).collect::<Result<Vec<_>, _>>()?;
        all.sort_by(|one, other| one.pattern.cmp(&other.pattern));
        Ok(all)
    }
}

impl SurrealStore {
    async fn clearances_at(&self, keys: Vec<RecordId>) -> Result<Vec<Clearance>, StoreError> {
        calls::call_again::<Rows>(&self.inner.db, OF_KEYS, Keys { keys }).await?.into_clearances()
    }
}

#[async_trait]
impl ClearanceStore for SurrealStore {
    async fn clearances(&self, project: &ProjectId) -> Result<Vec<Clearance>, StoreError> {
        let of_project = OfProject { project: project.to_string() };
        calls::call_again::<Rows>(&self.inner.db, OF_PROJECT, of_project).await?.into_clearances()
    }

    async fn clearances_for(&self, project: &ProjectId, host: &Host) -> Result<Vec<Clearance>, StoreError> {
        let patterns = HostPattern::covering(host);
        self.clearances_at(patterns.iter().map(|pattern| clearance_key(project, pattern)).collect()).await
    }

    async fn set_clearance(&self, clearance: Clearance) -> Result<(), StoreError> {
        let event = DomainEvent::ClearanceSet {
            project: clearance.project.clone(),
            pattern: clearance.pattern.clone(),
            level: clearance.level,
            until: clearance.until,
            text: clearance.text.clone(),
        };
        let arguments = SetArguments {
            key: clearance_key(&clearance.project, &clearance.pattern),
            event: EventRows::new(&event, &clearance.authorised_by, None, self.inner.offset())?,
            row: ClearanceRow::new(clearance),
        };
        Ok(calls::execute_again(&self.inner.db, SET, arguments).await?)
    }

    async fn remove_clearance(
        &self,
        project: &ProjectId,
        pattern: &HostPattern,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let key = clearance_key(project, pattern);
        // The row that was there before a removal whose response was lost. If it is missing
        // afterwards, the removal was committed.
        if self.clearances_at(vec![key.clone()]).await?.is_empty() {
            return Ok(false);
        }
        let event = DomainEvent::ClearanceRemoved { project: project.clone(), pattern: pattern.clone() };
        let arguments = RemoveArguments { key, event: EventRows::new(&event, by, None, self.inner.offset())? };
        let (answer, is_unanswered) = calls::call_again_noting_loss::<Gone>(&self.inner.db, REMOVE, arguments).await?;
        Ok(answer.gone > 0 || is_unanswered)
    }
}
