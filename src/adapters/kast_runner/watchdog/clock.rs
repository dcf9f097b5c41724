//! The clock of the watchdog.

use std::time::Duration;

/// The current time of `CLOCK_BOOTTIME`, which is the same for all processes of the machine.
pub(super) fn boottime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Neither value is ever negative: the clock starts at zero.
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}
