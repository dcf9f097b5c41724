//! Whether the machine has what a scan needs.

use async_trait::async_trait;

use crate::model::NodeFault;

/// How far a check goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// Nothing that has to wait for a disk: for a scan that waits for the answer.
    Quick,
    /// All the way to the disk.
    Full,
}

/// Looks at what every scan of a node needs: its program, its folders, and the system's resources.
///
/// - A check changes nothing that anybody could see afterwards.
/// - It answers within seconds, also where a disk does not: a disk that does not answer is a fault.
/// - It may be called at any time and from several tasks.
#[async_trait]
pub trait NodeHealth: Send + Sync + 'static {
    /// What is missing now; empty: nothing.
    async fn check(&self, depth: CheckDepth) -> Vec<NodeFault>;
}

/// Never finds anything missing: for nodes that do not wait for a repair.
#[derive(Debug, Default)]
pub struct AlwaysHealthy;

#[async_trait]
impl NodeHealth for AlwaysHealthy {
    async fn check(&self, _: CheckDepth) -> Vec<NodeFault> {
        Vec::new()
    }
}
