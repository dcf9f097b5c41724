//! A node as the store knows it: one lease for all its scans.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ActorView, NodeHold, NodeId, ScanId, ScannerOffer};

named_enum! {
    /// Whether a node takes new scans.
    pub enum NodeActivity {
        /// It does.
        Active = "active",
        /// It was told not to, and still runs some.
        Draining = "draining",
        /// It was told not to, and runs none.
        Drained = "drained",
        /// Its process is being stopped.
        Stopping = "stopping",
    }
}

/// What a node says of itself with every renewal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRegistration {
    /// Its identity.
    pub id: NodeId,
    /// The machine's name.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// Kastrel's version.
    pub version: String,
    /// How many scans it runs at once.
    pub capacity: u32,
    /// How many run now.
    pub running: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// Whether it takes new scans.
    #[serde(default = "active")]
    pub activity: NodeActivity,
    /// What it can run, once its scanner has told.
    #[serde(default)]
    pub offer: Option<ScannerOffer>,
    /// Its actors, without those of single scans.
    #[serde(default)]
    pub actors: Option<ActorView>,
    /// What it does not start for now.
    #[serde(default, skip_serializing_if = "NodeHold::is_empty")]
    pub hold: NodeHold,
}

const fn active() -> NodeActivity {
    NodeActivity::Active
}

/// The row of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// What it last said of itself.
    pub registration: NodeRegistration,
    /// The end of its lease, by the database's clock.
    pub expires_at: Timestamp,
    /// Whether that is still to come, by the same clock.
    pub is_alive: bool,
    /// Until when it may finish what it runs, if it was told to drain; by the database's clock.
    pub drain_by: Option<Timestamp>,
}

impl NodeRecord {
    /// Whether it takes new scans. The order is the truth, and the node says the same from its next
    /// renewal on.
    #[must_use]
    pub const fn activity(&self) -> NodeActivity {
        match (self.drain_by, self.registration.activity) {
            (_, NodeActivity::Stopping) => NodeActivity::Stopping,
            (None, _) => NodeActivity::Active,
            (Some(_), NodeActivity::Active) => NodeActivity::Draining,
            (Some(_), said) => said,
        }
    }
}

/// That no node starts a scan, until it is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePause {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the words of whoever paused it.
    pub reason: Option<String>,
}

/// The answer to a renewal that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLease {
    /// The end of the lease, by the database's clock.
    pub expires_at: Timestamp,
    /// Running scans of this node for which a cancel was asked: the way a lost signal heals.
    pub cancels: Vec<ScanId>,
    /// How long it may still finish what it runs, if it was told to drain.
    pub drain: Option<Duration>,
    /// Whether the whole queue is paused.
    pub paused: bool,
}

/// The node has no lease any more: it expired and a reconciler ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node's lease has ended")]
pub struct NodeLeaseRefused;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    #[test]
    fn an_order_counts_before_the_node_has_heard_of_it() {
        use NodeActivity::{Active, Drained, Draining, Stopping};
        for (ordered, said, shown) in [
            (false, Active, Active),
            (false, Draining, Active),
            (false, Drained, Active),
            (true, Active, Draining),
            (true, Draining, Draining),
            (true, Drained, Drained),
            (false, Stopping, Stopping),
            (true, Stopping, Stopping),
        ] {
            let registration = NodeRegistration { activity: said, ..fixtures::registration("a") };
            let node = NodeRecord {
                registration,
                expires_at: Timestamp::UNIX_EPOCH,
                is_alive: true,
                drain_by: ordered.then_some(Timestamp::UNIX_EPOCH),
            };
            assert_eq!(node.activity(), shown, "{ordered} {said}");
        }
    }
}
