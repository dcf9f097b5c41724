//! The node's health: whether it has what every scan needs.
//!
//! - **Owns** one task that checks the node every few seconds, more often while something is
//!   missing, and at once when a scan could not be started.
//! - **Messages** come from its own task only. The others read and write what is known of the
//!   node's health in what all actors share, so a restart loses nothing of it.
//! - **When a check does not answer** that is a fault of its own: a disk hangs.
//! - **On shutdown** it ends with the node.
//! - **It never** starts, stops or delays a scan: the dispatcher reads the result, and so does a
//!   scan whose attempt has failed.

mod actor;
mod message;

pub(crate) use actor::{Health, judged};
