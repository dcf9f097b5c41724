//! What the dispatcher and the reconciler read of a row: enough to signal it, lease it or take it
//! over.

use std::time::Duration;

use jiff::Timestamp;

use super::{FencingToken, NodeId, Priority, ScanId, TraceContext};

/// A row that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueScan {
    /// Which.
    pub id: ScanId,
    /// Its priority.
    pub priority: Priority,
    /// Since when it is due, or from when on.
    pub due: Timestamp,
    /// How long until then; zero for what is due.
    pub wait: Duration,
    /// Its trace.
    pub trace: TraceContext,
}

/// A row that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningScan {
    /// Which.
    pub id: ScanId,
    /// Where.
    pub node: NodeId,
    /// Under which token.
    pub token: FencingToken,
    /// How many attempts failed before it.
    pub failures: u32,
}
