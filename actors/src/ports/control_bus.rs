//! Messages to whichever node runs a scan. A lost one heals: cancels are also in the row and come
//! back with each lease renewal.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::model::{NodeId, ScanId};

/// What a node is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// End this scan, if you run it.
    Cancel(ScanId),
    /// The store holds a new order for this node, or for every node (`None`): renew the lease now,
    /// which brings it.
    RefreshDirectives(Option<NodeId>),
    /// Somebody watches this scan: if you run it, publish for the next [`FOLLOWED_FOR`] what its
    /// attempt tells, and not only its row.
    Follow(ScanId),
}

/// How long a scan counts as watched after [`Control::Follow`].
pub const FOLLOWED_FOR: Duration = Duration::from_secs(30);

/// Carries [`Control`] messages to every node, at most once and without order.
#[async_trait]
pub trait ControlBus: Send + Sync + 'static {
    /// Sends to every node, this one included. Best effort: a failure is logged by the
    /// implementation, never returned.
    async fn publish(&self, control: Control);

    /// Messages from now on. A slow reader loses the oldest.
    fn subscribe(&self) -> broadcast::Receiver<Control>;
}

/// The bus of a single process.
#[derive(Debug)]
pub struct LocalControlBus(broadcast::Sender<Control>);

impl Default for LocalControlBus {
    fn default() -> Self {
        Self(broadcast::Sender::new(1024))
    }
}

#[async_trait]
impl ControlBus for LocalControlBus {
    async fn publish(&self, control: Control) {
        // An error only says that nobody listens just now; the row holds the cancel.
        let _ = self.0.send(control);
    }

    fn subscribe(&self) -> broadcast::Receiver<Control> {
        self.0.subscribe()
    }
}
