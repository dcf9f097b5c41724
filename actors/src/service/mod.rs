//! The application services: the operations that the web server and the command line offer. They use
//! the ports and the live state; no actor calls them.

pub mod queue_watch;
pub mod replica_sync;
mod scans;

pub use scans::{Accepted, CancelOutcome, Consistency, ScanService, SnapshotPage, SubmitError};
