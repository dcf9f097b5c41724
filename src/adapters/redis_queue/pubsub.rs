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
use tracing::debug;

use super::envelope;
use super::error::describe;
use super::keeper::{CONNECT_TIMEOUT, pause};
use super::link::{CALL_TIMEOUT, Link};

/// How long the channels may be silent before the connection is asked whether it is alive.
const SILENCE: Duration = Duration::from_secs(5);
/// How many messages a slow subscriber of this process may be behind.
const KEPT: usize = 1024;

/// What other nodes say, for the subscribers of this process.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) control: broadcast::Sender<Control>,
    pub(super) live: broadcast::Sender<ScanSnapshot>,
    /// How often the channels have been subscribed to.
    pub(super) subscribed: watch::Sender<u64>,
}

impl Default for Heard {
    fn default() -> Self {
        Self { control: broadcast::Sender::new(KEPT), live: broadcast::Sender::new(KEPT), subscribed: watch::Sender::new(0) }
    }
}

/// Listens for ever, over one connection after the other.
pub(super) async fn listen(link: Arc<Link>, node: NodeId, heard: Arc<Heard>) {
    let mut failures = 0;
    loop {
        // The keeper finds out when Redis is back; until then there is nothing to connect to.
        if link.wait_up(Duration::MAX).await.is_err() {
            continue;
        }
        match tokio::time::timeout(CONNECT_TIMEOUT, subscribe(&link)).await {
            Ok(Ok((sink, stream))) => {
                failures = 0;
                heard.subscribed.send_modify(|times| *times += 1);
                forward(&link, &node, &heard, sink, stream).await;
                debug!(redis.address = link.address, "lost the connection that listens to other nodes");
            }
            Ok(Err(error)) => debug!(redis.address = link.address, error = describe(&error), "cannot listen to other nodes"),
            Err(_) => debug!(redis.address = link.address, error = "no answer in time", "cannot listen to other nodes"),
        }
        failures += 1;
        tokio::time::sleep(pause(failures)).await;
    }
}

async fn subscribe(link: &Link) -> redis::RedisResult<(PubSubSink, PubSubStream)> {
    let mut pubsub = link.client.get_async_pubsub().await?;
    pubsub.subscribe(&[&link.keys.control, &link.keys.live]).await?;
    Ok(pubsub.split())
}

/// Until the connection ends or does not answer.
async fn forward(link: &Link, node: &NodeId, heard: &Heard, mut sink: PubSubSink, mut stream: PubSubStream) {
    loop {
        match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(Some(message)) if message.get_channel_name() == link.keys.control => deliver(node, &message, &heard.control),
            Ok(Some(message)) => deliver(node, &message, &heard.live),
            Ok(None) => return,
            Err(_) => match tokio::time::timeout(CALL_TIMEOUT, sink.ping::<Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return,
            },
        }
    }
}

fn deliver<T: for<'a> Deserialize<'a>>(node: &NodeId, message: &Msg, to: &broadcast::Sender<T>) {
    match envelope::open(node, message.get_payload_bytes()) {
        // An error only says that nobody listens just now.
        Ok(Some(body)) => drop(to.send(body)),
        Ok(None) => {}
        // From a newer program, most likely; the rows hold what it says.
        Err(error) => debug!(redis.channel = message.get_channel_name(), error = &error as &dyn std::error::Error, "ignored a message that cannot be read"),
    }
}
