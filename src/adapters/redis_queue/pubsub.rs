//! The connection that subscribes to the channels of the control bus and the live feed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use kastrel_actors::model::{NodeId, ScanSnapshot};
use kastrel_actors::ports::Control;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Msg, Value};
use serde::Deserialize;
use tokio::sync::{broadcast, watch};
use tracing::{debug, info, warn};

use super::connection_manager::{CONNECT_TIMEOUT, pause};
use super::envelope;
use super::error::describe;
use super::link::{CALL_TIMEOUT, Link};

/// How long the channels may be silent before a `PING` checks the connection.
const SILENCE: Duration = Duration::from_secs(5);
/// How many messages a slow subscriber in this process may lag behind.
const KEPT: usize = 1024;

/// Forwards messages of other nodes to the subscribers in this process.
#[derive(Debug)]
pub(super) struct Dispatcher {
    pub(super) control: broadcast::Sender<Control>,
    live: broadcast::Sender<ScanSnapshot>,
    /// True if a part of this process reads snapshots. A worker never does; without this flag Redis
    /// would send it the snapshots of all other nodes.
    live_wanted: watch::Sender<bool>,
    /// True while the snapshot channel is subscribed to.
    pub(super) live_heard: watch::Sender<bool>,
    /// The number of times the channels were subscribed to.
    pub(super) subscribed: watch::Sender<u64>,
    /// The reason why Redis denies some or all channels although the connection works.
    subscription_denied: watch::Sender<Option<String>>,
}

impl Default for Dispatcher {
    fn default() -> Self {
        Self {
            control: broadcast::Sender::new(KEPT),
            live: broadcast::Sender::new(KEPT),
            live_wanted: watch::Sender::new(false),
            live_heard: watch::Sender::new(false),
            subscribed: watch::Sender::new(0),
            subscription_denied: watch::Sender::new(None),
        }
    }
}

impl Dispatcher {
    /// Returns the snapshots of other nodes. The first call subscribes to the channel.
    pub(super) fn live(&self) -> broadcast::Receiver<ScanSnapshot> {
        let snapshots = self.live.subscribe();
        self.live_wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
        snapshots
    }

    pub(super) fn subscription_denied(&self) -> watch::Receiver<Option<String>> {
        self.subscription_denied.subscribe()
    }

    /// Logs a change: once when Redis denies a channel, and once when it permits it again. The
    /// connection manager reports broken connections.
    fn judge(&self, link: &Link, answer: &redis::RedisResult<()>) {
        let why = match answer {
            Ok(()) => None,
            Err(error) if error.code().is_some() => Some(describe(error)),
            Err(error) => {
                debug!(redis.address = link.address, error = describe(error), "cannot listen to other nodes");
                return;
            }
        };
        let changed = self
            .subscription_denied
            .send_if_modified(|subscription_denied| std::mem::replace(subscription_denied, why.clone()) != why);
        match why {
            Some(why) if changed => {
                warn!(
                    redis.address = link.address,
                    error = why,
                    "Redis does not let this node hear the others; cancels and live views wait for the database"
                );
            }
            None if changed => info!(redis.address = link.address, "this node hears the others again"),
            Some(_) | None => {}
        }
    }
}

/// Listens forever, and reconnects when a connection ends.
pub(super) async fn listen(link: Arc<Link>, node: NodeId, dispatcher: Arc<Dispatcher>) {
    let mut failures = 0;
    loop {
        // The connection manager detects when Redis is back. Until then a connection attempt is
        // pointless.
        if link.wait_up(Duration::MAX).await.is_err() {
            continue;
        }
        match tokio::time::timeout(CONNECT_TIMEOUT, subscribe(&link)).await {
            Ok(Ok((sink, stream))) => {
                failures = 0;
                dispatcher.judge(&link, &Ok(()));
                forward(&link, &node, &dispatcher, sink, stream).await;
                dispatcher.live_heard.send_replace(false);
                debug!(redis.address = link.address, "lost the connection that listens to other nodes");
            }
            Ok(Err(error)) => dispatcher.judge(&link, &Err(error)),
            Err(_) => debug!(redis.address = link.address, error = "no answer in time", "cannot listen to other nodes"),
        }
        failures += 1;
        tokio::time::sleep(pause(failures)).await;
    }
}

async fn subscribe(link: &Link) -> redis::RedisResult<(PubSubSink, PubSubStream)> {
    let mut pubsub = link.client.get_async_pubsub().await?;
    pubsub.subscribe(&link.keys.control).await?;
    Ok(pubsub.split())
}

/// Forwards messages until the connection ends or does not respond.
async fn forward(link: &Link, node: &NodeId, dispatcher: &Dispatcher, mut sink: PubSubSink, mut stream: PubSubStream) {
    let mut wanted = dispatcher.live_wanted.subscribe();
    // Subscribes first if snapshots were requested before this connection was made.
    hear_live_if_wanted(link, dispatcher, &mut wanted, &mut sink).await;
    dispatcher.subscribed.send_modify(|times| *times += 1);
    loop {
        tokio::select! {
            message = tokio::time::timeout(SILENCE, stream.next()) => match message {
                Ok(Some(message)) if message.get_channel_name() == link.keys.control => deliver(node, &message, &dispatcher.control),
                Ok(Some(message)) => deliver(node, &message, &dispatcher.live),
                Ok(None) => return,
                Err(_) => {
                    if !matches!(tokio::time::timeout(CALL_TIMEOUT, sink.ping::<Value>()).await, Ok(Ok(_))) {
                        return;
                    }
                    // Redis may have denied the channel before, and may permit it now.
                    hear_live_if_wanted(link, dispatcher, &mut wanted, &mut sink).await;
                }
            },
            // The sender is a field of `dispatcher`, so the channel cannot close.
            _ = wanted.changed() => hear_live_if_wanted(link, dispatcher, &mut wanted, &mut sink).await,
        }
    }
}

/// Subscribes to the snapshot channel if it is wanted and not yet subscribed to. A denial does not
/// affect control messages.
async fn hear_live_if_wanted(
    link: &Link,
    dispatcher: &Dispatcher,
    wanted: &mut watch::Receiver<bool>,
    sink: &mut PubSubSink,
) {
    if !*wanted.borrow_and_update() || *dispatcher.live_heard.borrow() {
        return;
    }
    // If there is no response, the `PING` after the next silence detects the broken connection.
    if let Ok(answer) = tokio::time::timeout(CALL_TIMEOUT, sink.subscribe(&link.keys.live)).await {
        dispatcher.judge(link, &answer);
        dispatcher.live_heard.send_replace(answer.is_ok());
    }
}

fn deliver<T: for<'a> Deserialize<'a>>(node: &NodeId, message: &Msg, to: &broadcast::Sender<T>) {
    match envelope::open(node, message.get_payload_bytes()) {
        // An error only means that there is no subscriber now.
        Ok(Some(body)) => drop(to.send(body)),
        Ok(None) => {}
        // The message most likely comes from a newer version. The rows hold the same information.
        Err(error) => debug!(
            redis.channel = message.get_channel_name(),
            error = &error as &dyn std::error::Error,
            "ignored a message that cannot be read"
        ),
    }
}
