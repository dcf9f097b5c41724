//! Deletes a finished scan and its additional rows.

use kastrel_actors::model::{Deleted, DomainEvent, Principal, ScanId, ScanRecord};
use kastrel_actors::policy::events::key_of_deletion;
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::calls::{self, Tries};
use super::ended::Ended;
use super::error::Failure;
use super::event::{EventRows, write_event};
use super::store::SurrealStore;
use super::{findings, results, row};

#[derive(Debug, Clone, SurrealValue)]
struct Arguments {
    key: RecordId,
    expected: i64,
    number: i64,
    idempotency: Option<RecordId>,
    results: RecordId,
    notes: RecordId,
    ended: Ended,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct Answer {
    gone: i64,
}

/// The relay decrements the counts of the day, because a trend counts existing scans.
const DELETE: &str = concat!(
    "
    BEGIN;
    LET $gone = DELETE $key WHERE version = $expected RETURN BEFORE;
    IF array::len($gone) > 0 {
        DELETE $results RETURN NONE;
        DELETE $ended.key RETURN NONE;
        FOR $one IN $ended.found { DELETE $one.key RETURN NONE; };
        IF $idempotency != NONE { DELETE $idempotency RETURN NONE; };
        DELETE public_link WHERE scan = $number RETURN NONE;
        DELETE share WHERE scan = $number RETURN NONE;
        DELETE $notes RETURN NONE;
        DELETE scan_tag:[$number]..[$number + 1] RETURN NONE;
        ",
    write_event!(),
    "
    };
    RETURN { gone: array::len($gone) };
    COMMIT;"
);

impl SurrealStore {
    pub(super) async fn forget_scan(&self, id: ScanId, by: &Principal) -> Result<Deleted, StoreError> {
        let Some(key) = row::scan_key(id) else { return Ok(Deleted::Missing) };
        let number = row::signed(id.0)?;
        let mut tries = Tries::default();
        // A deletion whose response was lost. If the row is missing afterwards, the deletion was
        // committed.
        let mut unanswered: Option<ScanRecord> = None;
        loop {
            let Some(read) = self.read(id).await? else {
                return Ok(unanswered.map_or(Deleted::Missing, Deleted::Gone));
            };
            let Some(ended) = Ended::of(&read.record)? else { return Ok(Deleted::Refused(read.record)) };
            let idempotency = read.record.idempotency_key.as_deref().map(row::idempotency_key);
            let Some(at) = read.record.ended_at() else { return Ok(Deleted::Refused(read.record)) };
            let event = EventRows::new(
                &DomainEvent::ScanDeleted { status: read.record.status(), at, project: read.record.project.clone() },
                by,
                Some(key_of_deletion(&read.record)),
                self.inner.offset(),
            )?;
            let arguments = Arguments {
                key: key.clone(),
                expected: row::signed(read.record.version)?,
                number,
                idempotency,
                results: results::of_scans(number, number),
                notes: findings::notes_key(number),
                ended,
                event,
            };
            match calls::call::<Answer>(&self.inner.db, DELETE, arguments).await {
                Ok(Answer { gone: 0 }) => tries.after_collision().await?,
                Ok(_) => return Ok(Deleted::Gone(read.record)),
                Err(error) => {
                    if error.failure() == Failure::Lost {
                        unanswered = Some(read.record);
                    }
                    tries.after(error).await?;
                }
            }
        }
    }
}
