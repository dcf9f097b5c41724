//! The watchdog: a second, small process of this program, a child of every node that runs scans,
//! which kills the node's scans when the node cannot.
//!
//! A node that is killed with SIGKILL, or frozen as a whole, can do nothing about its scans any
//! more, while another node may start them anew as soon as the lease is over. The watchdog can:
//!
//! - **The node is gone**, in whichever way: the pipe between them ends. The watchdog kills every
//!   scan of the node at once, stays a moment for what was just being started, and ends.
//! - **The node is frozen**, or does not get its lease renewed: the moment until which it was
//!   trusted comes. The watchdog kills every scan of the node, and again whatever turns up, until
//!   it is told of a new lease. It goes on waiting: the node may come back.
//! - **The node has stopped in good order**: it has said that nothing runs, and the pipe ends. The
//!   watchdog ends at once.
//!
//! It finds the scans as the sweep at boot does, by the marker in their environment, with their
//! groups and descendants; but only those of its own node's run: a successor on the same data
//! folder may start scans while the watchdog of its predecessor still looks around.
//!
//! # The protocol
//! The watchdog reads lines from its standard input; the node never waits for it, and nothing comes
//! back.
//!
//! | line | meaning |
//! |---|---|
//! | `trust <milliseconds>` | the scans may live until this moment of `CLOCK_BOOTTIME`, which counts while the machine sleeps |
//! | `disarm` | nothing runs, and nothing needs to be killed; the state at the start |
//!
//! The moment is absolute, so that it means the same however long the line was on its way, and it
//! is counted from before the renewal was sent. A line is written before any scan can start that it
//! is to cover. The watchdog lists processes first, then reads what is in the pipe, and only then
//! kills what it listed: so a scan that starts under a new lease is never taken for one of the old.
//!
//! # What it never does
//! It opens no database, reads no configuration, starts no thread, and has no secret in its
//! environment. It is in a process group of its own and ignores SIGINT, SIGTERM and SIGHUP:
//! whatever ends the node politely lets the node clean up first, and the watchdog go with it.

mod guard;
mod order;
mod watch;

pub use guard::Watchdog;
pub use watch::{main as watchdog_main, watchdog_arguments};

use std::time::Duration;

/// This moment by `CLOCK_BOOTTIME`, which is the same for all processes of the machine.
fn boottime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Neither is ever negative: the clock starts at zero.
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}
