//! How an attempt ends: the taxonomy that decides whether a scan is tried again.

use serde::{Deserialize, Serialize};

use super::count::total_count;
use super::{PluginResult, PluginStatus, SeverityCounts};

named_enum! {
    /// Why an attempt failed.
    pub enum FailureKind {
        /// The scanner's program could not be started at all (missing, not executable).
        NotStarted = "not_started",
        /// The operating system had no room for one more process just then.
        SpawnFailed = "spawn_failed",
        /// The scanner refused its arguments (exit code 2).
        UsageError = "usage_error",
        /// The scope policy refused the target, or the override policy a setting, at dispatch.
        OutOfScope = "out_of_scope",
        /// The scanner ended with an error of its own (exit code 1, a Python traceback).
        Crashed = "crashed",
        /// The scanner was ended by a signal that we did not send.
        KilledBySignal = "killed_by_signal",
        /// The scanner ended without its result file, whatever its exit code said.
        NoResult = "no_result",
        /// The result file was there but could not be read as such.
        UnreadableResult = "unreadable_result",
        /// The scanner ran to its end, and no check completed.
        NothingChecked = "nothing_checked",
        /// No output and no file changed for longer than the no-progress limit.
        Stalled = "stalled",
        /// The attempt ran longer than its wall-clock limit.
        TimedOut = "timed_out",
        /// The actor that ran the attempt panicked or was killed.
        ActorCrashed = "actor_crashed",
        /// The node that ran the attempt lost its lease: it died, hung or was cut off.
        NodeLost = "node_lost",
    }
}

named_enum! {
    /// Why we interrupted an attempt that had done nothing wrong. An interruption costs no attempt.
    pub enum Interruption {
        /// The node shuts down.
        Shutdown = "shutdown",
        /// The node was told to drain, and the time for that was over.
        Drained = "drained",
        /// The node could not renew its lease in time and killed its own scans.
        LeaseLost = "lease_lost",
        /// The row ran on a node whose actors knew nothing of it: an answer of the store was lost.
        Unowned = "unowned",
        /// The lease was granted but no process was ever started for it.
        NeverStarted = "never_started",
        /// The node lacked something that every scan needs: the scanner's program, a folder,
        /// memory, open files.
        Infrastructure = "infrastructure",
    }
}

/// One failure: its kind and a readable reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind, which decides about another attempt.
    pub kind: FailureKind,
    /// What happened, for a person; a fragment or short paragraph without control characters.
    pub detail: String,
}

impl Failure {
    /// A failure of `kind` with its reason.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// What a scan that ran to its end found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The last word on each plugin.
    pub plugins: Vec<PluginResult>,
    /// Whether this was a dry run, which by its nature leaves no results.
    #[serde(default)]
    pub dry_run: bool,
}

impl Verdict {
    /// How many plugins ended in `status`.
    #[must_use]
    pub fn count(&self, status: PluginStatus) -> usize {
        self.plugins.iter().filter(|plugin| plugin.status == status).count()
    }

    /// How many items the plugins collected.
    #[must_use]
    pub fn findings(&self) -> u64 {
        total_count(self.plugins.iter().map(|plugin| plugin.findings_count))
    }

    /// The issues by severity.
    #[must_use]
    pub fn severities(&self) -> SeverityCounts {
        SeverityCounts::of(&self.plugins)
    }
}

/// How an attempt ended, in the three ways that differ: done, failed by itself, or ended by us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum AttemptEnd {
    /// It ran to its end.
    Completed(Verdict),
    /// It failed; whether it is tried again is for [`crate::policy::restart`] to say.
    Failed(Failure),
    /// We ended it for a reason of our own; it costs no attempt.
    Interrupted {
        /// Our reason.
        why: Interruption,
        /// What was wrong, where that is more than the reason says; for a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A user asked for its end.
    Cancelled,
}
