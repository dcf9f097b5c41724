//! The orchestration of Kastrel: what a scan is, what may happen to it, and the actors that make it
//! happen.
//!
//! Dependencies point one way: `model <- policy <- actors -> ports`. Nothing here touches a
//! process, a database or a socket; the application hands in adapters for the [`ports`].
//!
//! ```text
//! Node                 root; a child that spends its restart budget stops the node with a failure
//! ├─ Lease             renews the node's row; has everything killed when the lease can no longer be trusted
//! ├─ ScanSupervisor    owns every Scan actor; restarts failed ones by policy
//! │   └─ Scan #id      one running attempt; holds one process
//! ├─ Health            checks what every scan needs; while something is missing, none starts
//! ├─ Dispatcher        pulls a job only when there is a free credit; leases its row
//! └─ Reconciler           takes over the scans of dead nodes; signals rows that no signal exists for
//! ```

mod attempt_finisher;
mod context;
mod dispatcher;
mod health;
mod lease;
pub mod live;
mod messages;
pub mod model;
pub mod node;
pub mod policy;
pub mod ports;
mod reconciler;
mod scan;
pub mod service;
mod supervisor;
mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use context::{NodeConfig, NodePorts};
pub use live::Client;
