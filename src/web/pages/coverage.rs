//! The coverage of a scan in words: a summary line, the badge, and the reason of each empty list.
//! The functions are pure, and claim no more than the row of the scan contains.

use kastrel_actors::model::{
    Coverage, PluginClass, PluginResult, PluginStatus, ScanOverview, ScanSnapshot, ScanState, ScanStatus, grouped_count,
};

use super::badge::{Badge, state_word};
use crate::web::text::{clean, counted, sentence};

/// How many plugins a line names; the table of plugins has all of them.
const NAMED: usize = 6;

/// A kind of gaps: the plugins in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The CSS class of the state, without the prefix `is-`.
    pub(crate) class: &'static str,
    /// Whether the plugins failed, so that the count is red.
    pub(crate) is_failure: bool,
    /// The number of plugins: `1 failed`.
    pub(crate) count: String,
    /// The names of the plugins: `testssl, katana`.
    pub(crate) plugins: String,
}

/// The coverage of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoverageView {
    /// The summary: `10 of 12 checks ran`; empty while nothing is known.
    pub(crate) label: String,
    pub(crate) gaps: Vec<Gap>,
    /// The selected plugins that the scan leaves out, because its mode does not run them.
    pub(crate) left_out: String,
    /// The percentage of ended checks, while the scan runs.
    pub(crate) percent: Option<usize>,
    pub(crate) is_complete: bool,
}

impl CoverageView {
    /// Returns the coverage of a scan in any state.
    pub(crate) fn of(scan: &ScanSnapshot, overview: &ScanOverview) -> Self {
        let coverage = &overview.coverage;
        let gap = |status: PluginStatus| {
            let names = coverage.names(status);
            let count = format!("{} {}", names.len(), status.text().gap);
            (!names.is_empty()).then(|| Gap {
                class: status.tone().css_class(),
                is_failure: status.has_failed(),
                count,
                plugins: listed(names),
            })
        };
        // A dry run never checks anything: that is one reason for all plugins, not a gap of each.
        let gaps = if coverage.dry_run || scan.status() == ScanStatus::Pending {
            Vec::new()
        } else {
            Coverage::GAPS.into_iter().filter_map(gap).collect()
        };
        Self {
            label: label(scan, overview),
            gaps,
            left_out: listed(&scan.record.left_out),
            percent: overview.percent.filter(|_| scan.status() == ScanStatus::Running),
            is_complete: coverage.is_complete(),
        }
    }
}

/// Returns the coverage in one line.
fn label(scan: &ScanSnapshot, overview: &ScanOverview) -> String {
    match scan.status() {
        ScanStatus::Pending => String::new(),
        ScanStatus::Running => overview.progress().unwrap_or_default(),
        ScanStatus::Cancelled if scan.record.attempts.is_empty() => "Not run: cancelled before it started".into(),
        ScanStatus::Completed | ScanStatus::Failed | ScanStatus::Cancelled => sentence(&overview.coverage.label()),
    }
}

/// Joins the first names, and adds how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(|name| clean(name)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Returns the badge of a scan's state. It is green only if every selected check ran.
pub(crate) fn badge(status: ScanStatus, coverage: &Coverage) -> Badge {
    if status != ScanStatus::Completed || coverage.is_complete() {
        return status.into();
    }
    let word = state_word(status);
    match coverage.gaps_label() {
        _ if coverage.dry_run => Badge::new("dry_run", "skipped", format!("{word}, dry run")),
        _ if coverage.nothing_checked() => Badge::new("partial", "unavailable", format!("{word}, nothing checked")),
        Some(gaps) => Badge::new("partial", "unavailable", format!("{word}, {gaps}")),
        None => Badge::new("partial", "unavailable", word),
    }
}

/// Returns why a scan shows no issue.
pub(crate) fn no_issues(scan: &ScanSnapshot, coverage: &Coverage) -> String {
    let gaps = Coverage::GAPS.iter().flat_map(|status| coverage.names(*status)).cloned().collect::<Vec<_>>();
    match &scan.record.state {
        ScanState::Pending { .. } if scan.record.attempts.is_empty() => "Not checked yet: the scan is queued.".into(),
        ScanState::Pending { .. } => "Not checked yet: the scan is queued for another attempt.".into(),
        ScanState::Running { .. } => "No issues yet.".into(),
        ScanState::Completed { .. } if coverage.dry_run => "Not run: dry run.".into(),
        ScanState::Cancelled { .. } if scan.record.attempts.is_empty() => {
            "Not run: cancelled before it started.".into()
        }
        ScanState::Cancelled { .. } if coverage.nothing_checked() => {
            "Not checked: the scan was cancelled before a check completed.".into()
        }
        ScanState::Failed { .. } if coverage.nothing_checked() => {
            "Not checked: the scan failed, and no check completed.".into()
        }
        ScanState::Completed { .. } if coverage.nothing_checked() => "Not checked: no check completed.".into(),
        ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } if gaps.is_empty() => {
            "No issues found.".into()
        }
        ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => {
            format!(
                "No issues found by the {} that ran. Not checked: {}.",
                counted(coverage.ran() as u64, "check", "checks"),
                listed(&gaps)
            )
        }
    }
}

/// Returns the state of a plugin. `ended`: its attempt has ended, so a waiting or running plugin
/// counts as not run or interrupted.
pub(crate) const fn state_of(plugin: &PluginResult, ended: bool) -> PluginStatus {
    if ended { plugin.status.when_attempt_ends() } else { plugin.status }
}

/// Returns why a plugin shows no issue. `ended`: its attempt has ended.
pub(crate) const fn no_issues_of(plugin: &PluginResult, dry_run: bool, ended: bool) -> &'static str {
    let state = state_of(plugin, ended);
    match state.class() {
        PluginClass::Ok | PluginClass::LeftOut | PluginClass::Problem if dry_run => "Not run: dry run.",
        _ => state.text().no_issues,
    }
}

/// Returns the number of issues of a scan, for a list. It is empty if nothing was checked, because
/// a zero would look clean.
pub(crate) fn issues_text(status: ScanStatus, overview: &ScanOverview) -> String {
    let (issues, coverage) = (overview.severities.total(), &overview.coverage);
    match status {
        ScanStatus::Pending => String::new(),
        _ if issues > 0 => format!("{} {}", grouped_count(issues), if issues == 1 { "issue" } else { "issues" }),
        ScanStatus::Running => String::new(),
        _ if coverage.dry_run => "Not run".into(),
        _ if coverage.nothing_checked() => "Not checked".into(),
        _ => "No issues".into(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_actors::model::{
        AttemptRecord, CancelledBy, Failure, FailureKind, FencingToken, IssueRef, PendingReason, ResultSummary,
        ScanOptions, ScanRecord, ScanRequest, Severity,
    };
    use kastrel_actors::testing::fixtures;

    use super::PluginStatus::{Completed, Failed, InProgress, Interrupted, NotRun, Pending, Skipped, Unavailable};
    use super::*;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn scan(state: ScanState, has_started: bool, dry_run: bool, states: &[(&str, PluginStatus)]) -> ScanSnapshot {
        let plugins: Vec<PluginResult> =
            states.iter().map(|(name, status)| PluginResult::new(*name, *status)).collect();
        let attempt = AttemptRecord {
            number: kastrel_actors::model::AttemptNumber(1),
            token: FencingToken(1),
            node: "node-a".parse().unwrap(),
            due: None,
            started_at: AT,
            ended_at: None,
            end: None,
            scanner: None,
        };
        let record = fixtures::record(1, AT);
        ScanSnapshot::of(ScanRecord {
            request: ScanRequest {
                options: ScanOptions { dry_run, ..record.request.options.clone() },
                ..record.request.clone()
            },
            state: match state {
                ScanState::Completed { at, .. } => {
                    ScanState::Completed { at, summary: ResultSummary::of(&plugins, dry_run) }
                }
                state => state,
            },
            attempts: if has_started { vec![attempt] } else { Vec::new() },
            plugins,
            ..record
        })
    }

    fn completed() -> ScanState {
        ScanState::Completed { at: AT, summary: ResultSummary::default() }
    }

    fn failed() -> ScanState {
        ScanState::Failed { at: AT, failure: Failure::new(FailureKind::Crashed, "x") }
    }

    fn cancelled() -> ScanState {
        ScanState::Cancelled { at: AT, by: CancelledBy::User }
    }

    fn pending() -> ScanState {
        ScanState::Pending { due: AT, reason: PendingReason::Submitted }
    }

    fn running() -> ScanState {
        ScanState::Running {
            attempt: kastrel_actors::model::AttemptNumber(1),
            node: "node-a".parse().unwrap(),
            since: AT,
        }
    }

    /// Covers every way in which a check can fail to run: no badge is green, and no text says that
    /// there are no issues without naming what was not checked.
    #[test]
    fn missing_checks_are_never_green_and_never_called_clean() {
        for (state, has_started, dry_run, states, shown, line, why, listed) in [
            (
                completed(),
                true,
                false,
                &[("a", Completed)][..],
                "completed Completed",
                "1 of 1 checks ran",
                "No issues found.",
                "No issues",
            ),
            (
                completed(),
                true,
                false,
                &[("a", Completed), ("b", Failed), ("c", Unavailable)],
                "partial Completed, 2 gaps",
                "1 of 3 checks ran",
                "No issues found by the 1 check that ran. Not checked: b, c.",
                "No issues",
            ),
            (
                completed(),
                true,
                false,
                &[("a", Completed), ("b", Skipped), ("c", Interrupted), ("d", NotRun)],
                "partial Completed, 3 gaps",
                "1 of 4 checks ran",
                "No issues found by the 1 check that ran. Not checked: b, c, d.",
                "No issues",
            ),
            (
                completed(),
                true,
                false,
                &[("a", Failed)],
                "partial Completed, nothing checked",
                "0 of 1 checks ran",
                "Not checked: no check completed.",
                "Not checked",
            ),
            (
                completed(),
                true,
                false,
                &[],
                "partial Completed, nothing checked",
                "No checks ran",
                "Not checked: no check completed.",
                "Not checked",
            ),
            (
                completed(),
                true,
                true,
                &[("a", Completed)],
                "dry_run Completed, dry run",
                "Not run: dry run",
                "Not run: dry run.",
                "Not run",
            ),
            (
                completed(),
                true,
                true,
                &[],
                "dry_run Completed, dry run",
                "Not run: dry run",
                "Not run: dry run.",
                "Not run",
            ),
            (
                failed(),
                true,
                false,
                &[],
                "failed Failed",
                "No checks ran",
                "Not checked: the scan failed, and no check completed.",
                "Not checked",
            ),
            (
                failed(),
                true,
                false,
                &[("a", Completed), ("b", NotRun)],
                "failed Failed",
                "1 of 2 checks ran",
                "No issues found by the 1 check that ran. Not checked: b.",
                "No issues",
            ),
            (
                cancelled(),
                false,
                false,
                &[],
                "cancelled Cancelled",
                "Not run: cancelled before it started",
                "Not run: cancelled before it started.",
                "Not checked",
            ),
            (
                cancelled(),
                true,
                false,
                &[("a", InProgress), ("b", Pending)],
                "cancelled Cancelled",
                "0 of 2 checks ran",
                "Not checked: the scan was cancelled before a check completed.",
                "Not checked",
            ),
            (pending(), false, false, &[], "pending Queued", "", "Not checked yet: the scan is queued.", ""),
            (
                pending(),
                true,
                false,
                &[("a", Completed)],
                "pending Queued",
                "",
                "Not checked yet: the scan is queued for another attempt.",
                "",
            ),
            (
                running(),
                true,
                false,
                &[("a", Completed), ("b", InProgress)],
                "running Running",
                "1 of 2 plugins done",
                "No issues yet.",
                "",
            ),
        ] {
            let scan = scan(state, has_started, dry_run, states);
            let overview = scan.overview();
            let (badge, view) = (badge(scan.status(), &overview.coverage), CoverageView::of(&scan, &overview));
            assert_eq!(format!("{} {}", badge.name, badge.label), shown, "{states:?}");
            assert_eq!(
                (
                    view.label.as_str(),
                    no_issues(&scan, &overview.coverage).as_str(),
                    issues_text(scan.status(), &overview).as_str()
                ),
                (line, why, listed),
                "{states:?}"
            );
            assert_eq!(
                badge.name == "completed",
                view.is_complete && scan.status() == ScanStatus::Completed,
                "{states:?}"
            );
        }
    }

    #[test]
    fn gaps_are_named_by_their_state() {
        let states = [("a", Completed), ("b", Unavailable), ("c", Unavailable), ("d", Failed)];
        let scan = scan(completed(), true, false, &states);
        let view = CoverageView::of(&scan, &scan.overview());
        let gaps: Vec<String> =
            view.gaps.iter().map(|gap| format!("{} {}: {}", gap.class, gap.count, gap.plugins)).collect();
        assert_eq!(gaps, ["failed 1 failed: d", "warning 2 not installed: b, c"]);
        assert_eq!(listed(&["a", "b", "c", "d", "e", "f", "g", "h"].map(str::to_owned)), "a, b, c, d, e, f and 2 more");
    }

    #[test]
    fn plugin_without_issues_shows_the_reason() {
        for status in PluginStatus::ALL {
            for ended in [false, true] {
                let plugin = PluginResult::new("a", *status);
                let why = no_issues_of(&plugin, false, ended);
                assert_eq!(why == "No issues found.", *status == Completed, "{status}: {why}");
                assert!(!ended || state_of(&plugin, ended).is_final(), "{status}: nothing lasts in an ended attempt");
            }
        }
        assert_eq!(no_issues_of(&PluginResult::new("a", Completed), true, true), "Not run: dry run.");
    }

    #[test]
    fn issues_are_counted_whatever_the_state() {
        let mut snapshot = scan(failed(), true, false, &[("a", Failed)]);
        let issue = IssueRef { id: "x".into(), severity: Severity::High, title: "X".into() };
        snapshot.plugins[0] = PluginResult::new("a", Failed).with_issues([issue]);
        assert_eq!(issues_text(snapshot.status(), &snapshot.overview()), "1 issue");
    }
}
