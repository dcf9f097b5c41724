//! Counts of scans, and the changes of scans.

use kastrel_actors::model::{ScanStatus, ScannerInfo, StoreStats};
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
    /// How many scans run on this node. It counts the scans of all projects: null for a caller that
    /// may not read the state of the server.
    pub running_here: Option<usize>,
    /// How many signals the queue holds; null if the queue does not respond, and for a caller that
    /// may not read the state of the server.
    pub queue_depth: Option<usize>,
    /// How many event streams are open; null for a caller that may not read the state of the
    /// server.
    pub open_event_streams: Option<usize>,
}

/// Scans by state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// The states in which there are more scans than their number, because counting within projects
    /// is bounded. If there is one, there are also more scans than `total`.
    #[serde(default)]
    #[schema(required = true)]
    pub floors: Vec<ScanStatus>,
}

impl From<&StoreStats> for ScanCounts {
    fn from(stats: &StoreStats) -> Self {
        let StoreStats { pending, running, completed, failed, cancelled, .. } = *stats;
        let floors = ScanStatus::ALL.iter().copied().filter(|status| stats.is_floor(*status)).collect();
        Self { pending, running, completed, failed, cancelled, total: stats.all(), floors }
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

#[cfg(test)]
mod tests {
    use kastrel_actors::model::EndedFloors;

    use super::*;

    #[test]
    fn counts_name_the_states_that_are_floors() {
        let exact = StoreStats { pending: 1, completed: 1000, failed: 2, ..StoreStats::default() };
        assert_eq!(ScanCounts::from(&exact).floors, []);
        let floors = EndedFloors { completed: true, cancelled: true, failed: false };
        let counts = ScanCounts::from(&StoreStats { floors, ..exact });
        assert_eq!((counts.total, counts.floors), (1003, vec![ScanStatus::Completed, ScanStatus::Cancelled]));
    }
}
