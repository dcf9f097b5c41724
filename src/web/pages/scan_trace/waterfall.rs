//! The waterfall chart of a scan: a pure function of the stored scan.

use jiff::Timestamp;
use kastrel_actors::model::{AttemptRecord, PluginStatus, ScanSnapshot, ScanState, ScanStatus};
use kastrel_actors::policy::wait_parts::{WaitPart, before_attempt, until_now};
use kastrel_actors::policy::waiting::Waiting;

use crate::web::pages::charts::{Span, span};
use crate::web::pages::coverage::state_of;
use crate::web::text::{clean, duration, words};

/// A bar of the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// `scan`, `wait`, `attempt`, `plugin` or `verdict`.
    pub(super) kind: &'static str,
    pub(super) depth: u8,
    pub(super) name: String,
    pub(super) detail: String,
    pub(super) class: &'static str,
    pub(super) state: &'static str,
    pub(super) span: Span,
    pub(super) begins: String,
    pub(super) took: String,
}

/// A bar without its position.
struct Step {
    kind: &'static str,
    depth: u8,
    name: String,
    detail: String,
    class: &'static str,
    state: &'static str,
    start: Timestamp,
    end: Timestamp,
}

/// Returns the bars of a scan in the order of time, each below its parent.
pub(super) fn waterfall(scan: &ScanSnapshot, waiting: Option<&Waiting>, now: Timestamp) -> Vec<Row> {
    let steps = steps(scan, waiting, now);
    // The scanner's clock may differ a little from ours; the chart covers all times.
    let first = steps.iter().map(|step| step.start).min().unwrap_or(now);
    let last = steps.iter().map(|step| step.end).max().unwrap_or(now);
    let seconds = |at: Timestamp| at.duration_since(first).as_secs_f64();
    let place = |step: Step| Row {
        kind: step.kind,
        depth: step.depth,
        name: step.name,
        detail: step.detail,
        class: step.class,
        state: step.state,
        span: span(seconds(step.start), seconds(step.end), 0.0, seconds(last)),
        begins: duration(step.start.duration_since(first)),
        took: duration(step.end.duration_since(step.start)),
    };
    steps.into_iter().map(place).collect()
}

fn steps(scan: &ScanSnapshot, waiting: Option<&Waiting>, now: Timestamp) -> Vec<Step> {
    let record = &scan.record;
    let end = record.ended_at().unwrap_or(now);
    let status = record.status().as_str();
    let root = Step {
        kind: "scan",
        depth: 0,
        name: "scan".into(),
        detail: String::new(),
        class: status,
        state: status,
        start: record.created_at,
        end,
    };
    let mut steps = vec![root];
    for (at, attempt) in record.attempts.iter().enumerate() {
        steps.extend(before_attempt(record, at).into_iter().map(wait));
        let (class, ended) = ending(attempt);
        let node = clean(attempt.node.as_str());
        let detail = if ended.is_empty() { format!("on {node}") } else { format!("on {node}: {ended}") };
        let until = attempt.ended_at.unwrap_or(end);
        steps.push(Step {
            kind: "attempt",
            depth: 1,
            name: format!("attempt {}", attempt.number),
            detail,
            class,
            state: class,
            start: attempt.started_at,
            end: until,
        });
        if at + 1 == record.attempts.len() {
            steps.extend(plugins(scan, until, attempt.ended_at.is_some() || record.ended_at().is_some()));
        }
    }
    match &record.state {
        ScanState::Pending { .. } => steps.extend(until_now(record, waiting, now).into_iter().map(wait)),
        ScanState::Running { .. } => {}
        ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => {
            steps.push(Step {
                kind: "verdict",
                depth: 1,
                name: "verdict".into(),
                detail: status.into(),
                class: status,
                state: status,
                start: end,
                end,
            });
        }
    }
    steps
}

fn wait(part: WaitPart) -> Step {
    Step {
        kind: "wait",
        depth: 1,
        name: part.name.to_lowercase(),
        detail: clean(&part.detail),
        class: "waiting",
        state: "waiting",
        start: part.from,
        end: part.until,
    }
}

/// Returns the state of an attempt, which is also the CSS class of its bar, and its end in words
/// unless it completed.
fn ending(attempt: &AttemptRecord) -> (&'static str, String) {
    match &attempt.end {
        None => (ScanStatus::Running.as_str(), String::new()),
        Some(end) => (end.outcome().as_str(), end.reason().map(words).unwrap_or_default()),
    }
}

/// Returns the plugins of the last attempt with a known time.
fn plugins(scan: &ScanSnapshot, until: Timestamp, ended: bool) -> Vec<Step> {
    // A plugin that never started has no run time.
    let started = scan.last_plugins().iter().filter(|plugin| state_of(plugin, ended) != PluginStatus::MISSED);
    let timed = started.filter_map(|plugin| {
        let start = plugin.started_at.or(plugin.ended_at)?;
        let end = plugin.ended_at.unwrap_or(if plugin.status.is_final() { start } else { until }).max(start);
        let state = state_of(plugin, ended);
        Some(Step {
            kind: "plugin",
            depth: 2,
            name: clean(&plugin.name),
            detail: String::new(),
            class: state.tone().css_class(),
            state: state.as_str(),
            start,
            end,
        })
    });
    let mut steps: Vec<Step> = timed.collect();
    steps.sort_by_key(|step| (step.start, step.end));
    steps
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{
        Command, Failure, FailureKind, FencingToken, PluginResult, PluginStatus, Resolution, ScanRecord, Verdict,
    };
    use kastrel_actors::policy::transition::{Transition, transition};
    use kastrel_actors::testing::fixtures;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn after(record: &ScanRecord, command: &Command, second: i64) -> ScanRecord {
        match transition(record, command, at(second)) {
            Transition::Changed(next) => *next,
            Transition::Refused(why) => panic!("{why}"),
        }
    }

    fn finish(token: u64, resolution: Resolution) -> Command {
        Command::Finish { token: FencingToken(token), resolution, plugins: None }
    }

    fn shape(rows: &[Row]) -> Vec<String> {
        rows.iter()
            .map(|row| {
                format!(
                    "{}{} [{}] {} {}+{} {}",
                    "-".repeat(row.depth.into()),
                    row.name,
                    row.class,
                    row.detail,
                    row.span.start,
                    row.span.width,
                    row.took
                )
            })
            .collect()
    }

    #[test]
    fn a_retried_scan_is_drawn_from_its_submission_to_its_verdict() {
        let plugin = PluginResult {
            started_at: Some(at(70)),
            ended_at: Some(at(90)),
            ..PluginResult::new("testssl", PluginStatus::Completed)
        };
        let verdict = Verdict { plugins: vec![plugin], ..Verdict::default() };
        let mut row = fixtures::record(1, at(0));
        row = after(&row, &Command::Lease { node: "a".parse().unwrap() }, 10);
        row = after(
            &row,
            &finish(
                1,
                Resolution::Retry {
                    failure: Failure::new(FailureKind::NodeLost, "x"),
                    after: std::time::Duration::from_secs(10),
                },
            ),
            40,
        );
        row = after(&row, &Command::Lease { node: "b".parse().unwrap() }, 60);
        row = after(&row, &finish(2, Resolution::Complete(verdict)), 100);
        assert_eq!(
            shape(&waterfall(&ScanSnapshot::of(row), None, at(500))),
            [
                "scan [completed]  0+1000 1 min 40 s",
                "-queued [waiting]  0+100 10 s",
                "-attempt 1 [failed] on a: node lost 100+300 30 s",
                "-backoff [waiting] after failure: node lost 400+100 10 s",
                "-queued [waiting]  500+100 10 s",
                "-attempt 2 [completed] on b 600+400 40 s",
                "--testssl [completed]  700+200 20 s",
                "-verdict [completed] completed 994+6 0.0 s",
            ]
        );
    }

    #[test]
    fn running_bars_end_now() {
        let row = fixtures::record(1, at(0));
        assert_eq!(
            shape(&waterfall(&ScanSnapshot::of(row.clone()), None, at(20))),
            ["scan [pending]  0+1000 20 s", "-queued [waiting]  0+1000 20 s"]
        );
        let running = after(&row, &Command::Lease { node: "a".parse().unwrap() }, 10);
        let rows = shape(&waterfall(&ScanSnapshot::of(running), None, at(20)));
        assert_eq!(rows[2], "-attempt 1 [running] on a 500+500 10 s");
        assert_eq!(rows.len(), 3);
    }
}
