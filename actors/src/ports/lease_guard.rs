//! Somebody outside this process who ends its scans when it cannot: because it was killed, or is
//! frozen.

use std::time::Duration;

/// Is told, at each change, until when the node may run scans.
///
/// The node itself kills its scans in time; a guard is for a node that can no longer do anything.
/// Calls never wait.
///
/// Moments are told by the guard's own clock. It goes on while the machine sleeps, and a node that
/// is frozen between two of its steps changes nothing about a moment that it has read before: so
/// the moment from which a lease counts is read before the renewal is sent, and not when it is
/// told.
pub trait LeaseGuard: Send + Sync + 'static {
    /// This moment, by the guard's clock.
    fn now(&self) -> Duration;

    /// From now on the node's scans may live until this moment of the guard's clock, unless it
    /// tells otherwise before that.
    fn trust_until(&self, when: Duration);

    /// The node holds no lease and runs nothing.
    fn disarm(&self);
}

/// Nobody: for nodes whose scans cannot outlive them.
#[derive(Debug, Default)]
pub struct NoLeaseGuard;

impl LeaseGuard for NoLeaseGuard {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn trust_until(&self, _: Duration) {}

    fn disarm(&self) {}
}
