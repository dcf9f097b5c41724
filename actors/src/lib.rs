//! The orchestration of Kastrel: what a scan is, what may happen to it, and the actors that make it happen.
//!
//! Dependencies point one way: `model <- policy <- actors -> ports`. Nothing here touches a process, a database or a socket; the application hands in adapters for the [`ports`].

pub mod board;
pub mod desk;
pub mod model;
pub mod policy;
pub mod ports;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
