//! The messages of a Scan actor, and the reasons with which it stops.

use crate::model::{ClassifiedEnd, PluginResult};
use crate::policy::classify::StopCause;
use crate::ports::{Applied, AttemptControl, AttemptEvent, StartError, StoreError};

/// Why a Scan actor stopped by itself. Every other end is a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The end of its attempt is written.
    Recorded,
    /// It gave up writing the end, because the lease is lost.
    Abandoned,
}

impl StopReason {
    /// The text with which the actor stops.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Abandoned => "abandoned",
        }
    }

    /// Reads the text with which an actor stopped.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Recorded, Self::Abandoned].into_iter().find(|one| one.as_str() == text)
    }
}

/// The result of `AttemptFinisher::write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinishOutcome {
    /// The write is committed.
    Done,
    /// Nothing changed: the row has a newer attempt, or this write repeats a committed one.
    Superseded,
    /// The retries are used up, or the row cannot be changed.
    Abandoned,
}

/// A message to a Scan actor.
pub(crate) enum Message {
    /// The runner has started the process, or could not start it.
    Started {
        /// The results of earlier attempts that the scan keeps.
        kept: Vec<PluginResult>,
        /// The handle of the process, or why it is missing.
        result: Result<Box<dyn AttemptControl>, StartError>,
    },
    /// Every plugin has a result of an earlier attempt, so the runner was not called. Holds the
    /// results.
    NothingLeft(Vec<PluginResult>),
    /// The attempt lacks a key, so the runner was not called. The end of the attempt.
    Refused(Box<ClassifiedEnd>),
    /// The classified end of the attempt, after the check for a fault of the node.
    Judged(Box<ClassifiedEnd>),
    /// An event of the process.
    Event(AttemptEvent),
    /// Ends the attempt.
    Stop(StopCause),
    /// Checks the limits.
    CheckLimits,
    /// The result of a progress write.
    ProgressWritten(Box<Result<Applied, StoreError>>),
    /// It is time for the next progress write.
    WriteProgress,
    /// The result of writing the end.
    Recorded(FinishOutcome),
    /// The attempt's processes have been gone for a while.
    Gone,
    /// A task of the actor panicked.
    Panicked(String),
}
