//! The live state of a scan: the row, and the data that only the running attempt has.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Coverage, PluginResult, ScanRecord, ScanState, ScanStatus, SeverityCounts};

named_enum! {
    /// The phase of an attempt's actor.
    pub enum AttemptPhase {
        /// The process is being started.
        Starting = "starting",
        /// The process runs.
        Running = "running",
        /// The process is being ended.
        Stopping = "stopping",
        /// The process is gone; the result is being written to the store.
        Recording = "recording",
    }
}

/// The state of a scan for the web, published on every change. Readers never wait for an actor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanSnapshot {
    /// The row as last committed.
    pub record: ScanRecord,
    /// Incremented with every publication on this node; the event id of the live stream.
    pub sequence: u64,
    /// The phase of the attempt's actor, while there is one.
    pub phase: Option<AttemptPhase>,
    /// The process id, while there is a process.
    pub pid: Option<u32>,
    /// The latest state of the plugins; newer than the row's while an attempt runs.
    pub plugins: Vec<PluginResult>,
    /// The time of the attempt's last sign of life.
    pub last_progress_at: Option<Timestamp>,
}

impl ScanSnapshot {
    /// Creates a snapshot from a row alone.
    #[must_use]
    pub fn of(record: ScanRecord) -> Self {
        let plugins = record.plugins.clone();
        Self { record, sequence: 0, phase: None, pid: None, plugins, last_progress_at: None }
    }

    /// Returns the latest state of the scan's plugins.
    #[must_use]
    pub fn last_plugins(&self) -> &[PluginResult] {
        match &self.record.state {
            ScanState::Completed { .. } => &self.record.plugins,
            _ => &self.plugins,
        }
    }

    /// Returns the coverage of the scan so far.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        Coverage::of(&self.record.request, &self.record.left_out, self.last_plugins(), self.status().is_terminal())
    }

    /// Returns the number of the scan's issues by severity.
    #[must_use]
    pub fn severities(&self) -> SeverityCounts {
        SeverityCounts::of(self.last_plugins())
    }

    /// Returns the state's name in the status API.
    #[must_use]
    pub const fn status(&self) -> ScanStatus {
        self.record.status()
    }
}
