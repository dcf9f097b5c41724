//! A node as stored: one lease for all its scans.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ActorView, NodeHold, NodeId, ScanId, ScannerOffer};

named_enum! {
    /// Whether a node takes new scans.
    pub enum NodeActivity {
        /// The node takes new scans.
        Active = "active",
        /// The node has an order to drain and still runs scans.
        Draining = "draining",
        /// The node has an order to drain and runs no scan.
        Drained = "drained",
        /// The node's process is stopping.
        Stopping = "stopping",
    }
}

/// The data that a node reports with every lease renewal.
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
    /// The maximum number of scans that it runs at once.
    pub capacity: u32,
    /// The number of scans that run now.
    pub running: u32,
    /// The time of its start.
    pub started_at: Timestamp,
    /// Whether it takes new scans.
    #[serde(default = "active")]
    pub activity: NodeActivity,
    /// The scanner and plugins that it can run; `None` until its scanner has reported them.
    #[serde(default)]
    pub offer: Option<ScannerOffer>,
    /// Its actors, without those of single scans.
    #[serde(default)]
    pub actors: Option<ActorView>,
    /// What it currently does not start.
    #[serde(default, skip_serializing_if = "NodeHold::is_empty")]
    pub hold: NodeHold,
}

const fn active() -> NodeActivity {
    NodeActivity::Active
}

/// The row of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The registration of its last renewal.
    pub registration: NodeRegistration,
    /// The end of its lease, by the database's clock.
    pub expires_at: Timestamp,
    /// True while the lease has not expired, by the same clock.
    pub is_alive: bool,
    /// The time until which it may finish its running scans, if it has an order to drain; by the
    /// database's clock.
    pub drain_by: Option<Timestamp>,
}

impl NodeRecord {
    /// Returns whether the node takes new scans. The order in `drain_by` takes precedence; the node
    /// reports the same from its next renewal on.
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

/// A pause of the queue: no node starts a scan until the pause is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePause {
    /// The start of the pause.
    pub since: Timestamp,
    /// The reason, in the words of the user who paused the queue.
    pub reason: Option<String>,
}

/// The result of a granted renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLease {
    /// The end of the lease, by the database's clock.
    pub expires_at: Timestamp,
    /// Running scans of this node for which a cancel was requested. This repairs the loss of a
    /// cancel message.
    pub cancels: Vec<ScanId>,
    /// The time that it has left to finish its running scans, if it has an order to drain.
    pub drain: Option<Duration>,
    /// Whether the queue is paused.
    pub paused: bool,
}

/// The node has no lease any more: the lease expired and a reconciler ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node's lease has ended")]
pub struct NodeLeaseRefused;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    #[test]
    fn drain_order_counts_before_the_node_reports_it() {
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
