//! The production implementations of the ports.

pub mod artifacts;
pub mod audit_key;
pub mod kast_runner;
pub mod mail;
pub mod node_health;
pub mod oidc;
pub mod redis_queue;
pub mod secret_box;
pub mod surreal_store;
