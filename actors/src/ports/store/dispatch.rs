//! The rows that the dispatcher and the reconciler work on.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{DueScan, NodeId, RunningScan};

/// Finds the rows that wait, run, or run on a node without a lease.
#[async_trait]
pub trait DispatchStore: Send + Sync + 'static {
    /// Returns pending rows that are due before now + `within`: highest priority first, then
    /// longest due, at most `limit` of each priority. After them come up to the same number of rows
    /// that are due because the clock was set back ([`ScanRecord::left_to_wait`](crate::model::ScanRecord::left_to_wait)).
    async fn due(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError>;

    /// Returns the running rows of one node.
    async fn running_on(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError>;

    /// Returns the running rows whose node has no valid lease (expired, or no row at all).
    ///
    /// The same step ends the leases of the expired nodes: a node that comes back then gets
    /// [`NodeLeaseRefused`](crate::model::NodeLeaseRefused). [`fate`](crate::policy::lease::fate) decides for each lease; it
    /// tolerates a clock that was set back or forward.
    async fn orphans(&self) -> Result<Vec<RunningScan>, StoreError>;
}

#[async_trait]
impl<S: DispatchStore + ?Sized, H: CallHook> DispatchStore for Hooked<S, H> {
    async fn due(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError> {
        self.hook.around("due", self.inner.due(within, limit)).await
    }

    async fn running_on(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError> {
        self.hook.around("running_on", self.inner.running_on(node)).await
    }

    async fn orphans(&self) -> Result<Vec<RunningScan>, StoreError> {
        self.hook.around("orphans", self.inner.orphans()).await
    }
}
