//! The port for a guard outside this process. It ends the node's scans when the process itself
//! cannot, because it was killed or is frozen.

use std::time::Duration;

/// Receives, at each change, the time until which the node may run scans.
///
/// The node itself kills its scans in time; a guard is for a node that can no longer do anything.
/// Calls never block.
///
/// All times are readings of the guard's own clock, which keeps running while the machine sleeps.
/// The caller reads the start of a lease before it sends the renewal, and not when it calls the
/// guard: if the node freezes between the two, the time that it has read stays correct.
pub trait LeaseGuard: Send + Sync + 'static {
    /// Returns the current time of the guard's clock.
    fn now(&self) -> Duration;

    /// Lets the node's scans live until this time of the guard's clock, unless a later call changes
    /// it.
    fn trust_until(&self, when: Duration);

    /// Ends the guarding: the node holds no lease and runs nothing.
    fn disarm(&self);
}

/// A guard that does nothing, for nodes whose scans cannot outlive them.
#[derive(Debug, Default)]
pub struct NoLeaseGuard;

impl LeaseGuard for NoLeaseGuard {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn trust_until(&self, _: Duration) {}

    fn disarm(&self) {}
}
