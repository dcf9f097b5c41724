//! The orchestration of Kastrel: the model of a scan, the rules for what may happen to it, and the
//! actors that apply them.
//!
//! Dependencies point one way: `model <- policy <- actors -> ports`. This crate does not access
//! processes, databases or sockets; the application passes in adapters for the [`ports`].
//!
//! ```text
//! Node                 root; a child that spends its restart budget stops the node with a failure
//! ├─ Lease             renews the node's row; kills all scans when the lease is no longer valid
//! ├─ ScanSupervisor    owns every Scan actor; restarts failed ones by policy
//! │   └─ Scan #id      one running attempt; holds one process
//! ├─ Health            checks what every scan needs; no scan starts while there is a fault
//! ├─ Dispatcher        takes a signal only when a slot is free; leases the row
//! ├─ Relay             delivers committed events to their consumers
//! └─ Reconciler        takes over the scans of dead nodes; signals pending rows without a signal
//! ```

mod attempt_finisher;
mod attempt_registry;
mod context;
mod dispatcher;
mod health;
mod lease;
pub mod live;
mod messages;
pub mod model;
pub mod node;
mod node_config;
pub mod policy;
pub mod ports;
mod reconciler;
pub mod relay;
mod scan;
pub mod service;
mod snapshot_publisher;
mod start_gate;
mod supervisor;
mod supervisor_address;
mod task;
mod task_actor;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use live::Client;
pub use node_config::{NodeConfig, NodePorts};
