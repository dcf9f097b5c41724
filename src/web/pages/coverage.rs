//! What was checked and what was not, in words: the line of a scan's coverage, its badge, and the reason of each empty list. Pure; nothing here says more than the row does.

use kastrel_actors::model::{PluginResult, PluginStatus, ScanSnapshot, ScanState, ScanStatus, SeverityCounts};

use super::badge::{Badge, state_word};
use crate::web::api::wire::plugins_of;
use crate::web::text::{clean, counted};

/// How many plugins a line names; the table of plugins has all.
const NAMED: usize = 6;

/// What became of a check: a plugin that the scan selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    Completed,
    Failed,
    Unavailable,
    /// Left out by the scanner, although it was selected.
    Skipped,
    /// Had started when the attempt ended.
    Interrupted,
    /// Had not started when the attempt ended.
    NotRun,
    /// Waits or runs.
    Unfinished,
}

impl Check {
    /// The ways in which a check is a gap.
    const GAPS: [Self; 5] = [Self::Failed, Self::Unavailable, Self::Skipped, Self::Interrupted, Self::NotRun];

    /// What a plugin's state comes to; `ended`: nothing of its attempt runs any more, so that nothing is unfinished.
    pub(crate) const fn of(status: PluginStatus, ended: bool) -> Self {
        match status {
            PluginStatus::Completed => Self::Completed,
            PluginStatus::Failed => Self::Failed,
            PluginStatus::Unavailable => Self::Unavailable,
            PluginStatus::Skipped => Self::Skipped,
            PluginStatus::InProgress if ended => Self::Interrupted,
            PluginStatus::Pending if ended => Self::NotRun,
            PluginStatus::InProgress | PluginStatus::Pending => Self::Unfinished,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
            Self::NotRun => "not_run",
            Self::Unfinished => "unfinished",
        }
    }

    /// The style of its bar in a picture of times.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Unfinished => "in_progress",
            other => other.name(),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Unavailable => "not installed",
            Self::NotRun => "not run",
            other => other.name(),
        }
    }
}

/// The checks of a scan, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Coverage {
    dry_run: bool,
    checks: Vec<(Check, String)>,
}

impl Coverage {
    /// Of the last attempt. What the user's selection leaves out is no check of the scan; what was selected and is not known has not run.
    fn of(scan: &ScanSnapshot) -> Self {
        let (request, plugins, ended) = (&scan.record.request, plugins_of(scan), scan.status() != ScanStatus::Running);
        let is_selected = |name: &str| request.plugins.is_empty() || request.plugins.iter().any(|selected| selected.eq_ignore_ascii_case(name));
        let known = plugins.iter().filter(|plugin| plugin.status != PluginStatus::Skipped || is_selected(&plugin.name));
        let mut checks: Vec<(Check, String)> = known.map(|plugin| (Check::of(plugin.status, ended), plugin.name.clone())).collect();
        let has_begun = !scan.record.attempts.is_empty() && scan.status() != ScanStatus::Pending;
        for name in request.plugins.iter().filter(|_| has_begun) {
            if !plugins.iter().any(|plugin| plugin.name.eq_ignore_ascii_case(name)) && !checks.iter().any(|(_, known)| known == name) {
                checks.push((if ended { Check::NotRun } else { Check::Unfinished }, name.clone()));
            }
        }
        Self { dry_run: request.dry_run, checks }
    }

    fn names(&self, check: Check) -> Vec<String> {
        self.checks.iter().filter(|(one, _)| *one == check).map(|(_, name)| name.clone()).collect()
    }

    fn ran(&self) -> usize {
        self.names(Check::Completed).len()
    }

    fn total(&self) -> usize {
        self.checks.len()
    }

    /// The names of all checks that did not run to their end, and will not.
    fn gaps(&self) -> Vec<String> {
        if self.dry_run { Vec::new() } else { Check::GAPS.iter().flat_map(|check| self.names(*check)).collect() }
    }

    fn nothing_checked(&self) -> bool {
        self.dry_run || self.ran() == 0
    }

    fn is_complete(&self) -> bool {
        !self.nothing_checked() && self.ran() == self.total()
    }

    fn label(&self) -> String {
        match (self.dry_run, self.total()) {
            (true, _) => "Not run: dry run".into(),
            (false, 0) => "No checks ran".into(),
            (false, 1) => format!("{} of 1 check ran", self.ran()),
            (false, total) => format!("{} of {total} checks ran", self.ran()),
        }
    }
}

/// A class of gaps: what happened, and to which plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The state's name, which is also its style.
    pub(crate) name: &'static str,
    /// `1 failed`.
    pub(crate) count: String,
    /// `testssl, katana`.
    pub(crate) plugins: String,
}

/// The coverage of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoverageView {
    /// `10 of 12 checks ran`; empty while nothing is known.
    pub(crate) label: String,
    pub(crate) gaps: Vec<Gap>,
    /// How much of it is done, in percent, while a check of it is unfinished or the scan runs.
    pub(crate) percent: Option<usize>,
    pub(crate) is_complete: bool,
}

impl CoverageView {
    /// Of a scan that may still run.
    pub(crate) fn of(scan: &ScanSnapshot) -> Self {
        let coverage = Coverage::of(scan);
        let gap = |check: Check| {
            let names = coverage.names(check);
            (!names.is_empty()).then(|| Gap { name: check.name(), count: format!("{} {}", names.len(), check.word()), plugins: listed(&names) })
        };
        // A dry run checks nothing by its nature: that is one reason, not one a plugin.
        let gaps = if coverage.dry_run || scan.status() == ScanStatus::Pending { Vec::new() } else { Check::GAPS.into_iter().filter_map(gap).collect() };
        let done = coverage.total() - coverage.names(Check::Unfinished).len();
        let percent = (scan.status() == ScanStatus::Running && coverage.total() > 0).then(|| done * 100 / coverage.total());
        Self { label: label(scan, &coverage), gaps, percent, is_complete: coverage.is_complete() }
    }
}

/// The coverage in a line.
fn label(scan: &ScanSnapshot, coverage: &Coverage) -> String {
    match scan.status() {
        ScanStatus::Pending => String::new(),
        ScanStatus::Running if coverage.total() == 0 => String::new(),
        ScanStatus::Running => {
            let done = coverage.total() - coverage.names(Check::Unfinished).len();
            format!("{done} of {} plugins done", coverage.total())
        }
        ScanStatus::Cancelled if scan.record.attempts.is_empty() => "Not run: cancelled before it started".into(),
        ScanStatus::Completed | ScanStatus::Failed | ScanStatus::Cancelled => coverage.label(),
    }
}

/// The first names, and how many more there are.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(|name| clean(name)).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A scan's state. Green is only what every selected check ran for.
pub(crate) fn badge(scan: &ScanSnapshot) -> Badge {
    let (status, coverage) = (scan.status(), Coverage::of(scan));
    if status != ScanStatus::Completed || coverage.is_complete() {
        return status.into();
    }
    let word = state_word(status);
    if coverage.dry_run {
        Badge::new("dry_run", "skipped", format!("{word}, dry run"))
    } else if coverage.nothing_checked() {
        Badge::new("partial", "unavailable", format!("{word}, nothing checked"))
    } else {
        Badge::new("partial", "unavailable", format!("{word}, {}", counted(coverage.gaps().len() as u64, "gap", "gaps")))
    }
}

/// Why a scan shows no issue.
pub(crate) fn no_issues(scan: &ScanSnapshot) -> String {
    let coverage = Coverage::of(scan);
    let gaps = coverage.gaps();
    match &scan.record.state {
        ScanState::Pending { .. } if scan.record.attempts.is_empty() => "Not checked yet: the scan is queued.".into(),
        ScanState::Pending { .. } => "Not checked yet: the scan is queued for another attempt.".into(),
        ScanState::Running { .. } => "No issues yet.".into(),
        ScanState::Completed { .. } if coverage.dry_run => "Not run: dry run.".into(),
        ScanState::Cancelled { .. } if scan.record.attempts.is_empty() => "Not run: cancelled before it started.".into(),
        ScanState::Cancelled { .. } if coverage.nothing_checked() => "Not checked: the scan was cancelled before a check completed.".into(),
        ScanState::Failed { .. } if coverage.nothing_checked() => "Not checked: the scan failed, and no check completed.".into(),
        ScanState::Completed { .. } if coverage.nothing_checked() => "Not checked: no check completed.".into(),
        ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } if gaps.is_empty() => "No issues found.".into(),
        ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => {
            format!("No issues found by the {} that ran. Not checked: {}.", counted(coverage.ran() as u64, "check", "checks"), listed(&gaps))
        }
    }
}

/// Why a plugin shows no issue; `ended`: its attempt has ended.
pub(crate) const fn no_issues_of(plugin: &PluginResult, dry_run: bool, ended: bool) -> &'static str {
    match Check::of(plugin.status, ended) {
        Check::Unfinished if matches!(plugin.status, PluginStatus::Pending) => "Not checked yet: the plugin has not started.",
        Check::Unfinished => "No issues yet.",
        _ if dry_run => "Not run: dry run.",
        Check::Completed => "No issues found.",
        Check::Failed => "Not checked: the plugin failed.",
        Check::Skipped => "Not checked: the scanner skipped the plugin.",
        Check::Unavailable => "Not checked: its tool is not installed.",
        Check::Interrupted => "Not checked: the plugin was interrupted.",
        Check::NotRun => "Not run: the attempt ended before the plugin started.",
    }
}

/// A plugin's state; `ended`: its attempt has ended, so that nothing of it waits or runs any more.
pub(crate) fn badge_of(plugin: &PluginResult, ended: bool) -> Badge {
    match Check::of(plugin.status, ended) {
        Check::Interrupted => Badge::new("interrupted", "stop", "Interrupted"),
        Check::NotRun => Badge::new("not_run", "skipped", "Not run"),
        Check::Completed | Check::Failed | Check::Unavailable | Check::Skipped | Check::Unfinished => plugin.status.into(),
    }
}

/// How many issues a scan has, for a list: nothing where nothing was checked, because a zero would look clean.
pub(crate) fn issues_text(scan: &ScanSnapshot) -> String {
    let (issues, coverage) = (issues_of(SeverityCounts::of(plugins_of(scan))), Coverage::of(scan));
    match scan.status() {
        ScanStatus::Pending => String::new(),
        _ if issues > 0 => counted(issues, "issue", "issues"),
        ScanStatus::Running => String::new(),
        _ if coverage.dry_run => "Not run".into(),
        _ if coverage.nothing_checked() => "Not checked".into(),
        _ => "No issues".into(),
    }
}

/// How many issues there are.
pub(crate) fn issues_of(counts: SeverityCounts) -> u64 {
    let SeverityCounts { critical, high, medium, low, informational, unknown } = counts;
    [critical, high, medium, low, informational, unknown].into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_actors::model::{
        AttemptRecord, CancelledBy, Failure, FailureKind, FencingToken, IssueRef, PendingReason, ScanRecord, ScanRequest, Severity, Verdict,
    };
    use kastrel_actors::testing::fixtures;

    use super::PluginStatus::{Completed, Failed, InProgress, Pending, Skipped, Unavailable};
    use super::*;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn scan(state: ScanState, has_started: bool, dry_run: bool, states: &[(&str, PluginStatus)]) -> ScanSnapshot {
        let plugins: Vec<PluginResult> = states.iter().map(|(name, status)| PluginResult::new(*name, *status)).collect();
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
            request: ScanRequest { dry_run, ..record.request.clone() },
            state: match state {
                ScanState::Completed { at, .. } => ScanState::Completed { at, verdict: Verdict { plugins: plugins.clone(), dry_run } },
                state => state,
            },
            attempts: if has_started { vec![attempt] } else { Vec::new() },
            plugins,
            ..record
        })
    }

    fn completed() -> ScanState {
        ScanState::Completed { at: AT, verdict: Verdict::default() }
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
        ScanState::Running { attempt: kastrel_actors::model::AttemptNumber(1), node: "node-a".parse().unwrap(), since: AT }
    }

    /// Every way in which a check can fail to run: none is green, and none says that there are no issues without saying what was not checked.
    #[test]
    fn what_was_not_checked_is_never_green_and_never_called_clean() {
        for (state, has_started, dry_run, states, shown, line, why, listed) in [
            (completed(), true, false, &[("a", Completed)][..], "completed Completed", "1 of 1 check ran", "No issues found.", "No issues"),
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
                &[("a", Completed), ("b", Skipped), ("c", InProgress), ("d", Pending)],
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
                "0 of 1 check ran",
                "Not checked: no check completed.",
                "Not checked",
            ),
            (completed(), true, false, &[], "partial Completed, nothing checked", "No checks ran", "Not checked: no check completed.", "Not checked"),
            (completed(), true, true, &[("a", Completed)], "dry_run Completed, dry run", "Not run: dry run", "Not run: dry run.", "Not run"),
            (completed(), true, true, &[], "dry_run Completed, dry run", "Not run: dry run", "Not run: dry run.", "Not run"),
            (failed(), true, false, &[], "failed Failed", "No checks ran", "Not checked: the scan failed, and no check completed.", "Not checked"),
            (
                failed(),
                true,
                false,
                &[("a", Completed), ("b", Pending)],
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
            (pending(), true, false, &[("a", Completed)], "pending Queued", "", "Not checked yet: the scan is queued for another attempt.", ""),
            (running(), true, false, &[("a", Completed), ("b", InProgress)], "running Running", "1 of 2 plugins done", "No issues yet.", ""),
        ] {
            let scan = scan(state, has_started, dry_run, states);
            let badge = badge(&scan);
            assert_eq!(format!("{} {}", badge.name, badge.label), shown, "{states:?}");
            assert_eq!((CoverageView::of(&scan).label.as_str(), no_issues(&scan).as_str(), issues_text(&scan).as_str()), (line, why, listed), "{states:?}");
            assert_eq!(badge.name == "completed", CoverageView::of(&scan).is_complete && scan.status() == ScanStatus::Completed, "{states:?}");
        }
    }

    #[test]
    fn gaps_are_named_by_what_happened() {
        let view = CoverageView::of(&scan(completed(), true, false, &[("a", Completed), ("b", Unavailable), ("c", Unavailable), ("d", Failed)]));
        let gaps: Vec<String> = view.gaps.iter().map(|gap| format!("{} {}: {}", gap.name, gap.count, gap.plugins)).collect();
        assert_eq!(gaps, ["failed 1 failed: d", "unavailable 2 not installed: b, c"]);
        assert_eq!(listed(&["a", "b", "c", "d", "e", "f", "g", "h"].map(str::to_owned)), "a, b, c, d, e, f and 2 more");
    }

    #[test]
    fn a_plugin_without_issues_says_why() {
        for status in PluginStatus::ALL {
            for ended in [false, true] {
                let (plugin, is_green) = (PluginResult::new("a", *status), *status == Completed);
                let why = no_issues_of(&plugin, false, ended);
                assert_eq!((why == "No issues found.", badge_of(&plugin, ended).name == "completed"), (is_green, is_green), "{status}: {why}");
                assert!(!ended || !matches!(badge_of(&plugin, ended).name, "pending" | "in_progress"), "{status}: nothing goes on in an ended attempt");
            }
        }
        assert_eq!(no_issues_of(&PluginResult::new("a", Completed), true, true), "Not run: dry run.");
    }

    #[test]
    fn issues_are_counted_whatever_the_state() {
        let mut snapshot = scan(failed(), true, false, &[("a", Failed)]);
        let issue = IssueRef { id: "x".into(), severity: Severity::High, title: "X".into() };
        snapshot.plugins[0] = PluginResult { issues: vec![issue], ..PluginResult::new("a", Failed) };
        assert_eq!(issues_text(&snapshot), "1 issue");
    }
}
