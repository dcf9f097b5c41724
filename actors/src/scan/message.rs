use crate::attempt_finisher::Recorded;
use crate::model::AttemptEnd;
use crate::policy::classify::StopCause;
use crate::ports::{Applied, AttemptControl, AttemptEvent, StartError, StoreError};

/// A message to a scan actor.
pub(crate) enum Message {
    /// The runner has started the process, or could not start it.
    Started(Result<Box<dyn AttemptControl>, StartError>),
    /// The classified end of the attempt, after the check for a fault of the node.
    Judged(Box<AttemptEnd>),
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
    Recorded(Recorded),
    /// The attempt's processes have been gone for a while.
    Gone,
    /// A task of the actor panicked.
    Panicked(String),
}
