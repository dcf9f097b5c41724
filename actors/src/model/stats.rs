//! Numbers over many scans: counts by state, outcomes by day, durations of earlier runs.

use std::time::Duration;

use jiff::civil::Date;

use super::{ScanId, ScanMode, ScanStatus};

/// How many scans are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Waiting.
    pub pending: u64,
    /// Running.
    pub running: u64,
    /// Completed.
    pub completed: u64,
    /// Failed.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
}

impl StoreStats {
    /// How many are in `status`.
    #[must_use]
    pub const fn of(&self, status: ScanStatus) -> u64 {
        match status {
            ScanStatus::Pending => self.pending,
            ScanStatus::Running => self.running,
            ScanStatus::Completed => self.completed,
            ScanStatus::Failed => self.failed,
            ScanStatus::Cancelled => self.cancelled,
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.pending
            .saturating_add(self.running)
            .saturating_add(self.completed)
            .saturating_add(self.failed)
            .saturating_add(self.cancelled)
    }
}

/// How the scans of one day ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayOutcomes {
    /// The day on which they ended, in UTC.
    pub day: Date,
    /// How many completed.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
}

/// A scan that completed, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Which.
    pub id: ScanId,
    /// Its target, in lower case.
    pub target: String,
    /// Its mode.
    pub mode: ScanMode,
    /// From its first start to its end.
    pub took: Duration,
}

/// Which completed scans to look back at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsLike {
    /// The target, in lower case and whole.
    pub target: String,
    /// The mode.
    pub mode: ScanMode,
}
