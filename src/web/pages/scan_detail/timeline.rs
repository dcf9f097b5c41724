//! A chart of the plugins' run times within the last attempt.

use jiff::Timestamp;
use kastrel_actors::model::{PluginResult, PluginStatus, ScanSnapshot};

use crate::web::pages::charts::{Span, span};
use crate::web::pages::coverage::state_of;
use crate::web::text::{clean, duration};

/// The run time of a plugin.
pub(super) struct TimelineRow {
    pub(super) name: String,
    pub(super) class: &'static str,
    pub(super) state: &'static str,
    pub(super) span: Span,
    pub(super) took: String,
    pub(super) begins: String,
}

/// Returns the plugins with a known start, ordered by start.
pub(super) fn timeline(scan: &ScanSnapshot, now: Timestamp) -> Vec<TimelineRow> {
    let Some(attempt) = scan.record.last_attempt() else { return Vec::new() };
    let until = attempt.ended_at.unwrap_or(now);
    rows(scan.last_plugins(), attempt.started_at, until, attempt.ended_at.is_some())
}

fn rows(plugins: &[PluginResult], begin: Timestamp, until: Timestamp, ended: bool) -> Vec<TimelineRow> {
    let mut timed: Vec<(&PluginResult, Timestamp, Timestamp)> = plugins
        .iter()
        // A plugin that never started has no run time, and a kept one ran in an earlier attempt.
        .filter(|plugin| state_of(plugin, ended) != PluginStatus::MISSED && plugin.attempt.is_none())
        .filter_map(|plugin| {
            let start = plugin.started_at.or(plugin.ended_at)?;
            Some((plugin, start, plugin.ended_at.unwrap_or(if plugin.status.is_final() { start } else { until })))
        })
        .collect();
    timed.sort_by_key(|(_, start, end)| (*start, *end));
    // The scanner's clock may differ a little from ours; the chart covers all times.
    let first = timed.iter().map(|(_, start, _)| *start).min().map_or(begin, |start| start.min(begin));
    let last = timed.iter().map(|(_, _, end)| *end).max().map_or(until, |end| end.max(until));
    let seconds = |at: Timestamp| at.duration_since(first).as_secs_f64();
    let row = |(plugin, start, end): (&PluginResult, Timestamp, Timestamp)| TimelineRow {
        name: clean(&plugin.name),
        class: state_of(plugin, ended).tone().css_class(),
        state: state_of(plugin, ended).as_str(),
        span: span(seconds(start), seconds(end), 0.0, seconds(last)),
        took: if plugin.started_at.is_some() { duration(end.duration_since(start)) } else { "?".into() },
        begins: duration(start.duration_since(first)),
    };
    timed.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeline_orders_plugins_by_start_within_the_attempt() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let plugin = |name: &str, status, started_at, ended_at| PluginResult {
            started_at,
            ended_at,
            ..PluginResult::new(name, status)
        };
        let plugins = [
            plugin("late", PluginStatus::InProgress, Some(at(150)), None),
            plugin("early", PluginStatus::Completed, Some(at(100)), Some(at(150))),
            plugin("only_end", PluginStatus::Completed, None, Some(at(120))),
            plugin("never", PluginStatus::Pending, None, None),
        ];
        let rows = rows(&plugins, at(100), at(200), false);
        let shape: Vec<_> =
            rows.iter().map(|row| (row.name.as_str(), row.span.start, row.span.width, row.took.as_str())).collect();
        assert_eq!(shape, [("early", 0, 500, "50 s"), ("only_end", 200, 6, "?"), ("late", 500, 500, "50 s")]);
        let ended: Vec<_> =
            super::rows(&plugins, at(100), at(200), true).into_iter().map(|row| (row.name, row.state)).collect();
        assert_eq!(ended[2], ("late".to_owned(), "interrupted"), "nothing goes on in an ended attempt");
    }
}
