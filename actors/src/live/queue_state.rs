//! The last known state of the queue: the pause, the nodes, the job queue's trouble and the positions
//! of the due scans. `service::queue_watch` refreshes it; this file only holds it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{DueScan, NodeActivity, NodeId, NodeRecord, Priority, QueuePause, ScanId, ScannerOffer};

/// A look that is younger than this counts as current.
const FRESH: Duration = Duration::from_millis(500);

/// The last known state of the queue, shared by all readers.
#[derive(Debug, Default)]
pub struct QueueState {
    pub(crate) known: RwLock<Arc<Known>>,
    /// Held during a refresh: one refresh serves all callers that wait for one.
    pub(crate) looking: tokio::sync::Mutex<()>,
    /// True if there was a reader since the last refresh of the task.
    pub(crate) is_wanted: AtomicBool,
    /// True if this process runs no scans.
    pub(crate) has_no_node: AtomicBool,
}

/// The state of the last refresh.
#[derive(Debug, Default, Clone)]
pub(crate) struct Known {
    pub(crate) at: Option<Instant>,
    pub(crate) paused: Option<QueuePause>,
    pub(crate) trouble: Option<String>,
    pub(crate) nodes: Option<Arc<[NodeRecord]>>,
    pub(crate) places: HashMap<ScanId, u64>,
}

impl Known {
    /// Returns true if the reason of any waiting scan may differ.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let workers = |known: &Self| known.nodes.as_ref().map(|nodes| nodes.iter().map(sketch).collect::<Vec<_>>());
        self.paused != other.paused || self.trouble != other.trouble || workers(self) != workers(other)
    }
}

/// Returns the data of a node that matters here; the rest of its row changes with every renewal.
fn sketch(node: &NodeRecord) -> (NodeId, bool, NodeActivity, Option<ScannerOffer>) {
    (node.registration.id.clone(), node.is_alive, node.activity(), node.registration.offer.clone())
}

impl QueueState {
    /// Records that this process runs no scans, so no node of its own can be about to start.
    pub fn expect_no_node(&self) {
        self.has_no_node.store(true, Ordering::Relaxed);
    }

    pub(crate) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn learn(&self, known: Known) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.known().at.is_some_and(|at| at.elapsed() < FRESH)
    }
}

/// Returns the positions of the due scans: by priority, then by due time, then by number.
pub(crate) fn places(mut due: Vec<DueScan>) -> HashMap<ScanId, u64> {
    // The priorities are declared highest first.
    let rank = |one: &DueScan| Priority::ALL.iter().position(|priority| *priority == one.priority);
    due.sort_by_key(|one| (rank(one), one.due, one.id));
    due.iter().zip(1..).map(|(one, place)| (one.id, place)).collect()
}
