//! The additional rows of a finished scan: the numbers for sorting and trends, the plugins with
//! results, and the counts per day, which the relay writes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use kastrel_actors::model::{
    DayOutcomes, PastRun, ProjectFilter, ProjectId, RunsLike, ScanId, ScanMode, ScanRecord, ScanState, ScanStatus,
};
use kastrel_actors::policy::listing::{
    findings_of, plugin_text, plugins_with_results, severity_rank, target_text, took_ms,
};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{Array, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue, Value};

use super::calls;
use super::row;
use super::store::SurrealStore;

/// The number of rows per project and day. Several rows reduce conflicts between scans that end
/// together.
pub(super) const PARTS: u64 = 8;

/// The rows of one scan, with their keys.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct Ended {
    key: RecordId,
    number: i64,
    pub(super) project: String,
    target: String,
    mode: String,
    run: bool,
    took: Option<i64>,
    findings: i64,
    worst: Option<String>,
    severity: i64,
    found: Vec<Found>,
    pub(super) day: RecordId,
    pub(super) date: i64,
    pub(super) completed: i64,
    pub(super) failed: i64,
    pub(super) cancelled: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Found {
    key: RecordId,
    plugin: String,
}

impl Ended {
    /// The rows of a scan; `None` until it is finished.
    pub(super) fn of(record: &ScanRecord) -> Result<Option<Self>, StoreError> {
        let Some(at) = record.ended_at() else { return Ok(None) };
        let number = row::signed(record.id.0)?;
        let took = took_ms(record).map(row::signed).transpose()?;
        let (day, date) = day_row(&record.project, record.id, at);
        let is = |status: ScanStatus| i64::from(record.status() == status);
        let found = plugins_with_results(record).into_iter().map(|plugin| Found {
            key: array_key("found", vec![plugin.clone().into_value(), number.into_value()]),
            plugin,
        });
        let severities = record.severities();
        Ok(Some(Self {
            key: RecordId::new("ended", number),
            number,
            project: record.project.to_string(),
            target: target_text(record),
            mode: record.request.options.mode.as_str().to_owned(),
            run: matches!(&record.state, ScanState::Completed { summary, .. } if !summary.dry_run),
            took,
            findings: row::signed(findings_of(record))?,
            worst: severities.worst().map(|worst| worst.as_str().to_owned()),
            severity: row::signed(severity_rank(&severities))?,
            found: found.collect(),
            day,
            date,
            completed: is(ScanStatus::Completed),
            failed: is(ScanStatus::Failed),
            cancelled: is(ScanStatus::Cancelled),
        }))
    }
}

/// The keys of plugins with results that an earlier version stored with a different spelling.
pub(super) fn keys_of_other_spelling(record: &ScanRecord) -> Result<Vec<RecordId>, StoreError> {
    let number = row::signed(record.id.0)?;
    let names = record.plugins.iter().map(|plugin| &plugin.name).filter(|name| plugin_text(name) != **name);
    Ok(names.map(|name| array_key("found", vec![name.clone().into_value(), number.into_value()])).collect())
}

fn array_key(table: &str, parts: Vec<Value>) -> RecordId {
    RecordId::new(table, Array::from(parts))
}

/// The key and the date of the row that counts a scan of a project that ended at this time.
pub(super) fn day_row(project: &ProjectId, scan: ScanId, at: jiff::Timestamp) -> (RecordId, i64) {
    let day = at.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    let date = i64::from(day.year()) * 10_000 + i64::from(day.month()) * 100 + i64::from(day.day());
    let part = i64::try_from(scan.0 % PARTS).unwrap_or_default();
    (array_key("day", vec![project.to_string().into_value(), date.into_value(), part.into_value()]), date)
}

/// Writes `$ended`, the rows of a finished scan, within a transaction, and clears the columns of
/// earlier versions. The relay counts the scan in the row of its day.
macro_rules! write_ended {
    () => {
        "UPSERT $ended.key SET
            number = $ended.number, project = $ended.project, target = $ended.target, mode = $ended.mode, run = $ended.run,
            took = $ended.took, findings = $ended.findings, worst = $ended.worst, severity = $ended.severity,
            by_took = NONE, by_findings = NONE, by_severity = NONE RETURN NONE;
        FOR $one IN $ended.found { UPSERT $one.key SET plugin = $one.plugin, number = $ended.number, project = $ended.project RETURN NONE; };"
    };
}
pub(super) use write_ended;

#[derive(Debug, Clone, SurrealValue)]
struct Days {
    from: RecordId,
}

#[derive(Debug, SurrealValue)]
struct DayRow {
    date: i64,
    completed: i64,
    failed: i64,
    cancelled: i64,
}

#[derive(Debug, SurrealValue)]
struct DayRows {
    rows: Vec<DayRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Runs {
    project: String,
    bound: i64,
    limit: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct RunsOf {
    project: String,
    bound: i64,
    target: String,
    mode: String,
    limit: i64,
}

#[derive(Debug, SurrealValue)]
struct RunRow {
    number: i64,
    target: String,
    mode: String,
    took: i64,
}

#[derive(Debug, SurrealValue)]
struct RunRows {
    rows: Vec<RunRow>,
}

const DAYS: &str = "RETURN { rows: (SELECT date, completed, failed, cancelled FROM $from) };";

/// The newest runs of a project. The bound is above every number: with it, the engine follows the
/// index that ends with the number instead of sorting the runs of another one.
const RUNS: &str = "
    RETURN { rows: (SELECT number, target, mode, took ?? 0 AS took FROM ended
        WHERE project = $project AND run = true AND number < $bound ORDER BY number DESC LIMIT $limit) };";

const RUNS_LIKE: &str = "
    RETURN { rows: (SELECT number, target, mode, took ?? 0 AS took FROM ended
        WHERE project = $project AND run = true AND target = $target AND mode = $mode AND number < $bound ORDER BY number DESC LIMIT $limit) };";

impl SurrealStore {
    /// Reads a few rows per project and day, independent of the number of scans.
    pub(super) async fn day_outcomes(
        &self,
        since: jiff::civil::Date,
        filter: &ProjectFilter,
    ) -> Result<Vec<DayOutcomes>, StoreError> {
        let first = i64::from(since.year()) * 10_000 + i64::from(since.month()) * 100 + i64::from(since.day());
        let reads = self.projects_of(filter).await?.into_iter().map(|project| {
            let bound = |date: i64| {
                let parts = vec![project.clone().into_value(), date.into_value(), 0_i64.into_value()];
                RecordIdKey::Array(Array::from(parts))
            };
            let range = RecordIdKeyRange::from(bound(first)..bound(i64::MAX));
            calls::call_again::<DayRows>(&self.inner.db, DAYS, Days { from: RecordId::new("day", range) })
        });
        // A part is negative while a deletion is counted and its end is not, so the parts are added
        // before anything is cut off at zero.
        let mut sums: BTreeMap<i64, [i64; 3]> = BTreeMap::new();
        for found in try_join_all(reads).await?.into_iter().flat_map(|found| found.rows) {
            let sum = sums.entry(found.date).or_default();
            for (sum, part) in sum.iter_mut().zip([found.completed, found.failed, found.cancelled]) {
                *sum += part;
            }
        }
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let mut days: Vec<DayOutcomes> = sums
            .into_iter()
            .map(|(date, [completed, failed, cancelled])| {
                Ok(DayOutcomes {
                    day: date_of(date)?,
                    completed: count(completed),
                    failed: count(failed),
                    cancelled: count(cancelled),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        days.retain(|day| day.completed + day.failed + day.cancelled > 0);
        Ok(days)
    }

    /// Reads the newest runs of each project from an index, and merges them.
    pub(super) async fn runs(
        &self,
        like: Option<RunsLike>,
        filter: &ProjectFilter,
        limit: usize,
    ) -> Result<Vec<PastRun>, StoreError> {
        let reads = self.projects_of(filter).await?.into_iter().map(|project| {
            let (like, bound, limit) = (like.clone(), i64::MAX, row::at_most(limit));
            async move {
                match like {
                    None => calls::call_again::<RunRows>(&self.inner.db, RUNS, Runs { project, bound, limit }).await,
                    Some(RunsLike { target, mode }) => {
                        let mode = mode.as_str().to_owned();
                        let runs = RunsOf { project, bound, target, mode, limit };
                        calls::call_again(&self.inner.db, RUNS_LIKE, runs).await
                    }
                }
            }
        });
        let mut rows: Vec<RunRow> = try_join_all(reads).await?.into_iter().flat_map(|found| found.rows).collect();
        rows.sort_unstable_by_key(|run| Reverse(run.number));
        rows.truncate(limit);
        rows.into_iter()
            .map(|run| {
                Ok(PastRun {
                    id: ScanId(row::unsigned(run.number)?),
                    target: run.target,
                    mode: run.mode.parse::<ScanMode>().map_err(row::corrupt)?,
                    took: Duration::from_millis(row::unsigned(run.took)?),
                })
            })
            .collect()
    }
}

fn date_of(number: i64) -> Result<jiff::civil::Date, StoreError> {
    let part = |number: i64| i8::try_from(number % 100).unwrap_or_default();
    let year = i16::try_from(number / 10_000).map_err(row::corrupt)?;
    jiff::civil::Date::new(year, part(number / 100), part(number)).map_err(row::corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_round_trip() {
        assert_eq!(date_of(20_261_123).unwrap(), jiff::civil::date(2026, 11, 23));
        assert!(date_of(20_261_323).is_err());
    }
}
