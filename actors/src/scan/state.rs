//! Where an attempt stands, and what follows from each event: no I/O here.

use crate::policy::classify::StopCause;
use crate::ports::{AttemptControl, AttemptEvent, StopMode};

/// Where an attempt stands.
pub(crate) enum Stage {
    /// The runner is starting the process. A stop that comes now waits in `stop`.
    Starting {
        /// Why it should end.
        stop: Option<StopCause>,
        /// The end, where it is told before the start is.
        early: Vec<AttemptEvent>,
    },
    /// The process runs.
    Running {
        /// The hold on it.
        control: Box<dyn AttemptControl>,
    },
    /// The process has been asked to end.
    Stopping {
        /// The hold on it.
        control: Box<dyn AttemptControl>,
        /// Why.
        cause: StopCause,
    },
    /// The process is gone; what becomes of the scan is being written.
    Recording {
        /// Whether the row may be given up if the store does not answer.
        may_abandon: bool,
    },
}

/// What a stop asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum OnStop {
    /// Remember it until the process has started.
    Remember(StopCause),
    /// Stop the process in this way; the cause is now this one.
    Stop(StopCause, StopMode),
    /// A weightier stop is under way.
    Ignore,
    /// There is no process; stop insisting on the record.
    ShortenDeadline,
}

/// How weighty causes are, lightest first: a weightier one replaces the one under way, so that a
/// user's cancel during a shutdown cancels, and a lost lease kills at once.
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

/// Why an attempt ended whose processes are gone: what was asked of it, or the lease.
///
/// Whatever ends once the lease can no longer be trusted counts as ended by that: the node's guard
/// may have killed it before this node did, and the scan may be another node's by now.
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
    fn an_end_without_a_lease_is_the_leases_end() {
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
    fn a_weightier_stop_replaces_a_lighter_one() {
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
