//! The messages of a Scan actor, and the reasons with which it stops.

use crate::model::AttemptEnd;
use crate::policy::classify::StopCause;
use crate::ports::{Applied, AttemptControl, AttemptEvent, StartError, StoreError};

/// The stop reason of an actor whose attempt's end is written.
pub(crate) const RECORDED: &str = "recorded";

/// The stop reason of an actor that gave up writing the end, because the lease is lost.
pub(crate) const ABANDONED: &str = "abandoned";

/// How the writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FinishOutcome {
    /// Committed.
    Done,
    /// The row has moved on without us, or this is a repetition of what was committed: nothing
    /// changed.
    Superseded,
    /// Given up.
    Abandoned,
}

/// A message to a Scan actor.
pub(crate) enum Message {
    /// The runner has started the process, or could not.
    Started(Result<Box<dyn AttemptControl>, StartError>),
    /// How the attempt ended, after it was found out whether the node lacked something.
    Judged(Box<AttemptEnd>),
    /// News of the process.
    Event(AttemptEvent),
    /// End the attempt.
    Stop(StopCause),
    /// Look at the limits.
    CheckLimits,
    /// A progress write was answered.
    ProgressWritten(Box<Result<Applied, StoreError>>),
    /// It is time for the next progress write.
    WriteProgress,
    /// The end was recorded, or not.
    Recorded(FinishOutcome),
    /// The attempt's processes have been gone for a while.
    Gone,
    /// A task of its own panicked.
    Panicked(String),
}
