//! The node: root of the actor tree.
//!
//! - **Owns** the five actors below it and their restart budget.
//! - **Messages** come from the [`NodeHandle`] (shutdown) and its own tasks.
//! - **When a child fails** it starts another one in its place, which finds what it needs in the
//!   shared values; more failures than the budget bears end the node with a failure, never half
//!   alive: the process then exits with a failure code, and whatever runs it starts a new one.
//! - **On shutdown** the dispatcher stops first, then the supervisor interrupts every attempt, then
//!   the lease is given back, in this order.
//! - **It never** touches a scan.

mod actor;
mod exit;
mod handle;
mod message;
#[cfg(test)]
mod repair_tests;
#[cfg(test)]
mod tests;

pub use exit::NodeExit;
pub use handle::{NodeHandle, NodeStartError, start};
