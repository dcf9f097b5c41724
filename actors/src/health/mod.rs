//! The health actor: checks whether the node has what every scan needs.
//!
//! - **Owns** one task that checks the node every few seconds, more often while there is a fault,
//!   and at once when a scan could not be started.
//! - **Messages**: none. The other actors read and write the health state in
//!   the shared context, so a restart loses nothing.
//! - **When a check does not return**, that is a fault of its own: a disk hangs.
//! - **On shutdown** it ends with the node.
//! - **It never** starts, stops or delays a scan. The dispatcher reads the result, and so does a
//!   scan whose attempt has failed.

mod actor;

pub(crate) use actor::{Health, judged};
