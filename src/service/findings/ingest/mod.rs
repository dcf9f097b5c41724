//! The ingestion of scans from the outbox: reads the files of a scan that has ended, and stores
//! what they say about its target.
//!
//! [`FindingsConsumer`] gets the events, [`ScanFiles`] reads the files of a scan, and
//! `kastrel_actors::service::ingest` stores what was read. [`FindingRebuild`] computes the findings
//! of all targets anew from the files of their scans.

mod consumer;
mod read;
mod rebuild;
mod registry;
#[cfg(test)]
mod tests;

pub use consumer::FindingsConsumer;
pub use read::{ReadFiles, ScanFiles};
pub use rebuild::{FindingRebuild, RebuildError, RebuildProgress, RebuildScope};
