//! A scan as it is seen live: the row, and what only the running attempt knows yet.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Coverage, PluginResult, ScanRecord, ScanState, ScanStatus, SeverityCounts};

named_enum! {
    /// What the actor of an attempt is doing.
    pub enum AttemptPhase {
        /// The process is being started.
        Starting = "starting",
        /// The process runs.
        Running = "running",
        /// The process is being ended.
        Stopping = "stopping",
        /// The process is gone; its end is being written to the store.
        Recording = "recording",
    }
}

/// What the web shows of a scan, published on every change; readers never wait for an actor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanSnapshot {
    /// The row as last committed.
    pub record: ScanRecord,
    /// Grows with every publication on this node; the event id of the live stream.
    pub sequence: u64,
    /// What the attempt's actor is doing, while there is one.
    pub phase: Option<AttemptPhase>,
    /// The process, while there is one.
    pub pid: Option<u32>,
    /// The plugins as last seen, newer than the row's while an attempt runs.
    pub plugins: Vec<PluginResult>,
    /// The last sign of life of the attempt.
    pub last_progress_at: Option<Timestamp>,
}

impl ScanSnapshot {
    /// A snapshot of a row of which nothing more is known.
    #[must_use]
    pub fn of(record: ScanRecord) -> Self {
        let plugins = record.plugins.clone();
        Self { record, sequence: 0, phase: None, pid: None, plugins, last_progress_at: None }
    }

    /// The last word on the scan's plugins.
    #[must_use]
    pub fn last_plugins(&self) -> &[PluginResult] {
        match &self.record.state {
            ScanState::Completed { .. } => self.record.last_plugins(),
            _ => &self.plugins,
        }
    }

    /// How much of the scan was checked so far.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        Coverage::of(&self.record.request, &self.record.left_out, self.last_plugins(), self.status().is_terminal())
    }

    /// The scan's issues by severity.
    #[must_use]
    pub fn severities(&self) -> SeverityCounts {
        SeverityCounts::of(self.last_plugins())
    }

    /// The status API's word.
    #[must_use]
    pub const fn status(&self) -> ScanStatus {
        self.record.status()
    }
}
