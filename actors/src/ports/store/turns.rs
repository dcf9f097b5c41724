//! Turns: work that at most one node of a cluster does at a time.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::NodeId;

/// Gives turns to nodes.
#[async_trait]
pub trait Coordination: Send + Sync + 'static {
    /// Returns true if `node` gets the turn to reconcile the cluster now. At most one node gets it
    /// every `every`. If that node dies, another node gets the turn after that time, or at once if
    /// the store has deleted the node that had it.
    async fn claim_turn(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError>;
}

#[async_trait]
impl<S: Coordination + ?Sized, H: CallHook> Coordination for Hooked<S, H> {
    async fn claim_turn(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError> {
        self.hook.around("claim_turn", self.inner.claim_turn(node, every)).await
    }
}
