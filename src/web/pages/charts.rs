//! Charts as numbers: the coordinates of each shape. The templates only draw them.

use jiff::ToSpan;
use jiff::civil::Date;
use kastrel_actors::model::{DayOutcomes, PastRun};

use crate::web::text::{clean, counted, duration};

/// The height of a chart, in units of its view box.
const HEIGHT: f64 = 100.0;
/// The width of a chart, in units of its view box.
const WIDTH: f64 = 1000.0;

/// A bar of a chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) class: &'static str,
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) width: String,
    pub(crate) height: String,
    /// The value of the bar in words; empty if a neighbouring bar shows it.
    pub(crate) title: String,
    /// The link of the bar.
    pub(crate) url: String,
}

/// The outcomes of scans for each day.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutcomeChart {
    pub(crate) bars: Vec<Bar>,
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) most: u64,
    pub(crate) summary: String,
    /// The same data as a table, for readers who do not see the chart.
    pub(crate) days: Vec<OutcomeDay>,
    pub(crate) is_empty: bool,
}

/// A day of the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutcomeDay {
    pub(crate) day: String,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
}

/// Returns the first day of a chart of `days` days that ends today.
pub(crate) fn first_day(today: Date, days: i32) -> Date {
    today.checked_sub((days - 1).days()).unwrap_or(today)
}

/// Returns the chart of the days from `first` to `today`.
pub(crate) fn outcomes(ends: &[DayOutcomes], first: Date, today: Date) -> OutcomeChart {
    let mut days = Vec::new();
    let mut day = first;
    while day <= today {
        let of_day = ends.iter().find(|ends| ends.day == day);
        let count = |of: fn(&DayOutcomes) -> u64| of_day.map_or(0, of);
        days.push(OutcomeDay {
            day: day.to_string(),
            completed: count(|day| day.completed),
            failed: count(|day| day.failed),
            cancelled: count(|day| day.cancelled),
        });
        let Ok(next) = day.checked_add(1.day()) else { break };
        day = next;
    }
    let total = |of: fn(&OutcomeDay) -> u64| days.iter().map(of).sum::<u64>();
    let all = |day: &OutcomeDay| day.completed + day.failed + day.cancelled;
    let most = days.iter().map(all).max().unwrap_or_default();
    let step = WIDTH / days.len().max(1) as f64;
    let mut bars = Vec::new();
    for (at, day) in days.iter().enumerate() {
        let mut top = HEIGHT;
        for (class, count, word) in
            [("ok", day.completed, "completed"), ("no", day.failed, "failed"), ("off", day.cancelled, "cancelled")]
        {
            if count == 0 {
                continue;
            }
            let height = count as f64 / most as f64 * HEIGHT;
            top -= height;
            let title = format!("{}: {count} {word}", day.day);
            let url = format!("/scans?status={word}&from={0}&to={0}", day.day);
            bars.push(Bar {
                class,
                x: number(at as f64 * step + step * 0.14),
                y: number(top),
                width: number(step * 0.72),
                height: number(height),
                title,
                url,
            });
        }
    }
    OutcomeChart {
        bars,
        first: first.to_string(),
        last: "today".into(),
        most,
        summary: format!(
            "{} completed, {} failed, {} cancelled in {} days",
            total(|day| day.completed),
            total(|day| day.failed),
            total(|day| day.cancelled),
            days.len()
        ),
        is_empty: most == 0,
        days,
    }
}

/// The durations of the last scans, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DurationChart {
    pub(crate) bars: Vec<Bar>,
    pub(crate) longest: String,
    pub(crate) median: String,
    /// The vertical position of the median line.
    pub(crate) median_y: String,
    pub(crate) count: usize,
    pub(crate) is_empty: bool,
}

/// Returns the chart of `runs`, which are ordered newest first.
pub(crate) fn durations(runs: &[PastRun]) -> DurationChart {
    let signed = |took: std::time::Duration| jiff::SignedDuration::try_from(took).unwrap_or_default();
    let longest = runs.iter().map(|run| run.took).max().unwrap_or_default();
    let mut sorted: Vec<_> = runs.iter().map(|run| run.took).collect();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    let share =
        |took: std::time::Duration| if longest.is_zero() { 0.0 } else { took.as_secs_f64() / longest.as_secs_f64() };
    let step = WIDTH / runs.len().max(1) as f64;
    let bar = |(at, run): (usize, &PastRun)| {
        let height = (share(run.took) * HEIGHT).max(1.5);
        Bar {
            class: "run",
            x: number(at as f64 * step + step * 0.15),
            y: number(HEIGHT - height),
            width: number(step * 0.7),
            height: number(height),
            title: clean(&format!("{}, scan {} of {}", duration(signed(run.took)), run.id, run.target)),
            url: format!("/scans/{}", run.id),
        }
    };
    DurationChart {
        bars: runs.iter().rev().enumerate().map(bar).collect(),
        longest: duration(signed(longest)),
        median: duration(signed(median)),
        median_y: number(HEIGHT - share(median) * HEIGHT),
        count: runs.len(),
        is_empty: runs.is_empty(),
    }
}

/// The time of a plugin within an attempt, in thousandths of the attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) width: u32,
}

/// Returns where `start..end` lies within `whole_start..whole_end`, all in seconds. The span has a
/// minimum width, so that it stays visible.
pub(crate) fn span(start: f64, end: f64, whole_start: f64, whole_end: f64) -> Span {
    let whole = (whole_end - whole_start).max(0.001);
    let place = |at: f64| (((at - whole_start) / whole).clamp(0.0, 1.0) * 1000.0).round() as u32;
    let (from, to) = (place(start).min(994), place(end.max(start)));
    Span { start: from, width: to.saturating_sub(from).max(6) }
}

/// Formats a coordinate with one decimal, which is precise enough for a chart.
fn number(value: f64) -> String {
    format!("{value:.1}")
}

/// Formats a number of days for the heading of a chart: `3 days`.
pub(crate) fn days_text(days: i32) -> String {
    counted(u64::try_from(days).unwrap_or_default(), "day", "days")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::civil::date;
    use kastrel_actors::model::{ScanId, ScanMode};

    use super::*;

    #[test]
    fn outcome_chart_has_empty_days_and_scales_to_the_largest_one() {
        let today = date(2026, 11, 23);
        let ends = [
            DayOutcomes { day: date(2026, 11, 21), completed: 3, failed: 1, cancelled: 0 },
            DayOutcomes { day: date(2026, 11, 23), completed: 1, failed: 0, cancelled: 1 },
            DayOutcomes { day: date(2026, 1, 1), completed: 99, failed: 0, cancelled: 0 },
        ];
        let chart = outcomes(&ends, first_day(today, 3), today);
        assert_eq!((chart.days.len(), chart.most, chart.first.as_str()), (3, 4, "2026-11-21"));
        assert_eq!(chart.summary, "4 completed, 1 failed, 1 cancelled in 3 days");
        let shape: Vec<_> = chart.bars.iter().map(|bar| (bar.class, bar.y.as_str(), bar.height.as_str())).collect();
        assert_eq!(
            shape,
            [("ok", "25.0", "75.0"), ("no", "0.0", "25.0"), ("ok", "75.0", "25.0"), ("off", "50.0", "25.0")]
        );
        assert_eq!(chart.bars[1].url, "/scans?status=failed&from=2026-11-21&to=2026-11-21");
        assert!(outcomes(&[], today, today).is_empty);
    }

    #[test]
    fn duration_bars_are_oldest_first_and_never_empty() {
        let run = |id, seconds| PastRun {
            id: ScanId(id),
            target: "a.test".into(),
            mode: ScanMode::Passive,
            took: Duration::from_secs(seconds),
        };
        let chart = durations(&[run(3, 0), run(2, 100), run(1, 50)]);
        assert_eq!(
            chart.bars.iter().map(|bar| bar.url.as_str()).collect::<Vec<_>>(),
            ["/scans/1", "/scans/2", "/scans/3"]
        );
        assert_eq!((chart.bars[2].height.as_str(), chart.bars[1].height.as_str()), ("1.5", "100.0"));
        assert_eq!(
            (chart.median.as_str(), chart.longest.as_str(), chart.median_y.as_str()),
            ("50 s", "1 min 40 s", "50.0")
        );
        assert!(durations(&[]).is_empty);
    }

    #[test]
    fn a_span_stays_within_the_whole_and_is_always_seen() {
        for (start, end, expected) in [
            (0.0, 5.0, (0, 500)),
            (5.0, 5.0, (500, 6)),
            (10.0, 20.0, (994, 6)),
            (-5.0, 2.5, (0, 250)),
            (9.0, 3.0, (900, 6)),
        ] {
            assert_eq!(span(start, end, 0.0, 10.0), Span { start: expected.0, width: expected.1 }, "{start}..{end}");
        }
        assert_eq!(span(0.0, 0.0, 0.0, 0.0), Span { start: 0, width: 6 });
    }
}
