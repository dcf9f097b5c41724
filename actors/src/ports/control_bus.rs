//! The port for control messages to the node that runs a scan. Losing a message does no harm: a
//! cancel is also in the scan's row, and each lease renewal returns it.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::model::{NodeId, ScanId};

/// A message to the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// If this node runs the scan, it ends it.
    Cancel(ScanId),
    /// The directives for this node, or for every node (`None`), have changed in the store. The
    /// node renews its lease now; the renewal returns them.
    RefreshDirectives(Option<NodeId>),
    /// A client watches this scan. If this node runs it, the node publishes the events of the
    /// attempt for the next [`FOLLOWED_FOR`], not only changes of the row.
    Follow(ScanId),
}

/// How long a scan counts as watched after [`Control::Follow`].
pub const FOLLOWED_FOR: Duration = Duration::from_secs(30);

/// Carries [`Control`] messages to every node. Delivery is at most once and unordered.
#[async_trait]
pub trait ControlBus: Send + Sync + 'static {
    /// Sends to every node, including this one. Best effort: the implementation logs a failure and
    /// does not return it.
    async fn publish(&self, control: Control);

    /// Subscribes to the messages sent from now on. A slow subscriber loses the oldest ones.
    fn subscribe(&self) -> broadcast::Receiver<Control>;
}

/// The control bus of a single process.
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
        // `send` fails only if there is no subscriber; the row holds the cancel.
        let _ = self.0.send(control);
    }

    fn subscribe(&self) -> broadcast::Receiver<Control> {
        self.0.subscribe()
    }
}
