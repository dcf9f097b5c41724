//! Ends a process in stages: SIGINT, grace, SIGTERM, grace, SIGKILL. A pure state machine; the
//! attempt's task sends the signals.

use std::time::Duration;

use kastrel_actors::ports::StopMode;
use rustix::process::Signal;
use tokio::time::Instant;

/// How long a process group may take to end after each signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// From SIGINT to SIGTERM.
    pub interrupt: Duration,
    /// From SIGTERM to SIGKILL.
    pub terminate: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self { interrupt: Duration::from_secs(10), terminate: Duration::from_secs(5) }
    }
}

/// The current stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Termination {
    /// No stop was requested.
    NotAsked,
    /// SIGINT was sent; SIGTERM follows at the deadline.
    Interrupted { until: Instant },
    /// SIGTERM was sent; SIGKILL follows at the deadline.
    Terminated { until: Instant },
    /// SIGKILL was sent. No further signal follows.
    Killed,
}

/// The next state, and the signal to send.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Keep the state and send nothing.
    Stay,
    /// Send the signal to the group and enter the state.
    Send(Signal, Termination),
}

impl Termination {
    /// Handles a stop request. A kill overrides a graceful stop; repeated requests do nothing.
    pub(super) fn on_request(self, mode: StopMode, now: Instant, grace: Grace) -> Step {
        match (self, mode) {
            (Self::NotAsked, StopMode::Graceful) => {
                Step::Send(Signal::INT, Self::Interrupted { until: now + grace.interrupt })
            }
            (Self::NotAsked | Self::Interrupted { .. } | Self::Terminated { .. }, StopMode::Kill) => {
                Step::Send(Signal::KILL, Self::Killed)
            }
            (Self::Interrupted { .. } | Self::Terminated { .. }, StopMode::Graceful) | (Self::Killed, _) => Step::Stay,
        }
    }

    /// Handles a reached deadline.
    pub(super) fn on_deadline(self, now: Instant, grace: Grace) -> Step {
        match self {
            Self::Interrupted { until } if until <= now => {
                Step::Send(Signal::TERM, Self::Terminated { until: now + grace.terminate })
            }
            Self::Terminated { until } if until <= now => Step::Send(Signal::KILL, Self::Killed),
            Self::NotAsked | Self::Interrupted { .. } | Self::Terminated { .. } | Self::Killed => Step::Stay,
        }
    }

    /// The time of the next call of [`Self::on_deadline`].
    pub(super) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Interrupted { until } | Self::Terminated { until } => Some(until),
            Self::NotAsked | Self::Killed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn termination_stages_are_in_order_and_only_a_kill_skips_them() {
        use StopMode::{Graceful, Kill};
        let grace = Grace { interrupt: Duration::from_secs(10), terminate: Duration::from_secs(5) };
        let now = Instant::now();
        let (asked, interrupted, terminated) = (
            Termination::NotAsked,
            Termination::Interrupted { until: now + grace.interrupt },
            Termination::Terminated { until: now + grace.terminate },
        );
        for (from, mode, expected) in [
            (asked, Graceful, Step::Send(Signal::INT, interrupted)),
            (asked, Kill, Step::Send(Signal::KILL, Termination::Killed)),
            (interrupted, Graceful, Step::Stay),
            (interrupted, Kill, Step::Send(Signal::KILL, Termination::Killed)),
            (terminated, Graceful, Step::Stay),
            (terminated, Kill, Step::Send(Signal::KILL, Termination::Killed)),
            (Termination::Killed, Graceful, Step::Stay),
            (Termination::Killed, Kill, Step::Stay),
        ] {
            assert_eq!(from.on_request(mode, now, grace), expected, "{from:?} {mode:?}");
        }
        for (from, after, expected) in [
            (asked, 100, Step::Stay),
            (interrupted, 9, Step::Stay),
            (
                interrupted,
                10,
                Step::Send(Signal::TERM, Termination::Terminated { until: now + Duration::from_secs(15) }),
            ),
            (terminated, 4, Step::Stay),
            (terminated, 5, Step::Send(Signal::KILL, Termination::Killed)),
            (Termination::Killed, 100, Step::Stay),
        ] {
            assert_eq!(from.on_deadline(now + Duration::from_secs(after), grace), expected, "{from:?} {after}");
        }
    }
}
