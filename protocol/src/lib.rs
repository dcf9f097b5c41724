//! The protocol by which nodes share scans, as a model: leases, fencing tokens, rescues, queue
//! signals, the outbox, and the fire of a schedule. The tests check every state within small
//! bounds.
//!
//! The model is code of its own, and depends on no other crate of Kastrel. [`code`] names the
//! function, the statement or the script that implements each step, and a test verifies that they
//! are there. docs/protocol.md explains what is modelled, what is not, and what was found.
//!
//! - [`state`]: the rows, the queue, the nodes with their watchdogs, and the scanners.
//! - [`steps`]: what can happen, and what it does.
//! - [`properties`]: what must hold, and what must be possible.
//! - [`bounds`]: how many nodes, scans and faults there are.
//! - [`variant`]: protocols with one mistake each, which the checks must find.
//!
//! # Time
//! The clock counts units of 10 s. It moves on when nothing is urgent. So each step that a living
//! part can take happens within the unit in which it becomes possible, in any order with the steps
//! of others. Only what is frozen, killed or cut off takes longer. There is one clock: the code
//! passes waits between clocks, and never moments.

pub mod bounds;
pub mod code;
pub mod properties;
pub mod protocol;
pub mod state;
pub mod steps;
pub mod variant;
