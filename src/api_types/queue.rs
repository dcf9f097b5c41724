//! The queue, and why scans wait in it.

use kastrel_actors::model::ScanState;
use kastrel_actors::policy::waiting::{StartBlocker, Waiting};
use kastrel_actors::service::QueueStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::moment::Moment;
use super::reading::lenient;

/// The state of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Queue)]
pub struct QueueBody {
    /// While the queue is paused, no scan starts on any node; running scans continue.
    pub paused: bool,
    /// When the pause began.
    #[serde(default)]
    pub paused_since: Option<Moment>,
    /// The reason, as entered by the person who paused the queue.
    #[serde(default)]
    pub reason: Option<String>,
    /// How many scans are queued.
    pub waiting: u64,
    /// How many scans may be queued; null if there is no limit.
    #[serde(default)]
    pub max_waiting: Option<u64>,
    /// Whether the next submission is refused.
    #[serde(default)]
    #[schema(required = true)]
    pub full: bool,
    /// How many wake-up signals the queue holds; null if the queue does not respond.
    #[serde(default)]
    pub signals: Option<usize>,
    /// What keeps every scan from starting, the most important first; empty if scans can start.
    #[serde(default)]
    #[schema(required = true)]
    pub blockers: Vec<BlockerBody>,
}

impl QueueBody {
    /// Shows the state of a queue with this number of signals.
    #[must_use]
    pub fn of(status: QueueStatus, signals: Option<usize>) -> Self {
        Self {
            paused: status.pause.is_some(),
            paused_since: status.pause.as_ref().map(|pause| Moment::of(pause.since)),
            waiting: status.waiting,
            max_waiting: status.max_waiting,
            full: status.is_full(),
            signals,
            blockers: status.blockers.iter().map(Into::into).collect(),
            reason: status.pause.and_then(|pause| pause.reason),
        }
    }
}

/// What keeps every scan from starting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StartBlocker)]
pub struct BlockerBody {
    /// `paused`, `queue_down`, `no_worker` or `held_back`.
    pub reason: String,
    /// The reason in sentences, for people.
    pub text: String,
    /// When it began, if known.
    #[serde(default)]
    pub since: Option<Moment>,
    /// The next check or the end of the blocker, if known.
    #[serde(default)]
    pub until: Option<Moment>,
}

impl From<&StartBlocker> for BlockerBody {
    fn from(blocker: &StartBlocker) -> Self {
        Self {
            reason: blocker.name().into(),
            text: blocker.to_string(),
            since: blocker.since().map(Moment::of),
            until: blocker.until().map(Moment::of),
        }
    }
}

/// Why the queue is paused.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseBody {
    /// The reason that other users see. At most 200 characters; control characters are removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub reason: Option<String>,
}

/// Why a scan waits at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Waiting)]
pub struct WaitingBody {
    /// `queued` (waits for a free slot), `retry` (the last attempt failed), `held_back` (no node
    /// can start the scan now; this costs no attempt), `paused` (the queue is paused), `no_worker`,
    /// `no_capable_worker` (no worker has all plugins of the scan) or `queue_down` (the job queue
    /// is unavailable).
    pub reason: String,
    /// The position in the queue of due scans, from 1; null if it is unknown or the scan waits for
    /// something else.
    #[serde(default, deserialize_with = "lenient")]
    pub position: Option<u64>,
    /// The kind of failure, interruption or missing resource.
    #[serde(default)]
    pub kind: Option<String>,
    /// Details of the reason: how the last attempt failed, what is missing and what to do, or why
    /// the queue is paused.
    #[serde(default)]
    pub detail: Option<String>,
    /// The reason and its details in sentences, for people.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(required = true)]
    pub text: String,
    /// The earliest start of the next attempt. For a scan that is held back: the next check, or the
    /// end of the hold.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(value_type = Moment, required = true)]
    pub due: Option<Moment>,
}

impl WaitingBody {
    /// Returns `None` if the scan does not wait.
    #[must_use]
    pub fn of(state: &ScanState, waiting: Option<&Waiting>) -> Option<Self> {
        let (ScanState::Pending { due, .. }, Some(waiting)) = (state, waiting) else { return None };
        let position = if let Waiting::Queued { position, .. } = waiting { *position } else { None };
        Some(Self {
            reason: waiting.name().into(),
            position,
            kind: waiting.kind().map(Into::into),
            detail: waiting.detail(),
            text: waiting.to_string(),
            due: Some(Moment::of(waiting.next(*due))),
        })
    }
}
