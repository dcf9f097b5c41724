//! The row of a scan: the truth that everything else derives from.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    AttemptEnd, AttemptNumber, CancelledBy, Coverage, Failure, FencingToken, Interruption, NewScan, NodeId,
    PluginResult, ScanId, ScanRequest, ScannerInfo, SeverityCounts, TraceContext, Verdict, end_with_attempt,
};

named_enum! {
    /// The five words of the status API.
    pub enum ScanStatus {
        /// Waits for a node, or for its next attempt.
        Pending = "pending",
        /// An attempt runs.
        Running = "running",
        /// Ran to its end.
        Completed = "completed",
        /// Will not be tried again.
        Failed = "failed",
        /// A user asked for its end.
        Cancelled = "cancelled",
    }
}

impl ScanStatus {
    /// Whether the scan will change no more.
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

/// Why a scan waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum PendingReason {
    /// Just submitted.
    Submitted,
    /// Its last attempt failed and it is tried again.
    Retry {
        /// How the last attempt failed.
        failure: Failure,
    },
    /// Its last attempt was interrupted by us.
    Requeued {
        /// Our reason.
        why: Interruption,
        /// What was wrong, where that is more than the reason says; for a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

/// Where a scan stands. Each state carries exactly what is true in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ScanState {
    /// Waits until `due`, then for a free credit.
    Pending {
        /// The earliest moment to start it.
        due: Timestamp,
        /// Why it waits.
        #[serde(flatten)]
        reason: PendingReason,
    },
    /// An attempt runs on a node.
    Running {
        /// The attempt.
        attempt: AttemptNumber,
        /// Where.
        node: NodeId,
        /// Since when.
        since: Timestamp,
    },
    /// It ran to its end.
    Completed {
        /// When.
        at: Timestamp,
        /// What was found.
        verdict: Verdict,
    },
    /// It failed for good.
    Failed {
        /// When.
        at: Timestamp,
        /// The last failure.
        failure: Failure,
    },
    /// It was cancelled.
    Cancelled {
        /// When.
        at: Timestamp,
        /// By whom.
        by: CancelledBy,
    },
}

impl ScanState {
    /// The status API's word for it.
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

/// One attempt, as history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Its number.
    pub number: AttemptNumber,
    /// The token that fenced it.
    pub token: FencingToken,
    /// Where it ran.
    pub node: NodeId,
    /// From when on it could have started: a wait after that moment was for a slot or a node.
    /// Absent in rows of older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// When its lease was granted.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    #[serde(default)]
    pub end: Option<AttemptEnd>,
    /// Which scanner ran, once known.
    #[serde(default)]
    pub scanner: Option<ScannerInfo>,
}

/// The row.
///
/// In a row that is read, no plugin of an ended attempt is unfinished, also where an older program
/// wrote the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct ScanRecord {
    /// Its identity.
    pub id: ScanId,
    /// What was asked for.
    pub request: ScanRequest,
    /// The selected plugins that the scan leaves out, because its mode does not run them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Where it stands.
    pub state: ScanState,
    /// The token of the last lease or rescue; 0 before the first.
    pub token: FencingToken,
    /// Grows by one with every change; the store's compare-and-set key.
    pub version: u64,
    /// How many attempts failed and so count against the limit; interrupted ones do not.
    pub failures: u32,
    /// A cancel that waits for the running attempt's end.
    #[serde(default)]
    pub cancel_requested: Option<CancelledBy>,
    /// All attempts so far, oldest first.
    #[serde(default)]
    pub attempts: Vec<AttemptRecord>,
    /// The plugins of the last attempt, also when it failed: partial results are kept.
    #[serde(default)]
    pub plugins: Vec<PluginResult>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first attempt started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// The client's key.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// The trace that submitted it.
    pub trace: TraceContext,
    /// The scan of which this is a repetition.
    #[serde(default)]
    pub rerun_of: Option<ScanId>,
}

impl Serialize for ScanRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ScanRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut record = Self::deserialize(deserializer)?;
        record.end_plugins();
        Ok(record)
    }
}

impl ScanRecord {
    /// The row of a scan that is accepted at `now`: pending, and due at once.
    #[must_use]
    pub fn submitted(id: ScanId, scan: NewScan, now: Timestamp) -> Self {
        let NewScan { request, left_out, idempotency_key, trace, rerun_of } = scan;
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
        }
    }

    /// The status API's word for where it stands.
    #[must_use]
    pub const fn status(&self) -> ScanStatus {
        self.state.status()
    }

    /// When it came to its end.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match &self.state {
            ScanState::Pending { .. } | ScanState::Running { .. } => None,
            ScanState::Completed { at, .. } | ScanState::Failed { at, .. } | ScanState::Cancelled { at, .. } => {
                Some(*at)
            }
        }
    }

    /// How long after its last change the scan may start: zero for all but a scan that is tried
    /// again later.
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

    /// How long a waiting scan is still to wait at `now`, by the store's clock; zero for one that
    /// is due, and for one that does not wait.
    ///
    /// A wait is never longer than it was when it began. Where `now` is before that moment, the
    /// clock has been set back, and what is left by it says nothing: the scan is due.
    #[must_use]
    pub fn left_to_wait(&self, now: Timestamp) -> Duration {
        let ScanState::Pending { due, .. } = self.state else { return Duration::ZERO };
        if now < self.waits_since() {
            Duration::ZERO
        } else {
            Duration::try_from(due.duration_since(now)).unwrap_or_default()
        }
    }

    /// When a waiting scan began to wait: with its submission, or with the end of its last attempt.
    #[must_use]
    pub fn waits_since(&self) -> Timestamp {
        self.attempts.last().and_then(|attempt| attempt.ended_at).unwrap_or(self.created_at)
    }

    /// The last word on the scan's plugins: the verdict's, or those of the last attempt.
    #[must_use]
    pub fn last_plugins(&self) -> &[PluginResult] {
        match &self.state {
            ScanState::Completed { verdict, .. } if !verdict.plugins.is_empty() => &verdict.plugins,
            _ => &self.plugins,
        }
    }

    /// How much of the scan was checked.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        Coverage::of(&self.request, &self.left_out, self.last_plugins(), self.status().is_terminal())
    }

    /// The scan's issues by severity.
    #[must_use]
    pub fn severities(&self) -> SeverityCounts {
        SeverityCounts::of(self.last_plugins())
    }

    /// Gives each unfinished plugin of an ended attempt its final state.
    fn end_plugins(&mut self) {
        let ended = self.attempts.last().and_then(|attempt| attempt.ended_at);
        match &mut self.state {
            ScanState::Running { .. } => return,
            ScanState::Completed { at, verdict } => end_with_attempt(&mut verdict.plugins, ended.unwrap_or(*at)),
            ScanState::Pending { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => {}
        }
        if let Some(at) = ended.or_else(|| self.ended_at()) {
            end_with_attempt(&mut self.plugins, at);
        }
    }

    /// The last attempt, running or ended.
    #[must_use]
    pub fn last_attempt(&self) -> Option<&AttemptRecord> {
        self.attempts.last()
    }

    /// The last failure, whether or not the scan is tried again.
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
