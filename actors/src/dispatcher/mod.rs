//! The dispatcher: pulls a signal only when there is a free credit, leases its row, and hands it to
//! the supervisor.
//!
//! - **Owns** the node's credits and one task that pulls. Mailboxes are unbounded, so the pull is
//!   on credit: a queue that holds a thousand signals keeps them.
//! - **Messages** come from its own task only.
//! - **When the queue or the store does not answer** it gives the signal back and tries again, more
//!   slowly each time; while the lease is not trusted, an order forbids new scans, the node lacks
//!   something or too many attempts fail, it pulls nothing.
//! - **On shutdown** it is stopped first; a row that it had just leased goes back to pending
//!   without using up an attempt.
//! - **It never** runs anything itself, and never acknowledges a signal before the row is leased or
//!   needs no lease.

mod actor;
mod decide;
mod message;

pub(crate) use actor::{Arguments, Dispatcher};
