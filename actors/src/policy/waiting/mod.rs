//! Why scans wait. One pure function derives from the state of the queue what keeps all scans from
//! starting, and one derives why a single scan waits. The API, the command line, the pages and the
//! trace show their results, with the sentences defined here.

mod blocker;
mod facts;
mod reason;
#[cfg(test)]
mod testing;
mod words;

pub use blocker::{StartBlocker, start_blockers};
pub use facts::QueueFacts;
pub use reason::{Waiting, reasons};
pub use words::ordinal;
