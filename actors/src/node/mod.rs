//! The node: the root of the actor tree.
//!
//! - **Owns** its five child actors, their restart budget, and the slots.
//! - **Messages** come from the [`NodeHandle`] (shutdown) and its own tasks.
//! - **When a child fails**, the node starts a new one, which reads its state from the shared
//!   context. More failures than the budget allows end the node with a failure, so that it never
//!   continues partially: the process exits with a failure code, and its service manager restarts
//!   it.
//! - **On shutdown** the dispatcher stops first, then the supervisor interrupts every attempt, then
//!   the lease is released.
//! - **It never** changes a scan.

mod actor;
mod exit;
mod handle;
mod message;
#[cfg(test)]
mod tests;

pub use exit::NodeExit;
pub use handle::{NodeHandle, NodeStartError, start};
