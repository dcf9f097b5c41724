//! What tests need: fixtures, in-memory ports, and one conformance suite a port that the real adapters run as well.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

pub mod fixtures;
pub mod store_conformance;
