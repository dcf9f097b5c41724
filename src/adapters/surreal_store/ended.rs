//! The additional rows of a finished scan: the numbers for sorting and trends, the plugins with
//! results, and the counts per day.

use kastrel_actors::model::{DayOutcomes, PastRun, RunsLike, ScanId, ScanMode, ScanRecord, ScanState, ScanStatus};
use kastrel_actors::policy::listing::{
    findings_of, plugin_text, plugins_with_results, severity_rank, target_text, took_ms,
};
use kastrel_actors::ports::StoreError;
use std::time::Duration;
use surrealdb::types::{Array, RecordId, RecordIdKeyRange, SurrealValue, Value};

use super::calls;
use super::row;
use super::store::SurrealStore;

/// The number of rows per day. Several rows reduce conflicts between scans that end together.
pub(super) const PARTS: u64 = 8;

/// The rows of one scan, with their keys.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct Ended {
    key: RecordId,
    number: i64,
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
        let day = at.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
        let date = i64::from(day.year()) * 10_000 + i64::from(day.month()) * 100 + i64::from(day.day());
        let is = |status: ScanStatus| i64::from(record.status() == status);
        let found = plugins_with_results(record).into_iter().map(|plugin| Found {
            key: array_key("found", [plugin.clone().into_value(), number.into_value()]),
            plugin,
        });
        let severities = record.severities();
        Ok(Some(Self {
            key: RecordId::new("ended", number),
            number,
            target: target_text(record),
            mode: record.request.mode.as_str().to_owned(),
            run: matches!(&record.state, ScanState::Completed { summary, .. } if !summary.dry_run),
            took,
            findings: row::signed(findings_of(record))?,
            worst: severities.worst().map(|worst| worst.as_str().to_owned()),
            severity: row::signed(severity_rank(&severities))?,
            found: found.collect(),
            day: array_key(
                "day",
                [date.into_value(), i64::try_from(record.id.0 % PARTS).unwrap_or_default().into_value()],
            ),
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
    Ok(names.map(|name| array_key("found", [name.clone().into_value(), number.into_value()])).collect())
}

fn array_key(table: &str, parts: [Value; 2]) -> RecordId {
    RecordId::new(table, Array::from(parts.to_vec()))
}

/// Writes `$ended`, the rows of a scan that has just finished, within a transaction.
macro_rules! write_ended {
    () => {
        "UPSERT $ended.key SET
            number = $ended.number, target = $ended.target, mode = $ended.mode, run = $ended.run,
            took = $ended.took, findings = $ended.findings, worst = $ended.worst, severity = $ended.severity RETURN NONE;
        FOR $one IN $ended.found { UPSERT $one.key SET plugin = $one.plugin, number = $ended.number RETURN NONE; };
        UPSERT $ended.day SET
            date = $ended.date, completed = (completed ?? 0) + $ended.completed,
            failed = (failed ?? 0) + $ended.failed, cancelled = (cancelled ?? 0) + $ended.cancelled RETURN NONE;"
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
    limit: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct RunsOf {
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

const RUNS: &str = "
    RETURN { rows: (SELECT number, target, mode, took ?? 0 AS took FROM ended WHERE run = true ORDER BY number DESC LIMIT $limit) };";

const RUNS_LIKE: &str = "
    RETURN { rows: (SELECT number, target, mode, took ?? 0 AS took FROM ended
        WHERE run = true AND target = $target AND mode = $mode ORDER BY number DESC LIMIT $limit) };";

impl SurrealStore {
    /// Reads a few rows per day, independent of the number of scans.
    pub(super) async fn day_outcomes(&self, since: jiff::civil::Date) -> Result<Vec<DayOutcomes>, StoreError> {
        let first = i64::from(since.year()) * 10_000 + i64::from(since.month()) * 100 + i64::from(since.day());
        let bound =
            |date: i64| surrealdb::types::RecordIdKey::Array(Array::from(vec![date.into_value(), 0_i64.into_value()]));
        let range = RecordIdKeyRange::from(bound(first)..bound(i64::MAX));
        let DayRows { rows } =
            calls::call_again(&self.inner.db, DAYS, Days { from: RecordId::new("day", range) }).await?;
        let mut days: Vec<DayOutcomes> = Vec::new();
        for found in rows {
            let day = date_of(found.date)?;
            if days.last().is_none_or(|last| last.day != day) {
                days.push(DayOutcomes { day, completed: 0, failed: 0, cancelled: 0 });
            }
            if let Some(last) = days.last_mut() {
                last.completed += row::unsigned(found.completed)?;
                last.failed += row::unsigned(found.failed)?;
                last.cancelled += row::unsigned(found.cancelled)?;
            }
        }
        days.retain(|day| day.completed + day.failed + day.cancelled > 0);
        Ok(days)
    }

    pub(super) async fn runs(&self, like: Option<RunsLike>, limit: usize) -> Result<Vec<PastRun>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let RunRows { rows } = match like {
            None => calls::call_again(&self.inner.db, RUNS, Runs { limit }).await?,
            Some(RunsLike { target, mode }) => {
                calls::call_again(&self.inner.db, RUNS_LIKE, RunsOf { target, mode: mode.as_str().to_owned(), limit })
                    .await?
            }
        };
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
