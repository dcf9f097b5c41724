use crate::attempt_finisher::FinishOutcome;
use crate::model::AttemptEnd;
use crate::policy::classify::StopCause;
use crate::ports::{Applied, AttemptControl, AttemptEvent, StartError, StoreError};

/// What a scan is told.
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
