//! Messages to whichever node runs a scan. A lost one heals: cancels are also in the row and come back with each lease renewal.

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::model::ScanId;

/// What a node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// End this scan, if you run it.
    Cancel(ScanId),
}

/// Carries [`Control`] messages to every node, at most once and without order.
#[async_trait]
pub trait ControlBus: Send + Sync + 'static {
    /// Sends to every node, this one included. Best effort: a failure is logged by the implementation, never returned.
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
