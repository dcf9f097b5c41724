//! A plugin in a scan: its state, its issues and the number of items it collected.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::count::{bounded_count, grouped_count};
use super::{AttemptNumber, IssueCollector, IssueRef, PluginStatus, SeverityCounts};

/// One plugin of one attempt. The scanned site may choose any text in it, so text is hostile; it is
/// stripped of control characters and bounded.
///
/// Deserialized values (from rows, feeds and backups) are normalised: counts are bounded, and no
/// plugin ends before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct PluginResult {
    /// The plugin's name, such as `whatweb`.
    pub name: String,
    /// Its state.
    pub status: PluginStatus,
    /// The number of items that the plugin says it collected, such as crawled addresses: KAST's
    /// `findings_count`. An item is not an issue.
    #[serde(default)]
    pub findings_count: u64,
    /// The worst of its issues, worst first, at most
    /// [`MOST_LISTED_ISSUES`](super::MOST_LISTED_ISSUES).
    #[serde(default)]
    pub issues: Vec<IssueRef>,
    /// The number of all its issues by severity, listed or not. Empty in rows of older versions;
    /// [`severity_counts`](Self::severity_counts) handles both.
    #[serde(default, skip_serializing_if = "SeverityCounts::is_empty")]
    pub severities: SeverityCounts,
    /// Its summary, or the reason why it failed.
    #[serde(default)]
    pub message: Option<String>,
    /// The start time, if known.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// The end time, if known.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// The attempt that ran it, if it is not the last one: a retry keeps the results of earlier
    /// attempts. Its files are in the folder of this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptNumber>,
}

impl Serialize for PluginResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for PluginResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer).map(Self::tidy)
    }
}

impl PluginResult {
    /// Creates a plugin of which only the state is known.
    pub fn new(name: impl Into<String>, status: PluginStatus) -> Self {
        Self {
            name: name.into(),
            status,
            findings_count: 0,
            issues: Vec::new(),
            severities: SeverityCounts::default(),
            message: None,
            started_at: None,
            ended_at: None,
            attempt: None,
        }
    }

    /// Sets the times. An end before the start is dropped.
    #[must_use]
    pub fn with_times(self, started_at: Option<Timestamp>, ended_at: Option<Timestamp>) -> Self {
        Self { started_at, ended_at, ..self }.tidy()
    }

    /// Sets the issues: all are counted, the worst are listed.
    #[must_use]
    pub fn with_issues(self, issues: impl IntoIterator<Item = IssueRef>) -> Self {
        let mut collector = IssueCollector::default();
        collector.extend(issues);
        self.with_collected_issues(collector)
    }

    /// Sets the issues of a collector.
    #[must_use]
    pub fn with_collected_issues(self, collector: IssueCollector) -> Self {
        let (severities, issues) = collector.into_parts();
        Self { severities, issues, ..self }
    }

    /// Bounds the counts, and drops an end time before the start time.
    #[must_use]
    pub fn tidy(mut self) -> Self {
        self.findings_count = bounded_count(self.findings_count);
        self.severities = self.severity_counts();
        self.ended_at = self.ended_at.filter(|end| self.started_at.is_none_or(|start| *end >= start));
        self
    }

    /// Returns what lists of scans show of it: name, state, counts and attempt, without issues,
    /// message and times.
    #[must_use]
    pub fn listed(&self) -> Self {
        Self {
            findings_count: self.findings_count,
            severities: self.severity_counts(),
            attempt: self.attempt,
            ..Self::new(self.name.clone(), self.status)
        }
    }

    /// Returns the number of reported issues of each severity.
    #[must_use]
    pub fn severity_counts(&self) -> SeverityCounts {
        self.severities.at_least(SeverityCounts::listed(&self.issues))
    }

    /// Returns the number of reported issues, listed or not.
    #[must_use]
    pub fn issues_count(&self) -> u64 {
        self.severity_counts().total()
    }

    /// Returns a note if the list does not hold all issues: `200 of 1,340 shown`.
    #[must_use]
    pub fn issues_note(&self) -> Option<String> {
        let (listed, all) = (self.issues.len() as u64, self.issues_count());
        (listed < all).then(|| format!("{} of {} shown", grouped_count(listed), grouped_count(all)))
    }

    /// Moves an unfinished plugin to its final state when its attempt ends at `at`.
    pub fn end_with_attempt(&mut self, at: Timestamp) {
        if !self.status.is_final() {
            self.status = self.status.when_attempt_ends();
            self.ended_at = Some(self.started_at.map_or(at, |start| start.max(at)));
        }
    }
}

/// Moves each unfinished plugin to its final state when its attempt ends at `at`.
pub fn end_with_attempt(plugins: &mut [PluginResult], at: Timestamp) {
    plugins.iter_mut().for_each(|plugin| plugin.end_with_attempt(at));
}

impl SeverityCounts {
    /// Counts the issues of `plugins`.
    #[must_use]
    pub fn of(plugins: &[PluginResult]) -> Self {
        plugins.iter().fold(Self::default(), |sum, plugin| sum.plus(plugin.severity_counts()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MAX_COUNT, Severity};

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[test]
    fn an_ended_attempt_leaves_no_plugin_unfinished() {
        for (status, started, ended, after, end_after) in [
            (PluginStatus::Pending, None, None, PluginStatus::NotRun, at(9)),
            (PluginStatus::InProgress, at(3), None, PluginStatus::Interrupted, at(9)),
            (PluginStatus::InProgress, None, None, PluginStatus::Interrupted, at(9)),
            // The plugin's clock is ahead, on another machine.
            (PluginStatus::InProgress, at(12), None, PluginStatus::Interrupted, at(12)),
            (PluginStatus::Completed, at(3), at(4), PluginStatus::Completed, at(4)),
            (PluginStatus::Completed, at(3), None, PluginStatus::Completed, None),
            (PluginStatus::Failed, at(3), at(4), PluginStatus::Failed, at(4)),
            (PluginStatus::Skipped, None, None, PluginStatus::Skipped, None),
            (PluginStatus::Unavailable, None, None, PluginStatus::Unavailable, None),
            (PluginStatus::Interrupted, at(3), at(5), PluginStatus::Interrupted, at(5)),
            (PluginStatus::NotRun, None, at(5), PluginStatus::NotRun, at(5)),
        ] {
            let mut plugins = vec![PluginResult::new("a", status).with_times(started, ended)];
            end_with_attempt(&mut plugins, at(9).unwrap());
            assert_eq!((plugins[0].status, plugins[0].ended_at), (after, end_after), "{status}");
            assert!(plugins[0].status.is_final());
        }
    }

    #[test]
    fn no_plugin_ends_before_it_starts() {
        for (started, ended, kept) in [
            (at(5), at(4), None),
            (at(5), at(5), at(5)),
            (at(5), at(6), at(6)),
            (None, at(4), at(4)),
            (at(5), None, None),
        ] {
            let plugin = PluginResult::new("a", PluginStatus::Completed).with_times(started, ended);
            assert_eq!((plugin.started_at, plugin.ended_at), (started, kept));
        }
        let row = r#"{"name":"a","status":"completed","started_at":"2026-10-25T00:50:00Z","ended_at":"2026-10-25T00:10:00Z"}"#;
        assert_eq!(serde_json::from_str::<PluginResult>(row).unwrap().ended_at, None);
    }

    #[test]
    fn row_counts_are_bounded_and_old_rows_count_their_list() {
        let old = r#"{"name":"a","status":"completed","findings_count":18446744073709551615,"issues":[{"id":"x","severity":"high","title":"X"}]}"#;
        let read: PluginResult = serde_json::from_str(old).unwrap();
        assert_eq!(
            (read.findings_count, read.severities.high, read.issues_count(), read.issues_note()),
            (MAX_COUNT, 1, 1, None)
        );
        let again: PluginResult = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
        let without = serde_json::to_value(PluginResult::new("a", PluginStatus::Failed)).unwrap();
        assert_eq!(without.get("severities"), None, "rows do not grow by empty counts");
    }

    #[test]
    fn attempt_of_a_kept_result_is_in_its_row_and_old_rows_have_none() {
        let old = r#"{"name":"a","status":"completed"}"#;
        let read: PluginResult = serde_json::from_str(old).unwrap();
        assert_eq!(read.attempt, None);
        assert_eq!(serde_json::to_value(&read).unwrap().get("attempt"), None, "rows do not grow");
        let kept = PluginResult { attempt: Some(AttemptNumber(2)), ..read };
        let text = serde_json::to_string(&kept).unwrap();
        assert!(text.contains(r#""attempt":2"#), "{text}");
        assert_eq!(serde_json::from_str::<PluginResult>(&text).unwrap(), kept);
        assert_eq!(kept.listed().attempt, Some(AttemptNumber(2)));
    }

    #[test]
    fn truncated_issue_list_has_a_note() {
        let issue = |id: u32| IssueRef { id: id.to_string(), severity: Severity::Low, title: String::new() };
        for (number, note) in
            [(0, None), (200, None), (201, Some("200 of 201 shown")), (1_340, Some("200 of 1,340 shown"))]
        {
            let plugin = PluginResult::new("a", PluginStatus::Completed).with_issues((0..number).map(issue));
            assert_eq!((plugin.issues_count(), plugin.issues_note().as_deref()), (u64::from(number), note));
        }
    }
}
