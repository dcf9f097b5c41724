//! Somebody outside this process who ends its scans when it cannot: because it was killed, or is frozen.

use std::time::Duration;

/// Is told, at each change, for how long the node may still run scans.
///
/// The node itself kills its scans in time; a guard is for a node that can no longer do anything. Calls never wait.
pub trait LeaseGuard: Send + Sync + 'static {
    /// From now on the node's scans may live so much longer, unless it tells otherwise before that.
    fn trusted_for(&self, time: Duration);

    /// The node holds no lease and runs nothing.
    fn disarm(&self);
}

/// Nobody: for nodes whose scans cannot outlive them.
#[derive(Debug, Default)]
pub struct NoLeaseGuard;

impl LeaseGuard for NoLeaseGuard {
    fn trusted_for(&self, _: Duration) {}

    fn disarm(&self) {}
}
