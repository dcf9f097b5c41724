//! How long an attempt may take, and how long it may be silent.

use std::time::Duration;

use tokio::time::Instant;

/// The limits of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest an attempt may run.
    pub wall_clock: Duration,
    /// The longest it may show no sign of life: no output, no changed file.
    pub no_progress: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { wall_clock: Duration::from_secs(4 * 3600), no_progress: Duration::from_secs(30 * 60) }
    }
}

/// Where an attempt stands against its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Deadline {
    /// Within both limits; look again at this moment.
    CheckAt(Instant),
    /// The wall-clock limit is used up.
    TimedOut,
    /// Silent for too long.
    Stalled,
}

/// Holds an attempt that started at `started` and last showed life at `last_progress` against its
/// limits at `now`.
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
    fn the_nearer_limit_decides() {
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
