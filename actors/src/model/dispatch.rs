//! What the dispatcher and the reconciler read of a row: enough to signal it, lease it or take it
//! over.

use std::time::Duration;

use jiff::Timestamp;

use super::{FencingToken, NodeId, Priority, ScanId, TraceContext};

/// A pending row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueScan {
    /// The scan.
    pub id: ScanId,
    /// Its priority.
    pub priority: Priority,
    /// The time from which the scan is due; it may be in the future.
    pub due: Timestamp,
    /// The time until then; zero for a scan that is due.
    pub wait: Duration,
    /// Its trace.
    pub trace: TraceContext,
}

/// A running row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningScan {
    /// The scan.
    pub id: ScanId,
    /// The node that runs it.
    pub node: NodeId,
    /// The fencing token of the attempt.
    pub token: FencingToken,
    /// How many attempts failed before this one.
    pub failures: u32,
}
