//! The port for health checks: does the machine have what a scan needs?

use async_trait::async_trait;

use crate::model::NodeFault;

/// How thorough a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// Without access to a disk, for a scan that waits for the result.
    Quick,
    /// With access to the disk.
    Full,
}

/// Checks what every scan of a node needs: its program, its folders, and the system's resources.
///
/// - A check leaves no visible change behind.
/// - It returns within seconds, even if a disk does not respond; a disk that does not respond is a
///   fault.
/// - It may be called at any time and from several tasks.
#[async_trait]
pub trait NodeHealth: Send + Sync + 'static {
    /// Returns the current faults; empty if there is no fault.
    async fn check(&self, depth: CheckDepth) -> Vec<NodeFault>;
}

/// A check that never finds a fault, for nodes that do not wait for a repair.
#[derive(Debug, Default)]
pub struct AlwaysHealthy;

#[async_trait]
impl NodeHealth for AlwaysHealthy {
    async fn check(&self, _: CheckDepth) -> Vec<NodeFault> {
        Vec::new()
    }
}
