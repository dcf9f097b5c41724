//! What the desk says about a scan that waits: why no node starts it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use crate::desk::{ScanDesk, View};
use crate::model::{HeldBack, NodeRecord, ScanRequest};
use crate::policy::hindrance::{Hindrance, hindrances};
use crate::ports::StoreError;

/// The longest that whoever submits a scan waits for this.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long nodes count as they were seen: their rows are large, and there may be thousands. Only good news are kept; a hindrance is always looked at again.
const FRESH: Duration = Duration::from_secs(5);

/// The nodes as they were last seen.
#[derive(Debug, Default)]
pub(crate) struct NodesSeen(Mutex<Option<(Instant, Arc<[NodeRecord]>)>>);

impl NodesSeen {
    fn fresh(&self) -> Option<Arc<[NodeRecord]>> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().filter(|(at, _)| at.elapsed() < FRESH).map(|(_, nodes)| Arc::clone(nodes))
    }

    fn see(&self, nodes: &Arc<[NodeRecord]>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(nodes)));
    }
}

impl ScanDesk {
    /// Why a scan of this request waits longer than it should. A store that does not answer in time tells no hindrance.
    pub async fn hindrances(&self, request: &ScanRequest) -> Vec<Hindrance> {
        let mut found = match tokio::time::timeout(PATIENCE, self.ask_for_hindrances(request)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                debug!(error = &error as &dyn std::error::Error, "could not ask what keeps scans waiting");
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        found.extend(self.held_back(request).map(Hindrance::HeldBack));
        found
    }

    /// Why no node starts a scan of this request, as far as is known here without asking.
    #[must_use]
    pub fn held_back(&self, request: &ScanRequest) -> Option<HeldBack> {
        self.board.holds.of(&request.target.to_string())
    }

    /// Reads what the nodes of other processes hold back.
    pub(crate) async fn see_holds(&self) {
        match self.store.nodes().await {
            Ok(nodes) => self.board.see_holds(&nodes),
            Err(error) => debug!(error = &error as &dyn std::error::Error, "could not ask what the nodes hold back"),
        }
    }

    async fn ask_for_hindrances(&self, request: &ScanRequest) -> Result<Vec<Hindrance>, StoreError> {
        let own_node = self.view == View::Sole || self.board.infrastructure(self.clock.now()).state == "running";
        let paused = self.store.paused().await?;
        if let Some(nodes) = self.board.nodes.fresh() {
            let found = hindrances(request, paused.as_ref(), &nodes, own_node);
            if found.iter().all(|one| matches!(one, Hindrance::QueuePaused { .. })) {
                return Ok(found);
            }
        }
        let nodes: Arc<[NodeRecord]> = self.store.nodes().await?.into();
        self.board.nodes.see(&nodes);
        self.board.see_holds(&nodes);
        Ok(hindrances(request, paused.as_ref(), &nodes, own_node))
    }
}
