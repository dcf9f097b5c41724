//! A wall clock that follows tokio's monotonic clock, so that a test with paused time controls both
//! at once.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::ports::Clock;

/// A clock that starts at 2026-01-01T00:00:00Z when it is created.
#[derive(Debug, Clone, Copy)]
pub struct PausedClock {
    start: Instant,
}

impl Default for PausedClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let epoch = Timestamp::from_second(1_767_225_600).unwrap();
        epoch + SignedDuration::try_from(self.start.elapsed()).unwrap()
    }
}
