//! The time limits of an attempt: how long it may run, and how long it may show no progress.

use std::time::Duration;

use tokio::time::Instant;

/// The limits of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The maximum run time of an attempt.
    pub wall_clock: Duration,
    /// The maximum time without a sign of life: no output, no changed file.
    pub no_progress: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { wall_clock: Duration::from_secs(4 * 3600), no_progress: Duration::from_secs(30 * 60) }
    }
}

/// The state of an attempt against its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Deadline {
    /// Within both limits; check again at this time.
    CheckAt(Instant),
    /// The attempt has reached the wall-clock limit.
    TimedOut,
    /// The attempt has shown no sign of life for too long.
    Stalled,
}

/// Compares an attempt with its limits at `now`. It started at `started` and last showed a sign of
/// life at `last_progress`.
pub fn deadline(limits: Limits, started: Instant, last_progress: Instant, now: Instant) -> Deadline {
    let ends = started + limits.wall_clock;
    let stalls = last_progress + limits.no_progress;
    if now >= ends {
        Deadline::TimedOut
    } else if now >= stalls {
        Deadline::Stalled
    } else {
        Deadline::CheckAt(ends.min(stalls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_is_the_nearer_limit() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let limits = Limits { wall_clock: Duration::from_secs(100), no_progress: Duration::from_secs(30) };
        for (progress, now, expected) in [
            (0, 0, Deadline::CheckAt(at(30))),
            (29, 30, Deadline::CheckAt(at(59))),
            (0, 30, Deadline::Stalled),
            (90, 99, Deadline::CheckAt(at(100))),
            (99, 100, Deadline::TimedOut),
            (0, 100, Deadline::TimedOut),
        ] {
            assert_eq!(deadline(limits, start, at(progress), at(now)), expected, "{progress} {now}");
        }
    }
}
