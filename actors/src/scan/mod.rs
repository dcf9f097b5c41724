//! A scan: one running attempt.
//!
//! - **Owns** the hold on one process of a scanner, through the runner's
//!   [`AttemptControl`](crate::ports::AttemptControl): when the actor dies in any way, the drop
//!   kills the process.
//! - **Messages** come from the runner's task (events), the supervisor (stop) and its own timers
//!   and writes.
//! - **When the process ends** it reads the attempt's end by policy, records what becomes of the
//!   scan under its token, and stops. While the store does not answer it keeps trying.
//! - **On shutdown** it stops the process with grace and records an interruption, which costs no
//!   attempt.
//! - **It never** awaits the process, a file or the store in a handler, and never writes without
//!   its token.

mod actor;
mod state;

pub(crate) use actor::{Scan, ScanArguments};
