//! Test support: fixtures, in-memory ports, and a conformance suite per port that the real adapters
//! run too.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

pub mod bus_conformance;
mod cluster;
mod faults;
pub mod feed_conformance;
mod feed_hub;
pub mod fixtures;
mod memory_store;
mod mortal;
mod paused_clock;
pub mod queue_conformance;
mod scripted_health;
mod scripted_runner;
pub mod store_conformance;
mod test_sealer;
mod test_signer;
pub mod unchecked;

pub use cluster::Cluster;
pub use faults::{Fault, Faults};
pub use feed_hub::FeedHub;
pub use memory_store::MemoryStore;
pub use mortal::{Fuse, Recorder, Step};
pub use paused_clock::PausedClock;
pub use scripted_health::ScriptedHealth;
pub use scripted_runner::{Run, Script, ScriptedRunner};
pub use test_sealer::TestSealer;
pub use test_signer::TestSigner;
