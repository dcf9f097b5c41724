//! The ports' real implementations.

pub mod artifacts;
pub mod kast_runner;
pub mod surreal_store;
