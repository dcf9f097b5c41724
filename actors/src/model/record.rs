//! The row of a scan, from which everything else is derived.

mod stored;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AttemptEnd, AttemptNumber, CancelledBy, Coverage, Failure, FencingToken, Interruption, NewScan, NodeId,
    PluginResult, ProjectId, ResultSummary, ScanId, ScanRequest, ScannerInfo, SeverityCounts, TraceContext,
};

named_enum! {
    /// The five states of the status API.
    pub enum ScanStatus {
        /// Waits for a node, or for its next attempt.
        Pending = "pending",
        /// An attempt runs.
        Running = "running",
        /// Ran to its end.
        Completed = "completed",
        /// Failed; it will not be retried.
        Failed = "failed",
        /// Cancelled by a user.
        Cancelled = "cancelled",
    }
}

impl ScanStatus {
    /// Returns true if the scan's state will not change any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }

    /// The word for people. The API says `pending` for a scan that is queued.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "queued",
            Self::Running | Self::Completed | Self::Failed | Self::Cancelled => self.as_str(),
        }
    }
}

/// The reason why a scan is pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum PendingReason {
    /// Just submitted.
    Submitted,
    /// The last attempt failed and the scan is retried.
    Retry {
        /// The failure of the last attempt.
        failure: Failure,
    },
    /// Kastrel interrupted the last attempt.
    Requeued {
        /// The reason of the interruption.
        why: Interruption,
        /// Details, if there are more than the reason; for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

/// The state of a scan. Each variant carries exactly the data that is valid in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ScanState {
    /// Waits until `due`, then for a free slot.
    Pending {
        /// The earliest start time.
        due: Timestamp,
        /// The reason why it waits.
        #[serde(flatten)]
        reason: PendingReason,
    },
    /// An attempt runs on a node.
    Running {
        /// The attempt.
        attempt: AttemptNumber,
        /// The node that runs it.
        node: NodeId,
        /// The start of the attempt.
        since: Timestamp,
    },
    /// The scan ran to its end.
    Completed {
        /// The time of the end.
        at: Timestamp,
        /// The results, as counts. The plugins are in [`ScanRecord::plugins`].
        #[serde(default)]
        summary: ResultSummary,
    },
    /// The scan failed and is not retried.
    Failed {
        /// The time of the end.
        at: Timestamp,
        /// The last failure.
        failure: Failure,
    },
    /// The scan was cancelled.
    Cancelled {
        /// The time of the end.
        at: Timestamp,
        /// The origin of the cancel.
        by: CancelledBy,
    },
}

impl ScanState {
    /// Returns the state's name in the status API.
    #[must_use]
    pub const fn status(&self) -> ScanStatus {
        match self {
            Self::Pending { .. } => ScanStatus::Pending,
            Self::Running { .. } => ScanStatus::Running,
            Self::Completed { .. } => ScanStatus::Completed,
            Self::Failed { .. } => ScanStatus::Failed,
            Self::Cancelled { .. } => ScanStatus::Cancelled,
        }
    }
}

/// One attempt in the history of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Its number.
    pub number: AttemptNumber,
    /// Its fencing token.
    pub token: FencingToken,
    /// The node that it ran on.
    pub node: NodeId,
    /// The time from which it could have started. Any wait after that was for a slot or a node.
    /// Absent in rows of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// The time when its lease was granted.
    pub started_at: Timestamp,
    /// The time of its end.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    #[serde(default)]
    pub end: Option<AttemptEnd>,
    /// The scanner that ran it, once known.
    #[serde(default)]
    pub scanner: Option<ScannerInfo>,
}

/// The row of a scan.
///
/// When a row is read, no plugin of an ended attempt is unfinished, even if an older version wrote
/// the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScanRecord {
    /// Its identity.
    pub id: ScanId,
    /// The request.
    pub request: ScanRequest,
    /// The selected plugins that the scan leaves out because its mode does not run them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The state of the scan.
    pub state: ScanState,
    /// The token of the last lease or rescue; 0 before the first.
    pub token: FencingToken,
    /// Incremented with every change; the store's compare-and-set key.
    pub version: u64,
    /// The number of failed attempts, which count against the limit. Interrupted attempts do not
    /// count.
    pub failures: u32,
    /// A requested cancel that waits for the running attempt to end.
    pub cancel_requested: Option<CancelledBy>,
    /// All attempts, oldest first.
    pub attempts: Vec<AttemptRecord>,
    /// The plugins of the last attempt, and the results that it keeps of earlier ones. They are
    /// kept if it failed, so partial results are not lost.
    pub plugins: Vec<PluginResult>,
    /// The time when the scan was accepted.
    pub created_at: Timestamp,
    /// The time when its first attempt started.
    pub started_at: Option<Timestamp>,
    /// The client's idempotency key.
    pub idempotency_key: Option<String>,
    /// The trace of the submission.
    pub trace: TraceContext,
    /// The scan that this one repeats.
    pub rerun_of: Option<ScanId>,
    /// The name of the principal who owns it: who submitted it. Absent in rows of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The project that it belongs to.
    #[serde(skip_serializing_if = "ProjectId::is_default")]
    pub project: ProjectId,
}

impl ScanRecord {
    /// Creates the row of a scan that is accepted at `now`: pending, and due at once.
    #[must_use]
    pub fn submitted(id: ScanId, scan: NewScan, now: Timestamp) -> Self {
        let NewScan { request, left_out, idempotency_key, trace, rerun_of, submitted_by, project } = scan;
        Self {
            id,
            request,
            left_out,
            state: ScanState::Pending { due: now, reason: PendingReason::Submitted },
            token: FencingToken::default(),
            version: 0,
            failures: 0,
            cancel_requested: None,
            attempts: Vec::new(),
            plugins: Vec::new(),
            created_at: now,
            started_at: None,
            idempotency_key,
            trace,
            rerun_of,
            owner: Some(submitted_by.to_string()),
            project,
        }
    }

    /// Returns the row without its plugins, for a store that keeps them in rows of their own.
    #[must_use]
    pub fn without_plugins(&self) -> Self {
        Self {
            id: self.id,
            request: self.request.clone(),
            left_out: self.left_out.clone(),
            state: self.state.clone(),
            token: self.token,
            version: self.version,
            failures: self.failures,
            cancel_requested: self.cancel_requested,
            attempts: self.attempts.clone(),
            plugins: Vec::new(),
            created_at: self.created_at,
            started_at: self.started_at,
            idempotency_key: self.idempotency_key.clone(),
            trace: self.trace,
            rerun_of: self.rerun_of,
            owner: self.owner.clone(),
            project: self.project.clone(),
        }
    }

    /// Returns the row as lists have it: of each plugin only what
    /// [`PluginResult::listed`] keeps.
    #[must_use]
    pub fn listed(&self) -> Self {
        Self { plugins: self.plugins.iter().map(PluginResult::listed).collect(), ..self.without_plugins() }
    }

    /// Returns the state's name in the status API.
    #[must_use]
    pub const fn status(&self) -> ScanStatus {
        self.state.status()
    }

    /// Returns the time when the scan ended.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match &self.state {
            ScanState::Pending { .. } | ScanState::Running { .. } => None,
            ScanState::Completed { at, .. } | ScanState::Failed { at, .. } | ScanState::Cancelled { at, .. } => {
                Some(*at)
            }
        }
    }

    /// Returns the delay between the scan's last change and its earliest start. Zero, except for a
    /// scan that waits for a retry.
    #[must_use]
    pub fn wait_after_last_change(&self) -> Duration {
        let ended = self.attempts.last().and_then(|attempt| attempt.ended_at);
        match (&self.state, ended) {
            (ScanState::Pending { due, reason: PendingReason::Retry { .. } }, Some(ended)) => {
                Duration::try_from(due.duration_since(ended)).unwrap_or_default()
            }
            _ => Duration::ZERO,
        }
    }

    /// Returns how long a pending scan must still wait at `now`, by the store's clock. Zero for a
    /// scan that is due or not pending.
    ///
    /// A wait is never longer than it was when it began. If `now` is before that time, the clock
    /// has been set back and the remaining time is meaningless, so the scan is due.
    #[must_use]
    pub fn left_to_wait(&self, now: Timestamp) -> Duration {
        let ScanState::Pending { due, .. } = self.state else { return Duration::ZERO };
        if now < self.waits_since() {
            Duration::ZERO
        } else {
            Duration::try_from(due.duration_since(now)).unwrap_or_default()
        }
    }

    /// Returns the time when a pending scan began to wait: its submission, or the end of its last
    /// attempt.
    #[must_use]
    pub fn waits_since(&self) -> Timestamp {
        self.attempts.last().and_then(|attempt| attempt.ended_at).unwrap_or(self.created_at)
    }

    /// Returns the coverage of the scan.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        Coverage::of(&self.request, &self.left_out, &self.plugins, self.status().is_terminal())
    }

    /// Returns the number of the scan's issues by severity.
    #[must_use]
    pub fn severities(&self) -> SeverityCounts {
        SeverityCounts::of(&self.plugins)
    }

    /// Returns the last attempt, running or ended.
    #[must_use]
    pub fn last_attempt(&self) -> Option<&AttemptRecord> {
        self.attempts.last()
    }

    /// Returns the attempt with this number.
    #[must_use]
    pub fn attempt(&self, number: AttemptNumber) -> Option<&AttemptRecord> {
        self.attempts.iter().find(|attempt| attempt.number == number)
    }

    /// Returns the number of the attempt that ran this plugin of the scan, and whose folder has its
    /// files. `None` before the first attempt.
    #[must_use]
    pub fn attempt_of(&self, plugin: &PluginResult) -> Option<AttemptNumber> {
        plugin.attempt.or_else(|| self.last_attempt().map(|attempt| attempt.number))
    }

    /// Returns the last failure, whether or not the scan is retried.
    #[must_use]
    pub const fn last_failure(&self) -> Option<&Failure> {
        match &self.state {
            ScanState::Failed { failure, .. } | ScanState::Pending { reason: PendingReason::Retry { failure }, .. } => {
                Some(failure)
            }
            _ => None,
        }
    }
}
