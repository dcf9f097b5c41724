//! Pages, counts, and the rows that wait.
//!
//! Nothing here costs more the more scans there are. A page walks one index, chosen by what the query narrows most, from the place where the page begins, and checks what that index does
//! not say on the rows that it reads anyway; how many rows it reads in vain is bounded, and a page that ends there says so. A part of a target is looked for among the distinct targets.

use std::time::Duration;

use futures_util::future::try_join_all;
use kastrel_actors::model::{Priority, ScanId, ScanMode, ScanOrder, ScanRecord, ScanState, ScanStatus};
use kastrel_actors::policy::listing::{matches, place};
use kastrel_actors::ports::{DueScan, ListPlace, ListQuery, ScanPage, StoreError, StoreStats};
use surrealdb::types::{RecordId, SurrealValue};

use super::calls;
use super::ended;
use super::row::{self, StoredScan, stored};
use super::store::SurrealStore;

/// The most rows that one page holds, whatever was asked for: a page is held in memory.
const MAX_PAGE: usize = 1000;
/// How many rows may be read without being shown before a page ends early.
const MAX_IN_VAIN: usize = 400;
/// How many targets that contain a text are walked one by one; where there are more, most scans match and are found by looking at all.
const MAX_TARGETS: usize = 48;
/// How far matches are counted where no index counts them.
const MAX_COUNT: usize = 1000;
/// How many rows are read at a time where rows are checked one by one.
const CHUNK: usize = 100;

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
struct Step {
    value: String,
    bound: i64,
    limit: i64,
    start: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct RankStep {
    below: i64,
    limit: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Moment {
    at: i64,
}

#[derive(Debug, SurrealValue)]
struct Bound {
    number: Option<i64>,
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

const ROWS: &str = concat!("RETURN { rows: (SELECT ", stored!(), " FROM $keys) };");

/// One step along an index whose first column has one value, as rows or as numbers, from its newest or its oldest end.
///
/// Only the bound at which a step begins stands in the condition: the engine takes one bound of a compound index as its range and would check the other on every row up to the index's end.
/// The bound at which a walk ends is looked after here.
macro_rules! step {
    ($condition:literal) => {
        Sql {
            newest: concat!(
                "RETURN { rows: (SELECT ",
                stored!(),
                " FROM scan WHERE ",
                $condition,
                "number < $bound ORDER BY number DESC LIMIT $limit START $start) };"
            ),
            oldest: concat!(
                "RETURN { rows: (SELECT ",
                stored!(),
                " FROM scan WHERE ",
                $condition,
                "number > $bound ORDER BY number ASC LIMIT $limit START $start) };"
            ),
            newest_numbers: concat!(
                "RETURN { numbers: (SELECT VALUE number FROM scan WHERE ",
                $condition,
                "number < $bound ORDER BY number DESC LIMIT $limit START $start) };"
            ),
            oldest_numbers: concat!(
                "RETURN { numbers: (SELECT VALUE number FROM scan WHERE ",
                $condition,
                "number > $bound ORDER BY number ASC LIMIT $limit START $start) };"
            ),
        }
    };
}

#[derive(Debug, Clone, Copy)]
struct Sql {
    newest: &'static str,
    oldest: &'static str,
    newest_numbers: &'static str,
    oldest_numbers: &'static str,
}

const ALL: Sql = step!("");
const OF_STATUS: Sql = step!("status = $value AND ");
const OF_TARGET: Sql = step!("target = $value AND ");
const OF_MODE: Sql = step!("mode = $value AND ");

const FOUND_NEWEST: &str = "
    RETURN { numbers: (SELECT VALUE number FROM found WHERE plugin = $value AND number < $bound ORDER BY number DESC LIMIT $limit START $start) };";
const FOUND_OLDEST: &str = "
    RETURN { numbers: (SELECT VALUE number FROM found WHERE plugin = $value AND number > $bound ORDER BY number ASC LIMIT $limit START $start) };";

const LONGEST: &str = "
    RETURN { numbers: (SELECT VALUE number FROM ended WHERE by_took < $below ORDER BY by_took DESC LIMIT $limit) };";
const MOST_FINDINGS: &str = "
    RETURN { numbers: (SELECT VALUE number FROM ended WHERE by_findings < $below ORDER BY by_findings DESC LIMIT $limit) };";

const FIRST_SINCE: &str = "
    RETURN { number: (SELECT VALUE number FROM scan WHERE created_at >= $at ORDER BY created_at ASC LIMIT 1)[0] };";
const LAST_BEFORE: &str = "
    RETURN { number: (SELECT VALUE number FROM scan WHERE created_at < $at ORDER BY created_at DESC LIMIT 1)[0] };";

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

/// The waiting rows of a priority that are due last of all.
const DUE_LAST: &str = concat!("RETURN { rows: (SELECT ", stored!(), " FROM scan WHERE rank = $rank AND due < $until ORDER BY due DESC LIMIT $limit) };");

/// What a page walks along.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Walk {
    All,
    Statuses(Vec<ScanStatus>),
    Targets(Vec<String>),
    Mode(ScanMode),
    Found(String),
}

/// A walk, and whether what it finds must still be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    walk: Walk,
    checks: bool,
}

/// Chooses the walk that narrows most. `targets` are those that contain the text, where they are few enough.
fn plan(query: &ListQuery, targets: Option<Vec<String>>) -> Plan {
    let asks_target = query.target.as_deref().is_some_and(|text| !text.is_empty());
    let narrows_status = distinct(&query.statuses).len() < ScanStatus::ALL.len();
    let filters = [query.plugin.is_some(), asks_target, narrows_status, query.mode.is_some()].into_iter().filter(|filter| *filter).count();
    let (walk, covered) = if let Some(plugin) = &query.plugin {
        (Walk::Found(plugin.clone()), 1)
    } else if let Some(targets) = targets.filter(|_| asks_target) {
        (Walk::Targets(targets), 1)
    } else if narrows_status {
        (Walk::Statuses(distinct(&query.statuses)), 1)
    } else if let Some(mode) = query.mode {
        (Walk::Mode(mode), 1)
    } else {
        (Walk::All, 0)
    };
    Plan { walk, checks: filters > covered }
}

/// The numbers between which a page lies, both left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Between {
    lo: i64,
    hi: i64,
}

impl Between {
    /// The bound at which a walk begins.
    const fn begin(self, oldest_first: bool) -> i64 {
        if oldest_first { self.lo } else { self.hi }
    }

    const fn holds(self, number: i64) -> bool {
        self.lo < number && number < self.hi
    }
}

impl SurrealStore {
    pub(super) async fn page(&self, query: &ListQuery) -> Result<ScanPage, StoreError> {
        let mut page = match query.order {
            ScanOrder::Newest | ScanOrder::Oldest => self.page_by_number(query).await?,
            ScanOrder::Longest | ScanOrder::Findings => self.page_by_rank(query).await?,
            ScanOrder::Target => match self.page_by_target(query).await? {
                Some(page) => page,
                None => self.page_by_number(&ListQuery { order: ScanOrder::Newest, from: None, ..query.clone() }).await?,
            },
        };
        if query.count {
            let (total, is_floor) = self.count(query).await?;
            (page.total, page.total_is_floor) = (Some(total), is_floor);
        }
        Ok(page)
    }

    async fn page_by_number(&self, query: &ListQuery) -> Result<ScanPage, StoreError> {
        let mut page = Page::new(query);
        if page.limit == 0 {
            return Ok(page.finish(query));
        }
        let oldest_first = (query.order == ScanOrder::Oldest) != query.from_the_end;
        let days = self.between_days(query).await?;
        let before = query.before.map_or(i64::MAX, number_of);
        let mut between = Between { lo: days.lo.max(query.after.map_or(-1, number_of)), hi: days.hi.min(before) };
        let Plan { walk, checks } = self.plan(query).await?;
        let mut start = if checks { 0 } else { std::mem::take(&mut page.skip) };
        if walk == Walk::All && start > 0 && !oldest_first {
            // Where no scan was ever deleted the ids have no gaps, and skipping is subtracting.
            let Last { last } = calls::call_again(&self.inner.db, LAST, Nothing {}).await?;
            if self.counts().await?.all() == row::unsigned(last)? {
                between.hi = between.hi.min(last + 1).saturating_sub(at_most(start));
                start = 0;
            }
        }
        loop {
            let want = if checks { CHUNK } else { page.missing() };
            let rows = self.step(&walk, between, oldest_first, want, start).await?;
            start = 0;
            let is_last = rows.len() < want;
            for record in rows {
                if page.is_over() {
                    break;
                }
                let bound = number_of(record.id);
                if oldest_first {
                    between.lo = bound;
                } else {
                    between.hi = bound;
                }
                page.take(record, |record| !checks || matches(record, query));
            }
            if is_last || page.is_over() || page.gives_up() {
                return Ok(page.finish(query));
            }
        }
    }

    /// Scans by how long they took or how much they found. Only those that have ended have a place here.
    async fn page_by_rank(&self, query: &ListQuery) -> Result<ScanPage, StoreError> {
        let sql = if query.order == ScanOrder::Longest { LONGEST } else { MOST_FINDINGS };
        let mut page = Page::new(query);
        let mut below = match &query.from {
            Some(from) => ended::rank(from.rank.parse().map_err(row::corrupt)?, number_of(from.id)),
            None => i64::MAX,
        };
        while page.limit > 0 {
            let want = page.missing().clamp(20, CHUNK);
            let Numbers { numbers } = calls::call_again(&self.inner.db, sql, RankStep { below, limit: at_most(want) }).await?;
            let is_last = numbers.len() < want;
            let mut records = self.rows(&numbers).await?;
            records.sort_by_cached_key(|record| numbers.iter().position(|number| *number == number_of(record.id)));
            for record in records {
                if page.is_over() {
                    break;
                }
                let Some(at) = place(&record, query.order) else { continue };
                below = ended::rank(at.rank.parse().map_err(row::corrupt)?, number_of(at.id));
                page.take(record, |record| matches(record, query));
            }
            if is_last || page.is_over() || page.gives_up() {
                break;
            }
        }
        Ok(page.finish(query))
    }

    /// Scans by target: target by target, each from its newest scan. `None`: there are more targets than can be put in order.
    async fn page_by_target(&self, query: &ListQuery) -> Result<Option<ScanPage>, StoreError> {
        let mut page = Page::new(query);
        let from = query.from.clone().unwrap_or(ListPlace { rank: String::new(), id: ScanId(u64::MAX) });
        let text = query.target.as_deref().unwrap_or_default();
        let Some(targets) = self.inner.aims.containing(&self.inner.db, text, &from.rank, page.missing() + MAX_IN_VAIN).await? else { return Ok(None) };
        'targets: for target in targets {
            let mut hi = if target == from.rank { number_of(from.id) } else { i64::MAX };
            page.in_vain += 1;
            loop {
                let want = page.missing().clamp(5, CHUNK);
                let rows = self.step(&Walk::Targets(vec![target.clone()]), Between { lo: -1, hi }, false, want, 0).await?;
                let is_last = rows.len() < want;
                for record in rows {
                    if page.is_over() {
                        break 'targets;
                    }
                    hi = number_of(record.id);
                    page.take(record, |record| matches(record, query));
                }
                if page.is_over() {
                    break 'targets;
                }
                if is_last {
                    // Also where all its scans were deleted: the next page must not walk it again.
                    page.last = Some(end_of(&target));
                }
                if page.gives_up() {
                    break 'targets;
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(Some(page.finish(query)))
    }

    async fn plan(&self, query: &ListQuery) -> Result<Plan, StoreError> {
        let targets = match query.target.as_deref() {
            Some(text) if !text.is_empty() && query.plugin.is_none() => {
                let found = self.inner.aims.containing(&self.inner.db, text, "", MAX_TARGETS + 1).await?;
                found.filter(|targets| targets.len() <= MAX_TARGETS)
            }
            _ => None,
        };
        Ok(plan(query, targets))
    }

    /// The days of a query as numbers: scans are numbered in the order in which they are accepted.
    async fn between_days(&self, query: &ListQuery) -> Result<Between, StoreError> {
        let mut between = Between { lo: -1, hi: i64::MAX };
        if let Some(from) = query.created_from {
            let Bound { number } = calls::call_again(&self.inner.db, FIRST_SINCE, Moment { at: row::nanoseconds(from) }).await?;
            between.lo = number.map_or(i64::MAX, |number| number - 1);
        }
        if let Some(until) = query.created_until {
            let Bound { number } = calls::call_again(&self.inner.db, LAST_BEFORE, Moment { at: row::nanoseconds(until) }).await?;
            between.hi = number.map_or(-1, |number| number + 1);
        }
        Ok(between)
    }

    /// The next rows along a walk, in its order.
    async fn step(&self, walk: &Walk, between: Between, oldest_first: bool, limit: usize, start: usize) -> Result<Vec<ScanRecord>, StoreError> {
        let single = match walk {
            Walk::All => Some((ALL, String::new())),
            Walk::Mode(mode) => Some((OF_MODE, mode.as_str().to_owned())),
            Walk::Statuses(statuses) => match statuses.as_slice() {
                [status] => Some((OF_STATUS, status.as_str().to_owned())),
                _ => None,
            },
            Walk::Targets(targets) => match targets.as_slice() {
                [target] => Some((OF_TARGET, target.clone())),
                _ => None,
            },
            Walk::Found(_) => None,
        };
        let mut records = if let Some((sql, value)) = single {
            let step = Step { value, bound: between.begin(oldest_first), limit: at_most(limit), start: at_most(start) };
            let Rows { rows } = calls::call_again(&self.inner.db, if oldest_first { sql.oldest } else { sql.newest }, step).await?;
            records(rows)?
        } else {
            let numbers = self.numbers(walk, between, oldest_first, limit, start).await?;
            self.rows(&numbers).await?
        };
        records.retain(|record| between.holds(number_of(record.id)));
        records.sort_unstable_by_key(|record| record.id);
        if !oldest_first {
            records.reverse();
        }
        Ok(records)
    }

    /// The next numbers along a walk, in its order. A walk with several values is one walk each, merged.
    async fn numbers(&self, walk: &Walk, between: Between, oldest_first: bool, limit: usize, start: usize) -> Result<Vec<i64>, StoreError> {
        let choose = |sql: Sql| if oldest_first { sql.oldest_numbers } else { sql.newest_numbers };
        let parts: Vec<(&'static str, String)> = match walk {
            Walk::All => vec![(choose(ALL), String::new())],
            Walk::Mode(mode) => vec![(choose(OF_MODE), mode.as_str().to_owned())],
            Walk::Statuses(statuses) => statuses.iter().map(|status| (choose(OF_STATUS), status.as_str().to_owned())).collect(),
            Walk::Targets(targets) => targets.iter().map(|target| (choose(OF_TARGET), target.clone())).collect(),
            Walk::Found(plugin) => vec![(if oldest_first { FOUND_OLDEST } else { FOUND_NEWEST }, plugin.clone())],
        };
        let is_single = parts.len() == 1;
        let (limit_each, start_each) = if is_single { (limit, start) } else { (limit.saturating_add(start), 0) };
        let steps = parts.into_iter().map(|(sql, value)| {
            let step = Step { value, bound: between.begin(oldest_first), limit: at_most(limit_each), start: at_most(start_each) };
            calls::call_again::<Numbers>(&self.inner.db, sql, step)
        });
        let mut numbers: Vec<i64> = try_join_all(steps).await?.into_iter().flat_map(|found| found.numbers).filter(|number| between.holds(*number)).collect();
        numbers.sort_unstable();
        if !oldest_first {
            numbers.reverse();
        }
        Ok(if is_single { numbers } else { numbers.into_iter().skip(start).take(limit).collect() })
    }

    async fn rows(&self, numbers: &[i64]) -> Result<Vec<ScanRecord>, StoreError> {
        let keys: Vec<RecordId> = numbers.iter().map(|number| RecordId::new("scan", *number)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let Rows { rows } = calls::call_again(&self.inner.db, ROWS, Keys { keys }).await?;
        records(rows)
    }

    /// How many scans match, and whether there are more: counted by indexes where they know, else as far as [`MAX_COUNT`] matches or [`MAX_IN_VAIN`] others.
    async fn count(&self, query: &ListQuery) -> Result<(u64, bool), StoreError> {
        let whole = ListQuery {
            before: None,
            after: None,
            from: None,
            from_the_end: false,
            offset: 0,
            limit: MAX_COUNT,
            order: ScanOrder::Newest,
            count: false,
            ..query.clone()
        };
        let Plan { walk, checks } = self.plan(&whole).await?;
        let has_days = whole.created_from.is_some() || whole.created_until.is_some();
        if !has_days && !checks && query.order.is_by_number() {
            let stats = self.counts().await?;
            match &walk {
                Walk::All => return Ok((stats.all(), false)),
                Walk::Statuses(statuses) => return Ok((statuses.iter().map(|status| stats.of(*status)).sum(), false)),
                Walk::Targets(_) | Walk::Mode(_) | Walk::Found(_) => {}
            }
        }
        if !checks {
            let found = self.numbers(&walk, self.between_days(&whole).await?, false, MAX_COUNT + 1, 0).await?.len();
            return Ok((found.min(MAX_COUNT) as u64, found > MAX_COUNT));
        }
        let page = self.page_by_number(&whole).await?;
        Ok((page.scans.len() as u64, page.next.is_some()))
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
            due.extend(self.due_by_a_clock_since_set_back(priority, now, until, limit).await?);
        }
        Ok(due)
    }

    /// Rows that are due although their column says that they will be: [`ScanRecord::left_to_wait`]. They are those that are due last of all. If the very last one is none of them, then any
    /// other waits for no longer than that one does; so a look at one row is all that this costs as long as the clock is right.
    async fn due_by_a_clock_since_set_back(&self, priority: Priority, now: i64, until: i64, limit: usize) -> Result<Vec<DueScan>, StoreError> {
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
                        ScanState::Pending { due, .. } if row::nanoseconds(due) > until && record.left_to_wait(moment).is_zero() => {
                            found.push(DueScan { id: record.id, priority, due, wait: Duration::ZERO, trace: record.trace });
                        }
                        _ => {}
                    },
                    Err(error) => tracing::error!(scan.id = number, error = &error as &dyn std::error::Error, "the row of a waiting scan cannot be read"),
                }
            }
            if found.is_empty() {
                break;
            }
        }
        Ok(found)
    }
}

/// A page in the making. It holds one scan more than is shown, to know whether there is more.
struct Page {
    limit: usize,
    skip: usize,
    order: ScanOrder,
    records: Vec<ScanRecord>,
    in_vain: usize,
    last: Option<ListPlace>,
}

impl Page {
    fn new(query: &ListQuery) -> Self {
        Self { limit: query.limit.min(MAX_PAGE), skip: query.offset, order: query.order, records: Vec::new(), in_vain: 0, last: None }
    }

    fn missing(&self) -> usize {
        (self.limit + 1).saturating_sub(self.records.len())
    }

    fn is_over(&self) -> bool {
        self.records.len() > self.limit
    }

    fn gives_up(&self) -> bool {
        self.in_vain >= MAX_IN_VAIN
    }

    fn take(&mut self, record: ScanRecord, belongs: impl FnOnce(&ScanRecord) -> bool) {
        self.last = place(&record, self.order);
        if !belongs(&record) {
            self.in_vain += 1;
        } else if self.skip > 0 {
            self.skip -= 1;
            self.in_vain += 1;
        } else {
            self.records.push(record);
        }
    }

    fn finish(mut self, query: &ListQuery) -> ScanPage {
        let is_over = self.is_over();
        let is_partial = !is_over && self.gives_up();
        self.records.truncate(self.limit);
        let next = if is_over { self.records.last().and_then(|record| place(record, self.order)) } else { self.last.filter(|_| is_partial) };
        if query.from_the_end && query.order.is_by_number() {
            self.records.reverse();
        }
        ScanPage { scans: self.records, order: self.order, total: None, total_is_floor: false, next, is_partial }
    }
}

/// The statuses that are meant: each once, and all of them for none.
fn distinct(statuses: &[ScanStatus]) -> Vec<ScanStatus> {
    ScanStatus::ALL.iter().copied().filter(|status| statuses.is_empty() || statuses.contains(status)).collect()
}

/// After all scans of a target: their numbers begin with 1.
fn end_of(target: &str) -> ListPlace {
    ListPlace { rank: target.to_owned(), id: ScanId(0) }
}

fn number_of(id: ScanId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

fn at_most(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn records(rows: Vec<StoredScan>) -> Result<Vec<ScanRecord>, StoreError> {
    rows.into_iter().map(StoredScan::into_record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_that_narrows_most_is_taken_and_the_rest_is_checked() {
        let all = ListQuery::default;
        let targets = || Some(vec!["example.com".to_owned()]);
        let failed = vec![ScanStatus::Failed];
        for (query, targets, walk, checks) in [
            (all(), None, Walk::All, false),
            (ListQuery { statuses: ScanStatus::ALL.to_vec(), ..all() }, None, Walk::All, false),
            (ListQuery { statuses: failed.clone(), ..all() }, None, Walk::Statuses(failed.clone()), false),
            (ListQuery { mode: Some(ScanMode::Active), ..all() }, None, Walk::Mode(ScanMode::Active), false),
            (ListQuery { statuses: failed.clone(), mode: Some(ScanMode::Active), ..all() }, None, Walk::Statuses(failed.clone()), true),
            (ListQuery { target: Some("ex".into()), ..all() }, targets(), Walk::Targets(vec!["example.com".into()]), false),
            (ListQuery { target: Some("ex".into()), statuses: failed.clone(), ..all() }, targets(), Walk::Targets(vec!["example.com".into()]), true),
            (ListQuery { target: Some("e".into()), ..all() }, None, Walk::All, true),
            (ListQuery { target: Some(String::new()), ..all() }, None, Walk::All, false),
            (ListQuery { plugin: Some("zap".into()), ..all() }, None, Walk::Found("zap".into()), false),
            (ListQuery { plugin: Some("zap".into()), target: Some("ex".into()), ..all() }, None, Walk::Found("zap".into()), true),
        ] {
            assert_eq!(plan(&query, targets), Plan { walk, checks }, "{query:?}");
        }
    }

    #[test]
    fn a_page_knows_whether_there_is_more_and_gives_up_in_time() {
        let record = |id: u64| kastrel_actors::testing::fixtures::record(id, jiff::Timestamp::UNIX_EPOCH);
        let query = ListQuery { limit: 2, ..ListQuery::default() };
        let mut page = Page::new(&query);
        for id in [9, 8, 7] {
            page.take(record(id), |_| true);
        }
        let page = page.finish(&query);
        assert_eq!((page.scans.len(), page.next.map(|next| next.id), page.is_partial), (2, Some(ScanId(8)), false));
        let mut page = Page::new(&query);
        for id in (0..MAX_IN_VAIN as u64).rev() {
            assert!(!page.gives_up());
            page.take(record(id), |_| false);
        }
        let page = page.finish(&query);
        assert_eq!((page.scans.len(), page.next.map(|next| next.id), page.is_partial), (0, Some(ScanId(0)), true));
    }
}
