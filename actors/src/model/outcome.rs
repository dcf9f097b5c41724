//! How an attempt ends: the kinds of failure and interruption that decide whether a scan is
//! retried.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::count::{bounded_count, total_count};
use super::{PluginResult, PluginStatus, SeverityCounts};

named_enum! {
    /// Why an attempt failed.
    pub enum FailureKind {
        /// The scanner's program could not be started at all (missing, not executable).
        NotStarted = "not_started",
        /// The operating system could not start another process at that moment.
        SpawnFailed = "spawn_failed",
        /// The scanner refused its arguments (exit code 2).
        UsageError = "usage_error",
        /// The scope policy refused the target, or the override policy a setting, at dispatch.
        OutOfScope = "out_of_scope",
        /// The scanner ended with an error of its own (exit code 1, a Python traceback).
        Crashed = "crashed",
        /// A signal that Kastrel did not send ended the scanner.
        KilledBySignal = "killed_by_signal",
        /// The scanner ended without its result file, whatever its exit code.
        NoResult = "no_result",
        /// The result file exists but could not be read.
        UnreadableResult = "unreadable_result",
        /// The scanner ran to its end, and no check completed.
        NothingChecked = "nothing_checked",
        /// No output appeared and no file changed for longer than the no-progress limit.
        Stalled = "stalled",
        /// The attempt ran longer than its wall-clock limit.
        TimedOut = "timed_out",
        /// The actor that ran the attempt panicked or was killed.
        ActorCrashed = "actor_crashed",
        /// The node that ran the attempt lost its lease: it died, hung or was cut off.
        NodeLost = "node_lost",
        /// The submitter lacked the right, or the target the clearance, at dispatch.
        NotPermitted = "not_permitted",
    }
}

named_enum! {
    /// Why Kastrel interrupted an attempt that had not failed. An interruption costs no attempt.
    pub enum Interruption {
        /// The node shuts down.
        Shutdown = "shutdown",
        /// The node had an order to drain, and its time was over.
        Drained = "drained",
        /// The node could not renew its lease in time and killed its own scans.
        LeaseLost = "lease_lost",
        /// The row was running on a node whose actors did not have it, because a response of the
        /// store was lost.
        Unowned = "unowned",
        /// The lease was granted but no process was started for it.
        NeverStarted = "never_started",
        /// The node lacked something that every scan needs: the scanner's program, a folder,
        /// memory, open files.
        Infrastructure = "infrastructure",
    }
}

/// One failure: its kind and a readable reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind, which decides whether the scan is retried.
    pub kind: FailureKind,
    /// The cause, for people; a fragment or short paragraph without control characters.
    pub detail: String,
}

impl Failure {
    /// Creates a failure of `kind` with its reason.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// The results of an attempt that ran to its end: what a classification returns and a command
/// carries. The row keeps the plugins once, in [`ScanRecord::plugins`](super::ScanRecord::plugins),
/// and a [`ResultSummary`] of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Verdict {
    /// The final state of each plugin.
    pub plugins: Vec<PluginResult>,
    /// True for a dry run, which leaves no results.
    #[serde(default)]
    pub dry_run: bool,
}

impl Verdict {
    /// Returns the number of plugins that ended in `status`.
    #[must_use]
    pub fn count(&self, status: PluginStatus) -> usize {
        self.plugins.iter().filter(|plugin| plugin.status == status).count()
    }

    /// Returns the number of items that the plugins collected.
    #[must_use]
    pub fn findings(&self) -> u64 {
        total_count(self.plugins.iter().map(|plugin| plugin.findings_count))
    }

    /// Returns the number of issues by severity.
    #[must_use]
    pub fn severities(&self) -> SeverityCounts {
        SeverityCounts::of(&self.plugins)
    }
}

/// The results of an attempt that ran to its end, as counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredSummary")]
pub struct ResultSummary {
    /// True for a dry run, which leaves no results.
    pub dry_run: bool,
    /// The number of plugins in each final state. A state without plugins is absent.
    pub states: BTreeMap<PluginStatus, u64>,
    /// The number of items that the plugins collected.
    pub findings: u64,
    /// The number of issues by severity.
    pub severities: SeverityCounts,
}

impl ResultSummary {
    /// Counts the plugins of an ended attempt.
    #[must_use]
    pub fn of(plugins: &[PluginResult], dry_run: bool) -> Self {
        let mut states = BTreeMap::new();
        for plugin in plugins {
            *states.entry(plugin.status.when_attempt_ends()).or_default() += 1;
        }
        let findings = total_count(plugins.iter().map(|plugin| plugin.findings_count));
        Self { dry_run, states, findings, severities: SeverityCounts::of(plugins) }
    }

    /// Returns the number of plugins that ended in `status`.
    #[must_use]
    pub fn count(&self, status: PluginStatus) -> u64 {
        self.states.get(&status).copied().unwrap_or_default()
    }

    /// Returns the number of plugins that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.states.iter().filter(|(status, _)| status.has_failed()).map(|(_, number)| number).sum()
    }
}

/// A summary as rows, feeds and backups hold it. Earlier versions held the plugins themselves.
#[derive(Deserialize)]
struct StoredSummary {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    states: BTreeMap<PluginStatus, u64>,
    #[serde(default)]
    findings: u64,
    #[serde(default)]
    severities: SeverityCounts,
    #[serde(default)]
    plugins: Vec<PluginResult>,
}

impl From<StoredSummary> for ResultSummary {
    fn from(stored: StoredSummary) -> Self {
        let StoredSummary { dry_run, states, findings, severities, plugins } = stored;
        if plugins.is_empty() {
            Self { dry_run, states, findings: bounded_count(findings), severities }
        } else {
            Self::of(&plugins, dry_run)
        }
    }
}

/// How an attempt ended: it completed, failed, or was ended from outside. `R` is what is known of
/// the results of a completed one: a row has their summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum AttemptEnd<R = ResultSummary> {
    /// The attempt ran to its end.
    Completed(R),
    /// The attempt failed. [`crate::policy::restart`] decides whether the scan is retried.
    Failed(Failure),
    /// Kastrel interrupted the attempt; it costs no attempt.
    Interrupted {
        /// The reason of the interruption.
        why: Interruption,
        /// Details, if there are more than the reason; for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A user requested the end.
    Cancelled,
}

/// The end of an attempt as it is classified, with the complete results.
pub type ClassifiedEnd = AttemptEnd<Verdict>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_counts_plugins_and_reads_those_of_earlier_versions() {
        let plugin =
            |name: &str, status, findings_count| PluginResult { findings_count, ..PluginResult::new(name, status) };
        let plugins = vec![
            plugin("a", PluginStatus::Completed, 2),
            plugin("b", PluginStatus::Completed, 3),
            plugin("c", PluginStatus::InProgress, 0),
            plugin("d", PluginStatus::Failed, 0),
        ];
        let summary = ResultSummary::of(&plugins, false);
        let counts = [PluginStatus::Completed, PluginStatus::Interrupted, PluginStatus::Failed]
            .map(|status| summary.count(status));
        assert_eq!((counts, summary.failed(), summary.findings), ([2, 1, 1], 1, 5));
        let text = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<ResultSummary>(&text).unwrap(), summary);
        assert!(!text.contains("plugins"), "{text}");
        let end = AttemptEnd::Completed(summary);
        assert_eq!(serde_json::from_str::<AttemptEnd>(&serde_json::to_string(&end).unwrap()).unwrap(), end);
        let earlier = serde_json::json!({ "end": "completed", "plugins": plugins, "dry_run": false });
        assert_eq!(serde_json::from_value::<AttemptEnd>(earlier).unwrap(), end);
    }
}
