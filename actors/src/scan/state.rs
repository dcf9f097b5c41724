//! The stages of an attempt, and the effect of each event. No I/O here.

use crate::policy::classify::StopCause;
use crate::ports::{AttemptControl, AttemptEvent, StopMode};

/// The stage of an attempt.
pub(crate) enum Stage {
    /// The runner is starting the process. A stop request is kept in `stop` until then.
    Starting {
        /// The reason of the requested stop.
        stop: Option<StopCause>,
        /// Events that arrived before the start was reported.
        early: Vec<AttemptEvent>,
    },
    /// The process runs.
    Running {
        /// The handle of the process.
        control: Box<dyn AttemptControl>,
    },
    /// The process was requested to end.
    Stopping {
        /// The handle of the process.
        control: Box<dyn AttemptControl>,
        /// The reason of the stop.
        cause: StopCause,
    },
    /// The process is gone; the end is being written.
    Recording {
        /// Whether the actor may give up the row if the store does not respond.
        may_abandon: bool,
    },
}

/// The effect of a stop request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum OnStop {
    /// Remember the request until the process has started.
    Remember(StopCause),
    /// Stop the process in this mode; this is now the cause.
    Stop(StopCause, StopMode),
    /// Ignore it: a stop with the same or a higher rank is in progress.
    Ignore,
    /// There is no process: limit the time for writing the end.
    ShortenDeadline,
}

/// Decides the effect of a stop request. The causes are ordered by rank, lowest first, and a higher
/// one replaces the current one. A user's cancel during a shutdown therefore cancels, and a lost
/// lease kills at once.
pub(crate) fn on_stop(stage: &Stage, cause: StopCause) -> OnStop {
    let mode = match cause {
        StopCause::LeaseLost | StopCause::ShutdownOver => StopMode::Kill,
        StopCause::Stalled | StopCause::TimedOut | StopCause::Drain | StopCause::Shutdown | StopCause::Cancel => {
            StopMode::Graceful
        }
    };
    match stage {
        Stage::Starting { stop: Some(earlier), .. } if *earlier >= cause => OnStop::Ignore,
        Stage::Starting { .. } => OnStop::Remember(cause),
        Stage::Running { .. } => OnStop::Stop(cause, mode),
        Stage::Stopping { cause: earlier, .. } if *earlier >= cause => OnStop::Ignore,
        Stage::Stopping { .. } => OnStop::Stop(cause, mode),
        Stage::Recording { .. } => match cause {
            StopCause::LeaseLost | StopCause::ShutdownOver => OnStop::ShortenDeadline,
            StopCause::Stalled | StopCause::TimedOut | StopCause::Drain | StopCause::Shutdown | StopCause::Cancel => {
                OnStop::Ignore
            }
        },
    }
}

/// Returns why an attempt without processes ended: the requested stop, or a lost lease.
///
/// If the lease is no longer valid when an attempt ends, the end counts as `LeaseLost`: the node's
/// guard may have killed the process before this node did, and the scan may belong to another node
/// now.
#[must_use]
pub(crate) fn cause_of_end(stage: &Stage, lease_is_good: bool) -> Option<StopCause> {
    let lost = (!lease_is_good).then_some(StopCause::LeaseLost);
    match stage {
        Stage::Stopping { cause, .. } => Some(*cause).max(lost),
        Stage::Starting { .. } | Stage::Running { .. } | Stage::Recording { .. } => lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoControl;

    impl AttemptControl for NoControl {
        fn stop(&self, _: StopMode) {}
    }

    fn running() -> Stage {
        Stage::Running { control: Box::new(NoControl) }
    }

    fn stopping(cause: StopCause) -> Stage {
        Stage::Stopping { control: Box::new(NoControl), cause }
    }

    fn starting(stop: Option<StopCause>) -> Stage {
        Stage::Starting { stop, early: Vec::new() }
    }

    #[test]
    fn attempt_that_ends_without_a_lease_is_lease_lost() {
        use StopCause::{Cancel, LeaseLost, Stalled};
        for (stage, lease_is_good, expected) in [
            (running(), true, None),
            (running(), false, Some(LeaseLost)),
            (stopping(Stalled), true, Some(Stalled)),
            (stopping(Cancel), false, Some(LeaseLost)),
            (stopping(LeaseLost), true, Some(LeaseLost)),
        ] {
            assert_eq!(cause_of_end(&stage, lease_is_good), expected);
        }
    }

    #[test]
    fn stop_of_a_higher_rank_replaces_a_lower_one() {
        use StopCause::{Cancel, Drain, LeaseLost, Shutdown, ShutdownOver, Stalled, TimedOut};
        let graceful = |cause| OnStop::Stop(cause, StopMode::Graceful);
        for (stage, cause, expected) in [
            (starting(None), Cancel, OnStop::Remember(Cancel)),
            (starting(Some(Cancel)), Shutdown, OnStop::Ignore),
            (starting(Some(Shutdown)), Cancel, OnStop::Remember(Cancel)),
            (running(), Stalled, graceful(Stalled)),
            (running(), LeaseLost, OnStop::Stop(LeaseLost, StopMode::Kill)),
            (stopping(Stalled), TimedOut, graceful(TimedOut)),
            (stopping(Drain), Shutdown, graceful(Shutdown)),
            (stopping(Shutdown), Drain, OnStop::Ignore),
            (stopping(Shutdown), Cancel, graceful(Cancel)),
            (stopping(Cancel), Shutdown, OnStop::Ignore),
            (stopping(Cancel), Cancel, OnStop::Ignore),
            (stopping(Cancel), LeaseLost, OnStop::Stop(LeaseLost, StopMode::Kill)),
            (stopping(Shutdown), ShutdownOver, OnStop::Stop(ShutdownOver, StopMode::Kill)),
            (stopping(LeaseLost), ShutdownOver, OnStop::Ignore),
            (stopping(LeaseLost), Cancel, OnStop::Ignore),
            (Stage::Recording { may_abandon: false }, Cancel, OnStop::Ignore),
            (Stage::Recording { may_abandon: false }, Shutdown, OnStop::Ignore),
            (Stage::Recording { may_abandon: false }, LeaseLost, OnStop::ShortenDeadline),
        ] {
            assert_eq!(on_stop(&stage, cause), expected, "{cause:?}");
        }
    }
}
