//! The high-water record: a small file beside the database that says how far the database was.
//!
//! A storage engine that lost the end of its log, or was put back from an old copy, looks healthy.
//! The record makes the loss visible: once in [`MARK_AFTER`](super::database) after a change, the
//! database counts up a mark in its own transaction, and the file then says which mark was
//! committed, with the last scan id and the number of scans. A database whose mark or last id is
//! lower than what the file says has lost commits.

mod file;
mod judge;
mod record;

pub(super) use file::{HighWaterFile, Recorded};
pub use judge::Loss;
pub(super) use judge::{Found, Verdict, judge};
pub(super) use record::HighWater;
pub(in super::super) use record::RefusedBatch;

/// The last scan id that the record of a data folder knows of; 0 where there is none that can be
/// read.
pub(in super::super) fn last_recorded(data: &std::path::Path) -> u64 {
    let path = data.join(super::folder::HIGH_WATER_FILE);
    if !path.exists() {
        return 0;
    }
    match HighWaterFile::open(&path) {
        Ok((_, Recorded::Record(record))) => record.last_scan,
        Ok(_) | Err(_) => 0,
    }
}
