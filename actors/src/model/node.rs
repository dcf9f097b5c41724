//! A node as the store knows it: one lease for all its scans.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NodeId, ScanId};

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
}

/// The row of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// What it last said of itself.
    pub registration: NodeRegistration,
    /// The end of its lease, by the database's clock.
    pub expires_at: Timestamp,
}

/// The answer to a renewal that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLease {
    /// The end of the lease, by the database's clock.
    pub expires_at: Timestamp,
    /// Running scans of this node for which a cancel was asked: the way a lost signal heals.
    pub cancels: Vec<ScanId>,
}
