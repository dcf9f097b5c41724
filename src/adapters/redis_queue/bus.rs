//! Control messages between nodes.

use std::sync::Arc;

use async_trait::async_trait;
use kastrel_actors::model::NodeId;
use kastrel_actors::ports::{Control, ControlBus};
use tokio::sync::broadcast;
use tracing::warn;

use super::background::BackgroundTasks;
use super::calls::CallObserver;
use super::envelope;
use super::link::Link;
use super::pubsub::Dispatcher;

/// The [`ControlBus`] of a node in a group of nodes. Subscribers on this node receive a message
/// directly, even without Redis. Subscribers on other nodes receive it through a Redis channel.
pub struct RedisBus {
    pub(super) link: Arc<Link>,
    pub(super) node: NodeId,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) calls: CallObserver,
    pub(super) _background: BackgroundTasks,
}

#[async_trait]
impl ControlBus for RedisBus {
    async fn publish(&self, control: Control) {
        let message = envelope::seal(&self.node, &control);
        // An error only means that there is no subscriber now. The row holds the same information.
        let _ = self.dispatcher.control.send(control);
        match message {
            Ok(message) => {
                let mut command = redis::cmd("PUBLISH");
                command.arg(&self.link.keys.control).arg(message);
                if let Err(error) = self.calls.timed("publish_control", self.link.query::<()>(&command)).await {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "could not tell other nodes; they will find it in the database"
                    );
                }
            }
            Err(error) => warn!(error = &error as &dyn std::error::Error, "could not write a control message"),
        }
    }

    fn subscribe(&self) -> broadcast::Receiver<Control> {
        self.dispatcher.control.subscribe()
    }
}
