//! The lease actor: holds this node's right to run scans.
//!
//! - **Owns** the renewal of the node's row and the published
//!   [`LeaseState`](crate::policy::lease::LeaseState).
//! - **Messages** come from its own timer and renewal task, and from the node at shutdown.
//! - **When the store does not respond** it retries each second. When the lease is no longer valid,
//!   it orders the supervisor to kill every scan, waits until the last process is gone, and only
//!   then requests a new lease. After its own restart it continues with the published lease.
//! - **On shutdown** it releases the node's row, so that no other node waits for its expiry.
//! - **It never** relies on a renewal for longer than its duration, counted from when the request
//!   was sent.

mod actor;
mod message;

pub(crate) use actor::Lease;
pub(crate) use message::Message;
