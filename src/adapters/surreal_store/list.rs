//! Pages and counts of scans.
//!
//! The cost does not depend on the number of scans. A page follows one index, chosen by the most
//! selective filter, from its cursor, and applies the other filters to the rows that it reads. The
//! number of rows without a match is bounded, and a page that stops at that bound is marked as
//! partial. A text filter on targets is matched against the distinct targets. A row of a scan does
//! not have its tags: a list with a tag follows the index of tags, or reads the tags of its rows.
//! Unreadable rows are left out and counted.
//!
//! Each index of lists has the project first. A list of one project follows its part of the index;
//! a list of several or all projects follows one part for each, and merges them.

mod page;
mod plan;
mod ranked;
mod scope;
mod sql;
mod stats;

use std::collections::{HashMap, HashSet};

use futures_util::future::try_join_all;
use kastrel_actors::model::{Cursor, ListQuery, ScanId, ScanOrder, ScanPage, Severity, StoreStats};
use kastrel_actors::policy::listing::{matches, plugin_text};
use kastrel_actors::ports::StoreError;
use surrealdb::types::RecordId;

use self::page::{MAX_SCANNED_WITHOUT_MATCH, Page, cursor_at, number_of};
use self::plan::{IndexScan, KeyRange, Plan, plan};
use self::ranked::{Place, merged};
use self::scope::Scope;
use self::sql::{Bound, Counts, Keys, Last, Moment, Numbers, RankedScans, Rows, Sql, Step};
use super::calls::{self, Nothing};
use super::findings::tag_key;
use super::found::Found;
use super::row::{self, at_most};
use super::store::SurrealStore;

/// The maximum number of matching targets that are scanned separately. With more, most scans match,
/// so the page reads all scans.
const MAX_TARGETS: usize = 48;
/// The limit of counting without a count index.
const MAX_COUNT: usize = 1000;
/// How many rows are read at a time when filters are applied to rows.
const CHUNK: usize = 100;

/// The scans that have the tag of a query.
enum WithTag {
    /// The query has no tag.
    Any,
    Only(HashSet<i64>),
}

impl WithTag {
    fn holds(&self, number: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Only(numbers) => numbers.contains(&number),
        }
    }
}

impl SurrealStore {
    pub(super) async fn page(&self, query: &ListQuery) -> Result<ScanPage, StoreError> {
        if query.projects.is_empty() {
            return Ok(ScanPage { total: query.count.then_some(0), ..Page::new(query).finish(query) });
        }
        let scope = self.scope(&query.projects).await?;
        let mut page = match query.order {
            ScanOrder::Newest | ScanOrder::Oldest => self.page_by_number(query, &scope).await?,
            ScanOrder::Longest | ScanOrder::Findings | ScanOrder::Worst => self.page_by_rank(query, &scope).await?,
            ScanOrder::Target => match self.page_by_target(query, &scope).await? {
                Some(page) => page,
                None => {
                    let newest = ListQuery { order: ScanOrder::Newest, from: None, ..query.clone() };
                    self.page_by_number(&newest, &scope).await?
                }
            },
        };
        if query.count {
            let (total, is_floor) = self.count(query, &scope).await?;
            (page.total, page.total_is_floor) = (Some(total), is_floor);
        }
        Ok(page)
    }

    async fn page_by_number(&self, query: &ListQuery, scope: &Scope) -> Result<ScanPage, StoreError> {
        let mut page = Page::new(query);
        if page.limit == 0 {
            return Ok(page.finish(query));
        }
        let oldest_first = (query.order == ScanOrder::Oldest) != query.from_the_end;
        let days = self.range_of_days(query, scope).await?;
        let before = query.before.map_or(i64::MAX, number_of);
        let mut range = KeyRange { lo: days.lo.max(query.after.map_or(-1, number_of)), hi: days.hi.min(before) };
        let Plan { scan, checks } = self.plan(query).await?;
        let mut start = if checks { 0 } else { std::mem::take(&mut page.skip) };
        if scan == IndexScan::All && scope.has_all && start > 0 && !oldest_first {
            // If no scan was ever deleted, the ids have no gaps, and skipping is a subtraction.
            let Last { last } = calls::call_again(&self.inner.db, sql::LAST, Nothing {}).await?;
            if self.counts().await?.all() == row::unsigned(last)? {
                range.hi = range.hi.min(last + 1).saturating_sub(at_most(start));
                start = 0;
            }
        }
        loop {
            let want = if checks { CHUNK } else { page.missing() };
            let rows = self.fetch_page(scope, &scan, range, oldest_first, want, start).await?;
            start = 0;
            let is_last = rows.len() < want;
            for Found { number, record } in rows {
                if page.is_over() {
                    break;
                }
                range = range.after(number, oldest_first);
                page.take(record, cursor_at(number), |record| !checks || matches(record, query));
            }
            if is_last || page.is_over() || page.gives_up() {
                return Ok(page.finish(query));
            }
        }
    }

    /// A page of scans by duration, number of findings or worst severity. It contains only finished
    /// scans.
    async fn page_by_rank(&self, query: &ListQuery, scope: &Scope) -> Result<ScanPage, StoreError> {
        let sql = match query.order {
            ScanOrder::Worst => sql::WORST_FIRST,
            ScanOrder::Findings => sql::MOST_FINDINGS,
            ScanOrder::Longest | ScanOrder::Newest | ScanOrder::Oldest | ScanOrder::Target => sql::LONGEST,
        };
        let mut page = Page::new(query);
        let mut place = query.from.as_ref().map_or(Ok(Place::START), Place::of)?;
        while page.limit > 0 {
            let want = page.missing().clamp(20, CHUNK);
            let steps = scope.projects.iter().map(|project| async move {
                let step = place.step(project, at_most(want));
                calls::call_again::<RankedScans>(&self.inner.db, sql, step).await.map(|found| found.in_order(want))
            });
            let mut ranked = merged(try_join_all(steps).await?, want);
            // Scans without a rank come last and are not part of this order.
            let read = ranked.len();
            ranked.retain(|one| one.rank.is_some());
            let is_last = read < want || ranked.len() < read;
            let numbers: Vec<i64> = ranked.iter().map(|one| one.number).collect();
            let with_tag = self.with_tag(query, &numbers).await?;
            let mut rows: HashMap<i64, Found> =
                self.rows(&numbers).await?.into_iter().map(|found| (found.number, found)).collect();
            for one in ranked {
                if page.is_over() {
                    break;
                }
                place = Place { rank: one.rank.unwrap_or(place.rank), number: one.number };
                // A scan that was deleted in the meantime has no row.
                let Some(Found { number, record }) = rows.remove(&one.number) else { continue };
                let at = Cursor { rank: place.rank.to_string(), ..cursor_at(number) };
                page.take(record, at, |record| with_tag.holds(number) && matches(record, query));
            }
            if is_last || page.is_over() || page.gives_up() {
                break;
            }
        }
        Ok(page.finish(query))
    }

    /// A page of scans by target, and by newest first within a target. `None` if there are too many
    /// targets to sort.
    async fn page_by_target(&self, query: &ListQuery, scope: &Scope) -> Result<Option<ScanPage>, StoreError> {
        let mut page = Page::new(query);
        let from = query.from.clone().unwrap_or(Cursor { rank: String::new(), id: ScanId(u64::MAX) });
        let text = query.target.as_deref().unwrap_or_default();
        if !scope.has_all && !self.are_few_targets(text).await? {
            return Ok(None);
        }
        let Some(targets) = self
            .targets
            .containing(&self.inner.db, text, &from.rank, page.missing() + MAX_SCANNED_WITHOUT_MATCH)
            .await?
        else {
            return Ok(None);
        };
        'targets: for target in targets {
            let mut hi = if target == from.rank { number_of(from.id) } else { i64::MAX };
            page.scanned_without_match += 1;
            loop {
                let want = page.missing().clamp(5, CHUNK);
                let rows = self
                    .fetch_page(
                        scope,
                        &IndexScan::Targets(vec![target.clone()]),
                        KeyRange { lo: -1, hi },
                        false,
                        want,
                        0,
                    )
                    .await?;
                let is_last = rows.len() < want;
                let numbers: Vec<i64> = rows.iter().map(|found| found.number).collect();
                let with_tag = self.with_tag(query, &numbers).await?;
                for Found { number, record } in rows {
                    if page.is_over() {
                        break 'targets;
                    }
                    hi = number;
                    let at = Cursor { rank: target.clone(), ..cursor_at(number) };
                    page.take(record, at, |record| with_tag.holds(number) && matches(record, query));
                }
                if page.is_over() {
                    break 'targets;
                }
                if is_last {
                    // Also set if all scans of the target are deleted: the next page must not scan
                    // the target again.
                    page.last = Some(end_of(&target));
                }
                if page.gives_up() {
                    // The cursor can be a target of another project.
                    if !scope.has_all {
                        return Ok(None);
                    }
                    break 'targets;
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(Some(page.finish(query)))
    }

    /// Returns true if one page can pass over all targets that contain `text`. Otherwise a page of
    /// some projects could end at a target of another project, and its cursor would name it.
    async fn are_few_targets(&self, text: &str) -> Result<bool, StoreError> {
        let found = self.targets.containing(&self.inner.db, text, "", MAX_SCANNED_WITHOUT_MATCH + 1).await?;
        Ok(found.is_some_and(|targets| targets.len() <= MAX_SCANNED_WITHOUT_MATCH))
    }

    async fn plan(&self, query: &ListQuery) -> Result<Plan, StoreError> {
        let targets = match query.target.as_deref() {
            Some(text) if !text.is_empty() && query.plugin.is_none() && query.tag.is_none() => {
                let found = self.targets.containing(&self.inner.db, text, "", MAX_TARGETS + 1).await?;
                found.filter(|targets| targets.len() <= MAX_TARGETS)
            }
            _ => None,
        };
        Ok(plan(query, targets))
    }

    /// Converts the days of a query to a range of scan numbers. Scans are numbered in the order of
    /// acceptance.
    async fn range_of_days(&self, query: &ListQuery, scope: &Scope) -> Result<KeyRange, StoreError> {
        let mut range = KeyRange::ALL;
        if let Some(from) = query.created_from {
            let first = self.bounds(scope, sql::FIRST_SINCE, from).await?.into_iter().min();
            range.lo = first.map_or(i64::MAX, |number| number - 1);
        }
        if let Some(until) = query.created_until {
            let last = self.bounds(scope, sql::LAST_BEFORE, until).await?.into_iter().max();
            range.hi = last.map_or(-1, |number| number + 1);
        }
        Ok(range)
    }

    /// The scan number that `sql` finds in each project.
    async fn bounds(&self, scope: &Scope, sql: &'static str, at: jiff::Timestamp) -> Result<Vec<i64>, StoreError> {
        let bounds = scope.projects.iter().map(|project| {
            let moment = Moment { project: project.clone(), at: row::nanoseconds(at) };
            calls::call_again::<Bound>(&self.inner.db, sql, moment)
        });
        Ok(try_join_all(bounds).await?.into_iter().filter_map(|bound| bound.number).collect())
    }

    /// The next rows of an index scan, in its order.
    async fn fetch_page(
        &self,
        scope: &Scope,
        scan: &IndexScan,
        range: KeyRange,
        oldest_first: bool,
        limit: usize,
        start: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let single = match scan {
            IndexScan::All => Some((sql::ALL, String::new())),
            IndexScan::Mode(mode) => Some((sql::OF_MODE, mode.as_str().to_owned())),
            IndexScan::Statuses(statuses) => match statuses.as_slice() {
                [status] => Some((sql::OF_STATUS, status.as_str().to_owned())),
                _ => None,
            },
            IndexScan::Targets(targets) => match targets.as_slice() {
                [target] => Some((sql::OF_TARGET, target.clone())),
                _ => None,
            },
            IndexScan::Found(_) | IndexScan::Severe(_) | IndexScan::Tagged(_) => None,
        };
        let mut rows = if let (Some((sql, value)), [project]) = (single, scope.projects.as_slice()) {
            let step = Step {
                project: project.clone(),
                value,
                bound: range.begin(oldest_first),
                limit: at_most(limit),
                start: at_most(start),
            };
            let Rows { rows } =
                calls::call_again(&self.inner.db, if oldest_first { sql.oldest } else { sql.newest }, step).await?;
            self.unreadable.read(rows)?
        } else {
            let numbers = self.numbers(scope, scan, range, oldest_first, limit, start).await?;
            self.rows(&numbers).await?
        };
        rows.retain(|found| range.holds(found.number));
        rows.sort_unstable_by_key(|found| found.number);
        if !oldest_first {
            rows.reverse();
        }
        Ok(rows)
    }

    /// The next scan numbers of an index scan, in its order. An index scan with several values or
    /// in several projects runs one scan for each of them and merges the results.
    async fn numbers(
        &self,
        scope: &Scope,
        scan: &IndexScan,
        range: KeyRange,
        oldest_first: bool,
        limit: usize,
        start: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let choose = |sql: Sql| if oldest_first { sql.oldest_numbers } else { sql.newest_numbers };
        let parts: Vec<(&'static str, String)> = match scan {
            IndexScan::All => vec![(choose(sql::ALL), String::new())],
            IndexScan::Mode(mode) => vec![(choose(sql::OF_MODE), mode.as_str().to_owned())],
            IndexScan::Statuses(statuses) => {
                statuses.iter().map(|status| (choose(sql::OF_STATUS), status.as_str().to_owned())).collect()
            }
            IndexScan::Targets(targets) => {
                targets.iter().map(|target| (choose(sql::OF_TARGET), target.clone())).collect()
            }
            IndexScan::Found(plugin) => {
                vec![(if oldest_first { sql::FOUND_OLDEST } else { sql::FOUND_NEWEST }, plugin_text(plugin))]
            }
            IndexScan::Tagged(tag) => {
                vec![(if oldest_first { sql::TAGGED_OLDEST } else { sql::TAGGED_NEWEST }, tag.clone())]
            }
            IndexScan::Severe(least) => {
                let statement = if oldest_first { sql::WORST_OLDEST } else { sql::WORST_NEWEST };
                Severity::ALL
                    .iter()
                    .filter(|severity| severity.is_at_least(*least))
                    .map(|severity| (statement, severity.as_str().to_owned()))
                    .collect()
            }
        };
        let parts: Vec<(&'static str, String, &String)> = scope
            .projects
            .iter()
            .flat_map(|project| parts.iter().map(move |(sql, value)| (*sql, value.clone(), project)))
            .collect();
        let is_single = parts.len() == 1;
        let (limit_each, start_each) = if is_single { (limit, start) } else { (limit.saturating_add(start), 0) };
        let steps = parts.into_iter().map(|(sql, value, project)| {
            let step = Step {
                project: project.clone(),
                value,
                bound: range.begin(oldest_first),
                limit: at_most(limit_each),
                start: at_most(start_each),
            };
            calls::call_again::<Numbers>(&self.inner.db, sql, step)
        });
        let mut numbers: Vec<i64> = try_join_all(steps)
            .await?
            .into_iter()
            .flat_map(|found| found.numbers)
            .filter(|number| range.holds(*number))
            .collect();
        numbers.sort_unstable();
        if !oldest_first {
            numbers.reverse();
        }
        Ok(if is_single { numbers } else { numbers.into_iter().skip(start).take(limit).collect() })
    }

    /// Which of these scans have the tag of the query.
    async fn with_tag(&self, query: &ListQuery, numbers: &[i64]) -> Result<WithTag, StoreError> {
        let Some(tag) = query.tag.as_deref().filter(|_| !numbers.is_empty()) else { return Ok(WithTag::Any) };
        let keys = numbers.iter().map(|number| tag_key(tag, *number)).collect();
        let Numbers { numbers } = calls::call_again(&self.inner.db, sql::WITH_TAG, Keys { keys }).await?;
        Ok(WithTag::Only(numbers.into_iter().collect()))
    }

    async fn rows(&self, numbers: &[i64]) -> Result<Vec<Found>, StoreError> {
        let keys: Vec<RecordId> = numbers.iter().map(|number| RecordId::new("scan", *number)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let Rows { rows } = calls::call_again(&self.inner.db, sql::ROWS, Keys { keys }).await?;
        Ok(self.unreadable.read(rows)?)
    }

    /// The number of matching scans, and whether there are more.
    ///
    /// The count indexes count all scans of a state, and so serve lists of all projects, or of the
    /// only one. Within some of several projects, and with other filters, it counts the entries of
    /// the projects' parts of an index and stops at [`MAX_COUNT`] matches, or at
    /// [`MAX_SCANNED_WITHOUT_MATCH`] other rows. So its cost is bounded whatever the number of
    /// scans, and no counter of a project makes the writers of its scans collide.
    async fn count(&self, query: &ListQuery, scope: &Scope) -> Result<(u64, bool), StoreError> {
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
        let Plan { scan, checks } = self.plan(&whole).await?;
        let has_days = whole.created_from.is_some() || whole.created_until.is_some();
        if scope.has_all && !has_days && !checks && query.order.is_by_number() {
            let stats = self.counts().await?;
            match &scan {
                IndexScan::All => return Ok((stats.all(), false)),
                IndexScan::Statuses(statuses) => {
                    return Ok((
                        statuses.iter().fold(0, |sum: u64, status| sum.saturating_add(stats.of(*status))),
                        false,
                    ));
                }
                IndexScan::Targets(_)
                | IndexScan::Mode(_)
                | IndexScan::Found(_)
                | IndexScan::Severe(_)
                | IndexScan::Tagged(_) => {}
            }
        }
        if !checks {
            return self.count_entries(scope, &scan, self.range_of_days(&whole, scope).await?).await;
        }
        let page = self.page_by_number(&whole, scope).await?;
        Ok((page.scans.len() as u64, page.next.is_some()))
    }

    /// The number of entries of an index scan up to [`MAX_COUNT`], and whether there are more.
    async fn count_entries(&self, scope: &Scope, scan: &IndexScan, range: KeyRange) -> Result<(u64, bool), StoreError> {
        let found = self.numbers(scope, scan, range, false, MAX_COUNT + 1, 0).await?.len();
        Ok((found.min(MAX_COUNT) as u64, found > MAX_COUNT))
    }

    /// The number of all scans in each state, from the count indexes.
    async fn counts(&self) -> Result<StoreStats, StoreError> {
        let counts: Counts = calls::call_again(&self.inner.db, sql::COUNTS, Nothing {}).await?;
        Ok(StoreStats {
            pending: row::unsigned(counts.pending)?,
            running: row::unsigned(counts.running)?,
            completed: row::unsigned(counts.completed)?,
            failed: row::unsigned(counts.failed)?,
            cancelled: row::unsigned(counts.cancelled)?,
            ..StoreStats::default()
        })
    }
}

/// A cursor after all scans of a target. Their numbers begin with 1.
fn end_of(target: &str) -> Cursor {
    Cursor { rank: target.to_owned(), id: ScanId(0) }
}
