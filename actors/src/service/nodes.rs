//! The node service: lists and drains nodes, and describes the node of this process.

use std::sync::Arc;
use std::time::Duration;

use super::ServicePorts;
use super::error::CommandError;
use super::known_queue::KnownQueue;
use crate::live::HeldNode;
use crate::model::{ActorView, HeldBack, NodeId, NodeRecord, Operation, RequestContext};
use crate::policy::access::decide;
use crate::policy::operator;
use crate::ports::{Control, StoreError};

/// The node service.
#[derive(Debug, Clone)]
pub struct NodeService {
    pub(super) ports: Arc<ServicePorts>,
}

impl NodeService {
    pub(super) const fn new(ports: Arc<ServicePorts>) -> Self {
        Self { ports }
    }

    /// Returns all nodes with their leases, valid or not, ordered by id.
    ///
    /// # Errors
    /// The principal may not read the state of the server, or the store fails.
    pub async fn list(&self, context: &RequestContext) -> Result<Vec<NodeRecord>, CommandError> {
        decide(&context.grants, Operation::ReadServer, None)?;
        Ok(self.sorted().await?)
    }

    pub(super) async fn sorted(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let mut nodes = self.ports.store.nodes.all().await?;
        nodes.sort_by(|one, other| one.registration.id.cmp(&other.registration.id));
        Ok(nodes)
    }

    /// Orders a node to drain: it takes no new scan, and it has none left `within` this time, or
    /// within the configured limit. Returns the node, or `None` if there is no such node.
    ///
    /// # Errors
    /// The principal may not change the server, the time limit is too long, or the store fails.
    pub async fn drain(
        &self,
        context: &RequestContext,
        node: &NodeId,
        within: Option<Duration>,
    ) -> Result<Option<NodeRecord>, CommandError> {
        decide(&context.grants, Operation::ChangeServer, None)?;
        let within = within.map_or(Ok(self.ports.drain_limit), operator::drain_limit)?;
        Ok(self.order(context, node, Some(within)).await?)
    }

    /// Ends the drain of a node. Returns the node, or `None` if there is no such node.
    ///
    /// # Errors
    /// The principal may not change the server, or the store fails.
    pub async fn undo_drain(
        &self,
        context: &RequestContext,
        node: &NodeId,
    ) -> Result<Option<NodeRecord>, CommandError> {
        decide(&context.grants, Operation::ChangeServer, None)?;
        Ok(self.order(context, node, None).await?)
    }

    async fn order(
        &self,
        context: &RequestContext,
        node: &NodeId,
        within: Option<Duration>,
    ) -> Result<Option<NodeRecord>, StoreError> {
        let is_known = self.ports.store.nodes.order_drain(node, within, &context.principal).await?;
        self.ports.bus.publish(Control::RefreshDirectives(Some(node.clone()))).await;
        KnownQueue(&self.ports).look_now().await;
        if !is_known {
            return Ok(None);
        }
        Ok(self.sorted().await?.into_iter().find(|known| known.registration.id == *node))
    }

    /// Returns why the node of this process starts no scan, if it starts none.
    #[must_use]
    pub fn own_hold(&self) -> Option<HeldBack> {
        self.ports.snapshots.holds.of_own_node()
    }

    /// Returns the nodes that start no scan, and whether other nodes do.
    #[must_use]
    pub fn held(&self) -> (Vec<HeldNode>, bool) {
        self.ports.snapshots.holds.nodes()
    }

    /// Returns the actor tree of this process, with an actor per running scan of any project.
    ///
    /// # Errors
    /// The principal may not read the state of the server.
    pub fn supervision(&self, context: &RequestContext) -> Result<ActorView, CommandError> {
        decide(&context.grants, Operation::ReadServer, None)?;
        Ok(self.ports.snapshots.supervision(self.ports.clock.now()))
    }

    /// Returns the state of the node of this process in one word, such as `running`.
    #[must_use]
    pub fn state(&self) -> String {
        self.ports.snapshots.status.infrastructure(self.ports.clock.now()).state
    }

    /// Returns how many scans run in this process.
    #[must_use]
    pub fn running_here(&self) -> usize {
        self.ports.snapshots.running().len()
    }
}
