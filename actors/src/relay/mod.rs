//! The relay: delivers the entries of the outbox to their consumers, at least once.
//!
//! - **Owns** one task that leases entries and hands them to the consumers. Each node runs a relay;
//!   an entry is leased to one of them at a time.
//! - **Messages**: none. The store wakes the task when this process has written an entry; entries
//!   of other processes are found by looking every few seconds.
//! - **When a consumer fails** or does not answer, its entries are deferred by `policy::delivery`,
//!   and become dead letters after the last try. An entry whose event cannot be read fails alone.
//!   When the store fails, the leases expire and the entries are
//!   delivered again.
//! - **On shutdown** it ends with the node. What it had leased is delivered after the lease.
//! - **It never** changes a scan.

mod actor;
mod deliver;
mod outcome_counter;
#[cfg(test)]
mod tests;

pub(crate) use actor::Relay;
pub use deliver::deliver;
pub use outcome_counter::OutcomeCounter;
