//! The outbox.

use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::{
    DeadLetter, DeliveryBacklog, DomainEvent, LeasedEntries, OutboxEntry, OutboxKey, Principal, ScanId, ScanStatus,
};
use kastrel_actors::policy::events::{OUTCOMES, OutcomeChange, counted};
use kastrel_actors::ports::{Outbox, StoreError};
use surrealdb::types::{RecordId, SurrealValue};
use tokio::sync::watch;

use super::calls;
use super::ended;
use super::error::Failure;
use super::event::{EventRows, key_in, outbox_key, write_event};
use super::row::{self, at_most};
use super::store::SurrealStore;

/// The number to which entries and dead letters are counted.
const MOST_COUNTED: usize = 10_000;

#[derive(Debug, Clone, SurrealValue)]
struct LeaseArguments {
    holder: String,
    limit: i64,
    lease: i64,
    offset: i64,
}

#[derive(Debug, SurrealValue)]
struct EntryRow {
    scan: i64,
    version: i64,
    event: String,
    tries: i64,
    done: Vec<String>,
}

#[derive(Debug, SurrealValue)]
struct Entries {
    entries: Vec<EntryRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct SettleArguments {
    holder: String,
    keys: Vec<RecordId>,
}

#[derive(Debug, Clone, SurrealValue)]
struct DeferArguments {
    holder: String,
    key: RecordId,
    wait: i64,
    done: Vec<String>,
    offset: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct BuryArguments {
    holder: String,
    key: RecordId,
    dead: RecordId,
    done: Vec<String>,
    reason: String,
    offset: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct ResendArguments {
    key: RecordId,
    dead: RecordId,
    offset: i64,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct BacklogArguments {
    limit: i64,
    offset: i64,
}

#[derive(Debug, SurrealValue)]
struct Backlog {
    waiting: i64,
    /// The age of the oldest entry, in nanoseconds.
    oldest: Option<i64>,
    dead: i64,
}

#[derive(Debug, SurrealValue)]
struct Changed {
    changed: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Limit {
    limit: i64,
}

#[derive(Debug, SurrealValue)]
struct LetterRow {
    scan: i64,
    version: i64,
    at: i64,
    event: String,
    tries: i64,
    reason: String,
}

#[derive(Debug, SurrealValue)]
struct Letters {
    rows: Vec<LetterRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Counted {
    key: RecordId,
    days: Vec<CountedDay>,
}

/// What an entry changes in the row of a project and a day.
#[derive(Debug, Clone, SurrealValue)]
struct CountedDay {
    day: RecordId,
    project: String,
    date: i64,
    completed: i64,
    failed: i64,
    cancelled: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct CountArguments {
    consumer: String,
    entries: Vec<Counted>,
}

const LEASE: &str = "
    BEGIN;
    LET $now = time::nano(time::now()) + $offset;
    LET $due = SELECT VALUE id FROM outbox WHERE since + wait <= $now OR since > $now LIMIT $limit;
    LET $leased = UPDATE $due SET since = $now, wait = $lease, holder = $holder RETURN scan, version, event, tries, done;
    RETURN { entries: $leased };
    COMMIT;";

const SETTLE: &str = "BEGIN; DELETE $keys WHERE holder = $holder RETURN NONE; COMMIT;";

const DEFER: &str = "
    BEGIN;
    UPDATE $key SET since = time::nano(time::now()) + $offset, wait = $wait, tries += 1, holder = NONE, done = array::union(done, $done)
        WHERE holder = $holder RETURN NONE;
    COMMIT;";

const BURY: &str = "
    BEGIN;
    LET $gone = DELETE $key WHERE holder = $holder RETURN BEFORE;
    FOR $entry IN $gone {
        CREATE $dead SET
            scan = $entry.scan, version = $entry.version, at = time::nano(time::now()) + $offset, event = $entry.event, tries = $entry.tries + 1,
            reason = $reason, done = array::union($entry.done, $done)
            RETURN NONE;
    };
    COMMIT;";

const RESEND: &str = concat!(
    "
    BEGIN;
    LET $gone = DELETE $dead RETURN BEFORE;
    FOR $letter IN $gone {
        LET $now = time::nano(time::now()) + $offset;
        CREATE $key SET
            scan = $letter.scan, version = $letter.version, at = $now, event = $letter.event, since = $now, wait = 0, tries = 0, holder = NONE,
            done = $letter.done
            RETURN NONE;
    };
    IF array::len($gone) > 0 { ",
    write_event!(),
    " };
    RETURN { changed: array::len($gone) };
    COMMIT;"
);

const BACKLOG: &str = "
    LET $at = SELECT VALUE at FROM outbox LIMIT $limit;
    LET $dead = SELECT VALUE at FROM dead_letter LIMIT $limit;
    RETURN {
        waiting: array::len($at),
        oldest: IF array::len($at) > 0 { time::nano(time::now()) + $offset - array::min($at) } ELSE { NONE },
        dead: array::len($dead),
    };";

const DEAD_LETTERS: &str = "
    RETURN { rows: (SELECT scan, version, at, event, tries, reason FROM dead_letter ORDER BY at DESC LIMIT $limit) };";

/// Counts an entry and marks it as accepted in one transaction. An entry that is gone was settled,
/// and so was counted.
const COUNT: &str = "
    BEGIN;
    FOR $one IN $entries {
        LET $done = SELECT VALUE done FROM ONLY $one.key;
        IF $done != NONE AND $consumer NOT IN $done {
            UPDATE $one.key SET done += $consumer RETURN NONE;
            FOR $part IN $one.days {
                UPSERT $part.day SET
                    project = $part.project, date = $part.date, completed = (completed ?? 0) + $part.completed,
                    failed = (failed ?? 0) + $part.failed, cancelled = (cancelled ?? 0) + $part.cancelled
                    RETURN NONE;
            };
        };
    };
    COMMIT;";

#[async_trait]
impl Outbox for SurrealStore {
    async fn lease_entries(&self, holder: &str, limit: usize, lease: Duration) -> Result<LeasedEntries, StoreError> {
        let arguments = LeaseArguments {
            holder: holder.to_owned(),
            limit: at_most(limit),
            lease: row::wait(lease),
            offset: self.inner.offset(),
        };
        let Entries { entries } = match calls::call(&self.inner.db, LEASE, arguments).await {
            // Another relay leases at this moment.
            Err(error) if error.failure() == Failure::Conflict => return Ok(LeasedEntries::default()),
            answer => answer?,
        };
        let mut leased = LeasedEntries::default();
        for entry in entries {
            // A row whose key cannot be read hides only itself.
            let Some(key) = readable("an entry of the outbox", key(entry.scan, entry.version)) else { continue };
            leased.add(key, &entry.event, u32::try_from(entry.tries).unwrap_or(u32::MAX), entry.done);
        }
        Ok(leased)
    }

    async fn settle(&self, holder: &str, keys: &[OutboxKey]) -> Result<(), StoreError> {
        let keys = keys.iter().copied().map(outbox_key).collect::<Result<_, _>>()?;
        Ok(calls::execute_again(&self.inner.db, SETTLE, SettleArguments { holder: holder.to_owned(), keys }).await?)
    }

    async fn defer(
        &self,
        holder: &str,
        key: OutboxKey,
        wait: Duration,
        accepted_by: &[String],
    ) -> Result<(), StoreError> {
        let arguments = DeferArguments {
            holder: holder.to_owned(),
            key: outbox_key(key)?,
            wait: row::wait(wait),
            done: accepted_by.to_vec(),
            offset: self.inner.offset(),
        };
        Ok(calls::execute_again(&self.inner.db, DEFER, arguments).await?)
    }

    async fn bury(&self, holder: &str, key: OutboxKey, accepted_by: &[String], reason: &str) -> Result<(), StoreError> {
        let arguments = BuryArguments {
            holder: holder.to_owned(),
            key: outbox_key(key)?,
            dead: key_in("dead_letter", key)?,
            done: accepted_by.to_vec(),
            reason: reason.to_owned(),
            offset: self.inner.offset(),
        };
        Ok(calls::execute_again(&self.inner.db, BURY, arguments).await?)
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let Letters { rows } = calls::call_again(&self.inner.db, DEAD_LETTERS, Limit { limit: at_most(limit) }).await?;
        Ok(rows.into_iter().filter_map(|row| readable("a dead letter", dead_letter(row))).collect())
    }

    async fn resend(&self, key: OutboxKey, by: &Principal) -> Result<bool, StoreError> {
        let (event, offset) = (DomainEvent::DeadLetterResent { version: key.version }, self.inner.offset());
        let arguments = ResendArguments {
            key: outbox_key(key)?,
            dead: key_in("dead_letter", key)?,
            offset,
            event: EventRows::new(&event, by, Some(key), offset)?,
        };
        let answer: Changed = calls::call_once(&self.inner.db, RESEND, arguments).await?;
        self.inner.writes.send_replace(());
        Ok(answer.changed > 0)
    }

    async fn backlog(&self) -> Result<DeliveryBacklog, StoreError> {
        let arguments = BacklogArguments { limit: at_most(MOST_COUNTED), offset: self.inner.offset() };
        let Backlog { waiting, oldest, dead } = calls::call_again(&self.inner.db, BACKLOG, arguments).await?;
        Ok(DeliveryBacklog {
            waiting: row::unsigned(waiting)?,
            oldest: oldest.map(|age| Duration::from_nanos(u64::try_from(age).unwrap_or_default())),
            dead_letters: row::unsigned(dead)?,
        })
    }

    fn writes(&self) -> watch::Receiver<()> {
        self.inner.writes.subscribe()
    }

    async fn count_outcomes(&self, entries: &[OutboxEntry]) -> Result<(), StoreError> {
        let entries: Vec<Counted> =
            entries.iter().filter_map(|entry| counted_row(entry).transpose()).collect::<Result<_, _>>()?;
        if entries.is_empty() {
            return Ok(());
        }
        let arguments = CountArguments { consumer: OUTCOMES.to_owned(), entries };
        Ok(calls::execute_again(&self.inner.db, COUNT, arguments).await?)
    }
}

fn key(scan: i64, version: i64) -> Result<OutboxKey, StoreError> {
    Ok(OutboxKey { scan: ScanId(row::unsigned(scan)?), version: row::unsigned(version)? })
}

/// The rows of an end, a deletion or a transfer; `None` for other events.
fn counted_row(entry: &OutboxEntry) -> Result<Option<Counted>, StoreError> {
    let counted_day = |change: OutcomeChange<'_>| {
        let OutcomeChange { project, status, at, more } = change;
        let (day, date) = ended::day_row(project, entry.key.scan, at);
        let of = |wanted: ScanStatus| if status == wanted { more } else { 0 };
        CountedDay {
            day,
            project: project.to_string(),
            date,
            completed: of(ScanStatus::Completed),
            failed: of(ScanStatus::Failed),
            cancelled: of(ScanStatus::Cancelled),
        }
    };
    let days: Vec<CountedDay> = counted(&entry.event).into_iter().map(counted_day).collect();
    if days.is_empty() { Ok(None) } else { Ok(Some(Counted { key: outbox_key(entry.key)?, days })) }
}

/// Logs a row that cannot be read.
pub(super) fn readable<T>(what: &str, row: Result<T, StoreError>) -> Option<T> {
    row.inspect_err(|error| tracing::warn!(error = error as &dyn std::error::Error, "{what} cannot be read")).ok()
}

fn dead_letter(letter: LetterRow) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        key: key(letter.scan, letter.version)?,
        event: DomainEvent::read(&letter.event).ok(),
        text: letter.event,
        at: row::timestamp(letter.at)?,
        tries: u32::try_from(letter.tries).unwrap_or(u32::MAX),
        reason: letter.reason,
    })
}
