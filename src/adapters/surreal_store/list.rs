//! Pages, counts, and the rows that wait.
//!
//! Ids have no gaps and rows are never deleted, so a page of all scans is a range of ids and their number is the last id: neither depends on how many there are. A page by status walks
//! the index of that status from its newest end and costs what it skips. A page by target reads rows until it is full, and counting it reads all of them.

use std::time::Duration;

use kastrel_actors::model::{Priority, ScanId, ScanRecord, ScanStatus};
use kastrel_actors::ports::{DueScan, ListQuery, ScanPage, StoreError, StoreStats};
use surrealdb::types::{RecordId, RecordIdKeyRange, SurrealValue};

use super::calls;
use super::row::{self, StoredScan};
use super::store::SurrealStore;

/// The most rows that one page holds, whatever was asked for: a page is held in memory.
const MAX_PAGE: usize = 1000;

#[derive(Debug, Clone, SurrealValue)]
struct Nothing {}

#[derive(Debug, SurrealValue)]
struct Last {
    last: i64,
}

#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<StoredScan>,
}

#[derive(Debug, SurrealValue)]
struct Numbers {
    numbers: Vec<i64>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Keys {
    keys: Vec<RecordId>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Range {
    range: RecordId,
}

#[derive(Debug, Clone, SurrealValue)]
struct StatusPage {
    status: String,
    before: i64,
    limit: i64,
    start: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct TargetPage {
    statuses: Vec<String>,
    target: String,
    before: i64,
    limit: i64,
    start: i64,
}

#[derive(Debug, SurrealValue)]
struct Count {
    count: i64,
}

#[derive(Debug, SurrealValue)]
struct Counts {
    pending: i64,
    running: i64,
    completed: i64,
    failed: i64,
    cancelled: i64,
}

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

const LAST: &str = "RETURN { last: (SELECT VALUE value FROM ONLY counter:scan) ?? 0 };";

const RANGE: &str = "
    RETURN { rows: (SELECT number, version, created_at, document FROM $range) };";

const ROWS: &str = "RETURN { rows: (SELECT number, version, created_at, document FROM $keys) };";

const OF_STATUS: &str = "
    RETURN { rows: (SELECT number, version, created_at, document FROM scan
        WHERE status = $status AND number < $before ORDER BY number DESC LIMIT $limit START $start) };";

const NUMBERS_OF_STATUS: &str = "
    RETURN { numbers: (SELECT VALUE number FROM scan WHERE status = $status AND number < $before ORDER BY number DESC LIMIT $limit START $start) };";

/// CONTAINS, and not the function of the same meaning, is what the engine checks on a row before it decodes it.
const OF_TARGET: &str = "
    RETURN { rows: (SELECT id, number, version, created_at, document FROM scan WITH NOINDEX
        WHERE target CONTAINS $target AND status INSIDE $statuses AND number < $before ORDER BY id DESC LIMIT $limit START $start) };";

const COUNT_TARGET: &str = "
    RETURN { count: (SELECT count() FROM scan WITH NOINDEX WHERE target CONTAINS $target AND status INSIDE $statuses GROUP ALL)[0].count ?? 0 };";

/// Each condition is written exactly as the count index of its status has it; otherwise the index would not be used.
const COUNTS: &str = "
    RETURN {
        pending:   (SELECT count() FROM scan WHERE status = 'pending' GROUP ALL)[0].count ?? 0,
        running:   (SELECT count() FROM scan WHERE status = 'running' GROUP ALL)[0].count ?? 0,
        completed: (SELECT count() FROM scan WHERE status = 'completed' GROUP ALL)[0].count ?? 0,
        failed:    (SELECT count() FROM scan WHERE status = 'failed' GROUP ALL)[0].count ?? 0,
        cancelled: (SELECT count() FROM scan WHERE status = 'cancelled' GROUP ALL)[0].count ?? 0,
    };";

const NOW: &str = "RETURN { now: time::nano(time::now()) + $offset };";

const WAITING: &str = "
    RETURN { rows: (SELECT number, due, trace FROM scan WHERE rank = $rank AND due <= $until ORDER BY due LIMIT $limit) };";

impl SurrealStore {
    pub(super) async fn page(&self, query: &ListQuery) -> Result<ScanPage, StoreError> {
        let statuses = distinct(&query.statuses);
        match (&query.target, statuses.len() == ScanStatus::ALL.len()) {
            (Some(target), _) if !target.is_empty() => self.page_of_target(query, target, &statuses).await,
            (_, true) => self.page_of_all(query).await,
            (_, false) => self.page_of_statuses(query, &statuses).await,
        }
    }

    async fn page_of_all(&self, query: &ListQuery) -> Result<ScanPage, StoreError> {
        let Last { last } = calls::call_again(&self.inner.db, LAST, Nothing {}).await?;
        let newest = last.min(before(query) - 1).saturating_sub(at_most(query.offset));
        let limit = at_most(query.limit.min(MAX_PAGE));
        let mut scans = Vec::new();
        if limit > 0 && newest > 0 {
            let range = RecordIdKeyRange::from((newest - limit + 1).max(1)..=newest);
            let Rows { rows } = calls::call_again(&self.inner.db, RANGE, Range { range: RecordId::new("scan", range) }).await?;
            scans = records(rows)?;
        }
        Ok(ScanPage { scans, total: query.count.then(|| row::unsigned(last)).transpose()? })
    }

    async fn page_of_statuses(&self, query: &ListQuery, statuses: &[ScanStatus]) -> Result<ScanPage, StoreError> {
        let scans = match statuses {
            _ if query.limit == 0 => Vec::new(),
            [status] => {
                let page = status_page(query, *status, query.limit.min(MAX_PAGE), query.offset);
                let Rows { rows } = calls::call_again(&self.inner.db, OF_STATUS, page).await?;
                records(rows)?
            }
            _ => self.merged(query, statuses).await?,
        };
        let total = if query.count {
            let stats = self.counts().await?;
            Some(statuses.iter().map(|status| of_status(&stats, *status)).sum())
        } else {
            None
        };
        Ok(ScanPage { scans, total })
    }

    /// One walk of the index a status, as far as the page could reach, and then the page's rows.
    async fn merged(&self, query: &ListQuery, statuses: &[ScanStatus]) -> Result<Vec<ScanRecord>, StoreError> {
        let limit = query.limit.min(MAX_PAGE);
        let mut numbers: Vec<i64> = Vec::new();
        for status in statuses {
            let page = status_page(query, *status, query.offset.saturating_add(limit), 0);
            let found: Numbers = calls::call_again(&self.inner.db, NUMBERS_OF_STATUS, page).await?;
            numbers.extend(found.numbers);
        }
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        let keys: Vec<RecordId> = numbers.into_iter().skip(query.offset).take(limit).map(|number| RecordId::new("scan", number)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let Rows { rows } = calls::call_again(&self.inner.db, ROWS, Keys { keys }).await?;
        records(rows)
    }

    async fn page_of_target(&self, query: &ListQuery, target: &str, statuses: &[ScanStatus]) -> Result<ScanPage, StoreError> {
        let page = TargetPage {
            statuses: statuses.iter().map(|status| status.as_str().to_owned()).collect(),
            target: target.to_owned(),
            before: before(query),
            limit: at_most(query.limit.min(MAX_PAGE)),
            start: at_most(query.offset),
        };
        let mut scans = Vec::new();
        if page.limit > 0 {
            let Rows { rows } = calls::call_again(&self.inner.db, OF_TARGET, page.clone()).await?;
            scans = records(rows)?;
        }
        let mut total = None;
        if query.count {
            let Count { count } = calls::call_again(&self.inner.db, COUNT_TARGET, page).await?;
            total = Some(row::unsigned(count)?);
        }
        Ok(ScanPage { scans, total })
    }

    pub(super) async fn counts(&self) -> Result<StoreStats, StoreError> {
        let counts: Counts = calls::call_again(&self.inner.db, COUNTS, Nothing {}).await?;
        Ok(StoreStats {
            pending: row::unsigned(counts.pending)?,
            running: row::unsigned(counts.running)?,
            completed: row::unsigned(counts.completed)?,
            failed: row::unsigned(counts.failed)?,
            cancelled: row::unsigned(counts.cancelled)?,
        })
    }

    /// One walk of the index a priority, each from its longest due end: a crowd of one priority must not keep the others from being signalled.
    pub(super) async fn waiting(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError> {
        let within = i64::try_from(within.as_nanos()).unwrap_or(i64::MAX / 4);
        let Now { now } = calls::call_again(&self.inner.db, NOW, Offset { offset: self.inner.offset() }).await?;
        let until = now.saturating_add(within);
        let mut due = Vec::new();
        for priority in Priority::ALL.iter().copied() {
            let DueRows { rows } = calls::call_again(&self.inner.db, WAITING, Waiting { rank: row::rank(priority), until, limit: at_most(limit) }).await?;
            for found in rows {
                let id = ScanId(row::unsigned(found.number)?);
                // The others must not wait for a row that cannot be read.
                let Ok(trace) = found.trace.parse() else {
                    tracing::error!(scan.id = id.0, "the trace context of a waiting scan cannot be read; it is not signalled");
                    continue;
                };
                let wait = Duration::from_nanos(u64::try_from(found.due.saturating_sub(now)).unwrap_or_default());
                due.push(DueScan { id, priority, due: row::timestamp(found.due)?, wait, trace });
            }
        }
        Ok(due)
    }
}

/// The statuses that are meant: each once, and all of them for none.
fn distinct(statuses: &[ScanStatus]) -> Vec<ScanStatus> {
    ScanStatus::ALL.iter().copied().filter(|status| statuses.is_empty() || statuses.contains(status)).collect()
}

fn status_page(query: &ListQuery, status: ScanStatus, limit: usize, start: usize) -> StatusPage {
    StatusPage { status: status.as_str().to_owned(), before: before(query), limit: at_most(limit), start: at_most(start) }
}

fn before(query: &ListQuery) -> i64 {
    query.before.and_then(|id| i64::try_from(id.0).ok()).unwrap_or(i64::MAX)
}

fn at_most(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn records(mut rows: Vec<StoredScan>) -> Result<Vec<ScanRecord>, StoreError> {
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.number));
    rows.into_iter().map(StoredScan::into_record).collect()
}

fn of_status(stats: &StoreStats, status: ScanStatus) -> u64 {
    match status {
        ScanStatus::Pending => stats.pending,
        ScanStatus::Running => stats.running,
        ScanStatus::Completed => stats.completed,
        ScanStatus::Failed => stats.failed,
        ScanStatus::Cancelled => stats.cancelled,
    }
}
