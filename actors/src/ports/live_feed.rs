//! News of scans for the other processes: what makes every web node show a scan that runs elsewhere
//! as it is now. A lost message heals: the rows are the truth, and the replica sync reads them.

use tokio::sync::broadcast;

use crate::model::ScanSnapshot;

/// Carries snapshots from the process that made them to all others, at most once, in order for one
/// sender.
pub trait LiveFeed: Send + Sync + 'static {
    /// Sends to the other processes. Never waits and never fails; what cannot be sent is dropped.
    fn publish(&self, snapshot: ScanSnapshot);

    /// What other processes publish from now on, without this one's own. A slow reader loses the
    /// oldest.
    fn subscribe(&self) -> broadcast::Receiver<ScanSnapshot>;
}

/// The feed of a process that has nobody to talk to.
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
