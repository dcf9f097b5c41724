//! The one connection that listens to the channels of the control bus and of the live feed.

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

/// How long the channels may be silent before the connection is asked whether it is alive.
const SILENCE: Duration = Duration::from_secs(5);
/// How many messages a slow subscriber of this process may be behind.
const KEPT: usize = 1024;

/// What other nodes say, for the subscribers of this process.
#[derive(Debug)]
pub(super) struct Dispatcher {
    pub(super) control: broadcast::Sender<Control>,
    live: broadcast::Sender<ScanSnapshot>,
    /// Whether somebody here reads snapshots. A worker never does, and Redis would send it those of
    /// all others all the same.
    live_wanted: watch::Sender<bool>,
    /// Whether the channel of snapshots is subscribed to just now.
    pub(super) live_heard: watch::Sender<bool>,
    /// How often the channels have been subscribed to.
    pub(super) subscribed: watch::Sender<u64>,
    /// Why Redis lets this node hear nothing, or not all, although the connection is good.
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
    /// The snapshots of other nodes; the first caller has the channel subscribed to.
    pub(super) fn live(&self) -> broadcast::Receiver<ScanSnapshot> {
        let snapshots = self.live.subscribe();
        self.live_wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
        snapshots
    }

    pub(super) fn subscription_denied(&self) -> watch::Receiver<Option<String>> {
        self.subscription_denied.subscribe()
    }

    /// Says once what Redis refuses, and once that it does so no longer. A connection that broke is
    /// its keeper's to tell.
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

/// Listens for ever, over one connection after the other.
pub(super) async fn listen(link: Arc<Link>, node: NodeId, dispatcher: Arc<Dispatcher>) {
    let mut failures = 0;
    loop {
        // The keeper finds out when Redis is back; until then there is nothing to connect to.
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

/// Until the connection ends or does not answer.
async fn forward(link: &Link, node: &NodeId, dispatcher: &Dispatcher, mut sink: PubSubSink, mut stream: PubSubStream) {
    let mut wanted = dispatcher.live_wanted.subscribe();
    // What was wanted before this connection was there is part of its beginning.
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
                    // It may have been refused, and be allowed by now.
                    hear_live_if_wanted(link, dispatcher, &mut wanted, &mut sink).await;
                }
            },
            // Its sender lives in `heard`.
            _ = wanted.changed() => hear_live_if_wanted(link, dispatcher, &mut wanted, &mut sink).await,
        }
    }
}

/// Subscribes to the channel of snapshots, unless nobody wants it or it is subscribed to. A refusal
/// leaves the control messages alone.
async fn hear_live_if_wanted(
    link: &Link,
    dispatcher: &Dispatcher,
    wanted: &mut watch::Receiver<bool>,
    sink: &mut PubSubSink,
) {
    if !*wanted.borrow_and_update() || *dispatcher.live_heard.borrow() {
        return;
    }
    // Without an answer the silence that follows tells that the connection is gone.
    if let Ok(answer) = tokio::time::timeout(CALL_TIMEOUT, sink.subscribe(&link.keys.live)).await {
        dispatcher.judge(link, &answer);
        dispatcher.live_heard.send_replace(answer.is_ok());
    }
}

fn deliver<T: for<'a> Deserialize<'a>>(node: &NodeId, message: &Msg, to: &broadcast::Sender<T>) {
    match envelope::open(node, message.get_payload_bytes()) {
        // An error only says that nobody listens just now.
        Ok(Some(body)) => drop(to.send(body)),
        Ok(None) => {}
        // From a newer program, most likely; the rows hold what it says.
        Err(error) => debug!(
            redis.channel = message.get_channel_name(),
            error = &error as &dyn std::error::Error,
            "ignored a message that cannot be read"
        ),
    }
}
