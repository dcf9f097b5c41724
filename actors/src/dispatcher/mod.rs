//! The dispatcher: takes a signal only when a slot is free, leases the row of the scan, and passes
//! it to the supervisor.
//!
//! - **Owns** one task that takes signals; the node owns the slots (permits of a semaphore).
//!   Mailboxes are unbounded, so it takes a signal only with a free slot: a queue with a thousand
//!   signals keeps them.
//! - **Messages** come only from its own task.
//! - **When the queue or the store does not respond** it releases the signal and retries, with
//!   growing waits. While the lease is not valid, a directive forbids new scans, the node has a
//!   fault or too many attempts fail, it takes no signal.
//! - **On shutdown** it is stopped first. A row that it has just leased is requeued without using
//!   up an attempt.
//! - **It never** runs anything itself, and never acknowledges a signal before the row is leased or
//!   needs no lease.

mod actor;
mod decide;
mod message;

pub(crate) use actor::{Arguments, Dispatcher};
