//! The scan supervisor: parent of every running attempt.
//!
//! - **Owns** the Scan actors, their credits, and the count of failed attempts.
//! - **Messages** come from the dispatcher (launch), the lease (kill everything, cancel,
//!   directives), the control bus (cancel, follow), the node (shutdown) and from its own clean-up
//!   tasks.
//! - **When a Scan actor fails** (a panic, a kill) it waits until the attempt's processes are gone,
//!   then has the row tried again or failed by policy, with the actor's token. When *it* is
//!   restarted, it does the same for everything that its predecessor left behind. Too many failed
//!   attempts of one target hold its scans back for a while, those of several targets all scans;
//!   they never stop the node.
//! - **On shutdown** it interrupts every attempt, which costs none, and reports when the last one
//!   is recorded.
//! - **Told to drain** it lets everything run until the order's moment, and then hands back what is
//!   left, which costs no attempt.
//! - **It never** frees a credit before the attempt's processes are gone, and never awaits a
//!   process or the store in a handler.

mod actor;
mod state;

pub(crate) use actor::ScanSupervisor;
