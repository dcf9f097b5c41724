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
    /// The states whose numbers are floors. Queued and running scans are always counted to the end.
    pub floors: EndedFloors,
}

/// The states of ended scans whose number is a floor: there are more scans, because counting is
/// bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndedFloors {
    /// There are more completed scans.
    pub completed: bool,
    /// There are more failed scans.
    pub failed: bool,
    /// There are more cancelled scans.
    pub cancelled: bool,
}

impl StoreStats {
    /// Returns the number of scans in `status`.
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

    /// Returns true if there are more scans in `status` than [`of`](Self::of) returns.
    #[must_use]
    pub const fn is_floor(&self, status: ScanStatus) -> bool {
        match status {
            ScanStatus::Pending | ScanStatus::Running => false,
            ScanStatus::Completed => self.floors.completed,
            ScanStatus::Failed => self.floors.failed,
            ScanStatus::Cancelled => self.floors.cancelled,
        }
    }

    /// Returns true if there are more scans than [`all`](Self::all) returns.
    #[must_use]
    pub const fn all_is_floor(&self) -> bool {
        self.floors.completed || self.floors.failed || self.floors.cancelled
    }

    /// Returns the number of all scans.
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

/// A completed scan and its duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// The scan.
    pub id: ScanId,
    /// Its target, in lower case.
    pub target: String,
    /// Its mode.
    pub mode: ScanMode,
    /// The duration from its first start to its end.
    pub took: Duration,
}

/// A filter for completed scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunsLike {
    /// The exact target, in lower case.
    pub target: String,
    /// The mode.
    pub mode: ScanMode,
}
