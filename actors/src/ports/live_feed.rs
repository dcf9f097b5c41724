//! The port for scan changes that processes send to each other, so that every web node shows the
//! current state of a scan that runs elsewhere. Losing a message does no harm: the rows are
//! authoritative, and the replica sync reads them.

use tokio::sync::broadcast;

use crate::model::ScanSnapshot;

/// Carries snapshots from the process that made them to all others. Delivery is at most once, and
/// ordered for each sender.
pub trait LiveFeed: Send + Sync + 'static {
    /// Sends to the other processes. Never blocks and never fails; a snapshot that cannot be sent
    /// is dropped.
    fn publish(&self, snapshot: ScanSnapshot);

    /// Subscribes to what other processes publish from now on, without the snapshots of this
    /// process. A slow subscriber loses the oldest ones.
    fn subscribe(&self) -> broadcast::Receiver<ScanSnapshot>;
}

/// The feed of a process that has no peers.
#[derive(Debug)]
pub struct NoLiveFeed(broadcast::Sender<ScanSnapshot>);

impl Default for NoLiveFeed {
    fn default() -> Self {
        Self(broadcast::Sender::new(1))
    }
}

impl LiveFeed for NoLiveFeed {
    fn publish(&self, _: ScanSnapshot) {}

    fn subscribe(&self) -> broadcast::Receiver<ScanSnapshot> {
        self.0.subscribe()
    }
}
