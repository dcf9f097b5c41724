//! The watchdog: a second, small process of this program. It is a child of every node that runs
//! scans, and kills the node's scans when the node cannot.
//!
//! A node that is killed with SIGKILL, or is frozen, has no control over its scans any more, but
//! another node may start the same scans when the lease has expired. The watchdog handles these
//! cases:
//!
//! - **The node is gone** for any reason: the pipe between them ends. The watchdog kills every scan
//!   of the node at once, waits a moment for scans that were just starting, and ends.
//! - **The node is frozen**, or its lease is not renewed: the time until which it is trusted
//!   passes. The watchdog kills every scan of the node, and every scan that appears later, until it
//!   receives a new lease. It keeps running, because the node may come back.
//! - **The node has stopped cleanly**: it has sent that nothing runs, and the pipe ends. The
//!   watchdog ends at once.
//!
//! It finds the scans like the sweep at boot: by the marker in their environment, with their groups
//! and descendants. It matches only the run of its own node, because a successor on the same data
//! folder may start scans while its predecessor's watchdog still searches.
//!
//! # The protocol
//! The watchdog reads lines from its standard input. The node never waits for it, and the watchdog
//! sends nothing back.
//!
//! | line | meaning |
//! |---|---|
//! | `trust <milliseconds>` | the scans may live until this time of `CLOCK_BOOTTIME`, which also counts while the machine sleeps |
//! | `disarm` | nothing runs, and nothing needs to be killed; the initial state |
//!
//! The time is absolute, so that its meaning does not depend on the delay of the line. It counts
//! from before the renewal was sent. The node writes a line before it starts any scan that the line
//! covers. The watchdog lists processes first, then reads the pipe, and only then kills the listed
//! processes. So a scan under a new lease is never mistaken for one under the old lease.
//!
//! # What it never does
//! It opens no database, reads no configuration, starts no threads, and has no secrets in its
//! environment. It is in its own process group and ignores SIGINT, SIGTERM and SIGHUP: after such a
//! signal, the node cleans up first, and then the watchdog ends with it.

mod clock;
mod guard;
mod order;
mod watch;

pub use guard::Watchdog;
pub use watch::{main as watchdog_main, watchdog_arguments};
