//! The scan actor: supervises one running attempt.
//!
//! - **Owns** the handle of one scanner process, the runner's
//!   [`AttemptControl`](crate::ports::AttemptControl). When the actor dies, the drop of the handle
//!   kills the process.
//! - **Messages** come from the runner's task (events), the supervisor (stop) and its own timers
//!   and writes.
//! - **Before the process starts** it checks the right of the submitter and the clearance of the
//!   target, where scans need them, and decides which results of earlier attempts the scan keeps.
//! - **When the process ends** it classifies the end by policy, records the effect on the scan
//!   under its token, and stops. While the store does not respond it keeps retrying.
//! - **On shutdown** it stops the process gracefully and records an interruption, which costs no
//!   attempt.
//! - **It never** awaits the process, a file or the store in a handler, and never writes without
//!   its token.

mod actor;
mod keys;
mod resume;
mod state;

pub(crate) use actor::{Scan, ScanArguments};
