//! The lease: this node's right to run scans.
//!
//! - **Owns** the renewal of the node's row and the published
//!   [`LeaseState`](crate::context::LeaseState).
//! - **Messages** come from its own timer and renewal task, and from the node when it shuts down.
//! - **When the store does not answer** it tries again each second; when the lease can no longer be
//!   trusted it has the supervisor kill every scan, waits until the last process is gone, and only
//!   then asks for a new lease. When it is restarted itself, it goes on with the lease that was
//!   published.
//! - **On shutdown** it gives the node's row back, so that nobody waits for its end.
//! - **It never** trusts an answer longer than from the moment the renewal was sent.

mod actor;
mod message;

pub(crate) use actor::Lease;
pub(crate) use message::Message;
