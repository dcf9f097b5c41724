//! Counts of scans, and the changes of scans.

use kastrel_actors::model::{ScannerInfo, StoreStats};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Counts of scans, queue signals and event streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// The version of Kastrel.
    pub version: String,
    /// The scanner of this process, once known.
    pub scanner: Option<ScannerInfo>,
    /// The scans by state.
    pub scans: ScanCounts,
    /// How many scans run on this node.
    pub running_here: usize,
    /// How many signals the queue holds; null if the queue does not respond.
    pub queue_depth: Option<usize>,
    /// How many event streams are open.
    pub open_event_streams: usize,
}

/// Scans by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScanCounts {
    /// Queued scans.
    pub pending: u64,
    /// Running scans.
    pub running: u64,
    /// Completed scans.
    pub completed: u64,
    /// Failed scans.
    pub failed: u64,
    /// Cancelled scans.
    pub cancelled: u64,
    /// All scans.
    pub total: u64,
}

impl From<&StoreStats> for ScanCounts {
    fn from(stats: &StoreStats) -> Self {
        let StoreStats { pending, running, completed, failed, cancelled } = *stats;
        let total = pending + running + completed + failed + cancelled;
        Self { pending, running, completed, failed, cancelled, total }
    }
}

/// The scans that changed since the last event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Changes)]
pub struct ChangesBody {
    /// The numbers of the changed scans; empty when `all` is true.
    pub scans: Vec<u64>,
    /// More scans changed than one event can name: reload everything.
    pub all: bool,
}
