//! The handle of a node for the application.

use std::time::Duration;

use ractor::{Actor, ActorRef, SpawnErr};
use tokio::sync::watch;

use super::actor::{Arguments, Node};
use super::exit::NodeExit;
use super::message::Message;
use crate::context::Shared;
use crate::node_config::{NodeConfig, NodePorts};
use crate::ports::StoreError;

/// A node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NodeStartError {
    /// The store does not respond.
    #[error("failed to prepare the store for this node")]
    Store(#[from] StoreError),
    /// An actor could not be started.
    #[error("failed to start the node's actors")]
    Actors(#[from] SpawnErr),
}

/// A running node. Dropping the handle does not stop it.
#[derive(Debug)]
pub struct NodeHandle {
    actor: ActorRef<Message>,
    exit: watch::Receiver<Option<NodeExit>>,
}

/// Starts a node's actor tree.
///
/// # Errors
/// The store does not respond, or an actor cannot be started.
pub async fn start(config: NodeConfig, ports: NodePorts) -> Result<NodeHandle, NodeStartError> {
    if config.sole_node {
        ports.store.nodes.end_others(&config.id).await?;
    }
    let (sender, exit) = watch::channel(None);
    let (actor, _) = Actor::spawn(None, Node, Arguments { shared: Shared::new(config, ports), exit: sender }).await?;
    Ok(NodeHandle { actor, exit })
}

impl NodeHandle {
    /// Stops the node in order: it takes no new scan; running scans have `finish` to end by
    /// themselves; then every attempt is interrupted (at no cost) and recorded; then the lease is
    /// released. Scans that are left after `grace` are killed at once.
    pub async fn shutdown(&self, finish: Duration, grace: Duration) {
        // A node that has failed in the meantime is down as well.
        let _ = self.actor.call(|done| Message::Shutdown { finish, grace, done }, None).await;
        let _ = self.actor.wait(None).await;
    }

    /// Waits for the node's end and returns how it ended.
    pub async fn exited(&self) -> NodeExit {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or(NodeExit::Stopped),
            Err(_) => NodeExit::Failed("the node's root actor is gone".into()),
        }
    }

    /// Ends every actor at once, like a crash of the process. For tests of the recovery.
    #[cfg(any(test, feature = "testing"))]
    pub async fn crash(self) {
        for child in self.actor.get_children() {
            for grandchild in child.get_children() {
                grandchild.kill();
            }
            child.kill();
        }
        self.actor.kill();
        let _ = self.actor.wait(None).await;
    }

    /// Returns the actors directly below the root, for tests that crash one.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn children(&self) -> Vec<ractor::ActorCell> {
        self.actor.get_children()
    }
}
