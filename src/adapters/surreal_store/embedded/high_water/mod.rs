//! The high-water record: a small file beside the database that detects lost commits.
//!
//! A storage engine that lost the end of its log, or was restored from an old copy, looks healthy.
//! The record reveals the loss: within [`MARK_AFTER`](super::database) after a change, the database
//! increments a mark in a transaction, and then the file stores the committed mark with the last
//! scan id and the number of scans. A database whose mark or last id is lower than in the file has
//! lost commits.

mod file;
mod judge;
mod record;

pub(super) use file::{HighWaterFile, Recorded};
pub use judge::Loss;
pub(super) use judge::{Found, Verdict, judge};
pub(super) use record::HighWater;
pub(in super::super) use record::RefusedBatch;

/// The last scan id in the record of a data folder; 0 if there is no readable record.
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
