//! The nodes and their leases.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{LeaseResult, NodeId, NodeLease, NodeLeaseRefused, NodeRecord, NodeRegistration, Principal};

/// Keeps the nodes and their leases. An `Ok` means committed.
#[async_trait]
pub trait NodeRegistry: Send + Sync + 'static {
    /// Grants a lease to a node that has none.
    async fn register(&self, node: NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError>;

    /// Renews a node's lease, unless the lease has ended. An expired lease that no reconciler has
    /// ended yet is renewed.
    async fn renew(
        &self,
        node: NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError>;

    /// Releases a node's lease and deletes the node, including its turn to reconcile the cluster.
    async fn remove(&self, node: &NodeId) -> Result<(), StoreError>;

    /// Ends the leases of all nodes but `keep`, and their turns to reconcile the cluster. For a
    /// store that only one process can hold, where all other nodes must be dead.
    async fn end_others(&self, keep: &NodeId) -> Result<(), StoreError>;

    /// Returns all nodes with their leases, valid or not.
    async fn all(&self) -> Result<Vec<NodeRecord>, StoreError>;

    /// Orders a node to drain: it takes no new scan, and it has none left `within` this time.
    /// `None` revokes the order. Returns `false` if there is no such node.
    ///
    /// A node that registers again under the same id keeps its order.
    async fn order_drain(&self, node: &NodeId, within: Option<Duration>, by: &Principal) -> Result<bool, StoreError>;

    /// Writes the order of a node that drains and whose row was lost: none of its scans is left
    /// within `left`. An order that the row has stays. This is no new order, so it has no entry in
    /// the audit log.
    async fn keep_drain(&self, node: &NodeId, left: Duration) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: NodeRegistry + ?Sized, H: CallHook> NodeRegistry for Hooked<S, H> {
    async fn register(&self, node: NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError> {
        self.hook.before_register();
        let answer = self.hook.around("register_node", self.inner.register(node, ttl)).await;
        self.hook.after_renewal(if answer.is_ok() { LeaseResult::Granted } else { LeaseResult::Error });
        answer
    }

    async fn renew(
        &self,
        node: NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError> {
        let answer = self.hook.around("renew_node", self.inner.renew(node, ttl)).await;
        self.hook.after_renewal(match &answer {
            Ok(Ok(_)) => LeaseResult::Granted,
            Ok(Err(NodeLeaseRefused)) => LeaseResult::Refused,
            Err(_) => LeaseResult::Error,
        });
        answer
    }

    async fn remove(&self, node: &NodeId) -> Result<(), StoreError> {
        let answer = self.hook.around("remove_node", self.inner.remove(node)).await;
        self.hook.after_remove();
        answer
    }

    async fn end_others(&self, keep: &NodeId) -> Result<(), StoreError> {
        self.hook.around("end_other_nodes", self.inner.end_others(keep)).await
    }

    async fn all(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.hook.around("nodes", self.inner.all()).await
    }

    async fn order_drain(&self, node: &NodeId, within: Option<Duration>, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("order_drain", self.inner.order_drain(node, within, by)).await
    }

    async fn keep_drain(&self, node: &NodeId, left: Duration) -> Result<(), StoreError> {
        self.hook.around("keep_drain", self.inner.keep_drain(node, left)).await
    }
}
