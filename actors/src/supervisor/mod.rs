//! The scan supervisor: the parent of every running attempt.
//!
//! - **Owns** the Scan actors, each with its slot. It counts failed attempts at the start gate.
//! - **Messages** come from the dispatcher (launch), the lease (kill everything, cancel,
//!   directives), the control bus (cancel, follow), the node (shutdown) and its own clean-up tasks.
//! - **When a Scan actor fails** (a panic, a kill) it waits until the attempt's processes are gone,
//!   then has the row retried or failed by policy, with the actor's token. After its own restart,
//!   it does the same for all attempts of its predecessor. Too many failed attempts of one target
//!   hold back its scans for a while, and those of several targets hold back all scans; they never
//!   stop the node.
//! - **On shutdown** it interrupts every attempt, which costs no attempt, and reports when the last
//!   one is recorded.
//! - **On a drain order** it lets the scans run until the order's deadline, and then requeues the
//!   rest, which costs no attempt.
//! - **It never** frees a slot before the attempt's processes are gone, and never awaits a process
//!   or the store in a handler.

mod actor;
mod state;

pub(crate) use actor::ScanSupervisor;
