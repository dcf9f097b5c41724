//! Reads the queued scans that are due.

use std::time::Duration;

use kastrel_actors::model::{DueScan, Priority, ScanId, ScanState};
use kastrel_actors::ports::StoreError;
use surrealdb::types::SurrealValue;

use super::calls;
use super::row::{self, StoredScan, at_most, stored};
use super::store::SurrealStore;

#[derive(Debug, Clone, SurrealValue)]
struct Waiting {
    rank: i64,
    until: i64,
    limit: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Offset {
    offset: i64,
}

#[derive(Debug, SurrealValue)]
struct Now {
    now: i64,
}

#[derive(Debug, SurrealValue)]
struct DueRow {
    number: i64,
    due: i64,
    trace: String,
}

#[derive(Debug, SurrealValue)]
struct DueRows {
    rows: Vec<DueRow>,
}

#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<StoredScan>,
}

const NOW: &str = "RETURN { now: time::nano(time::now()) + $offset };";

const WAITING: &str = "
    RETURN { rows: (SELECT number, due, trace FROM scan WHERE rank = $rank AND due <= $until ORDER BY due LIMIT $limit) };";

/// The queued rows of a priority with the latest due times.
const DUE_LAST: &str = concat!(
    "RETURN { rows: (SELECT ",
    stored!(),
    " FROM scan WHERE rank = $rank AND due < $until ORDER BY due DESC LIMIT $limit) };"
);

impl SurrealStore {
    /// Reads the index separately for each priority, earliest due first, so that many scans of one
    /// priority do not keep the others from being signalled.
    pub(super) async fn waiting(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError> {
        let within = row::wait(within);
        let Now { now } = calls::call_again(&self.inner.db, NOW, Offset { offset: self.inner.offset() }).await?;
        let until = now.saturating_add(within);
        let mut due = Vec::new();
        for priority in Priority::ALL.iter().copied() {
            let DueRows { rows } = calls::call_again(
                &self.inner.db,
                WAITING,
                Waiting { rank: row::rank(priority), until, limit: at_most(limit) },
            )
            .await?;
            for found in rows {
                let id = ScanId(row::unsigned(found.number)?);
                // An unreadable row must not block the others.
                let Ok(trace) = found.trace.parse() else {
                    tracing::error!(
                        scan.id = id.0,
                        "the trace context of a waiting scan cannot be read; it is not signalled"
                    );
                    continue;
                };
                let wait = Duration::from_nanos(u64::try_from(found.due.saturating_sub(now)).unwrap_or_default());
                due.push(DueScan { id, priority, due: row::timestamp(found.due)?, wait, trace });
            }
            due.extend(self.due_by_a_clock_since_set_back(priority, now, until, limit).await?);
        }
        Ok(due)
    }

    /// Rows that are due although their `due` column is in the future:
    /// [`left_to_wait`](kastrel_actors::model::ScanRecord::left_to_wait). They have the latest due
    /// times. If the very last row is not due, no other row waits longer than that one; so this
    /// costs one row read while the clock is right.
    async fn due_by_a_clock_since_set_back(
        &self,
        priority: Priority,
        now: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<DueScan>, StoreError> {
        let moment = row::timestamp(now)?;
        let mut found = Vec::new();
        for limit in [1, limit] {
            let last = Waiting { rank: row::rank(priority), until: i64::MAX, limit: at_most(limit) };
            let Rows { rows } = calls::call_again(&self.inner.db, DUE_LAST, last).await?;
            found.clear();
            for stored in rows {
                let number = stored.number;
                match stored.into_record() {
                    Ok(record) => match record.state {
                        ScanState::Pending { due, .. }
                            if row::nanoseconds(due) > until && record.left_to_wait(moment).is_zero() =>
                        {
                            found.push(DueScan {
                                id: record.id,
                                priority,
                                due,
                                wait: Duration::ZERO,
                                trace: record.trace,
                            });
                        }
                        _ => {}
                    },
                    Err(error) => tracing::error!(
                        scan.id = number,
                        error = &error as &dyn std::error::Error,
                        "the row of a waiting scan cannot be read"
                    ),
                }
            }
            if found.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}
