//! Runs the ports' conformance suites and the tests of this adapter against a real Redis.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::{NodeId, Priority, ScanId, ScanSnapshot};
use kastrel_actors::ports::{Clock, ControlBus, Delivery, JobQueue, JobSignal, LiveFeed, QueueError, SystemClock};
use kastrel_actors::testing::bus_conformance::BusHarness;
use kastrel_actors::testing::feed_conformance::FeedHarness;
use kastrel_actors::testing::fixtures;
use kastrel_actors::testing::queue_conformance::QueueHarness;
use redis::aio::MultiplexedConnection;
use tokio::sync::{Mutex, broadcast};

use super::{RedisConnections, RedisOptions};
use crate::ports::RedisState;

mod access;
mod channels;
mod delay_queue;
mod faults;
mod measure;
#[path = "../../../tests/helpers/redis_server.rs"]
mod redis_server;

use redis_server::RedisServer;

/// The timeout of every wait. No wait takes this long, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the tests wait before they conclude that no delivery comes.
const SILENCE: Duration = Duration::from_millis(300);

const STREAMS: [&str; 3] = ["{kastrel}:stream:high", "{kastrel}:stream:normal", "{kastrel}:stream:low"];
const LINES: [&str; 3] = ["{kastrel}:line:high", "{kastrel}:line:normal", "{kastrel}:line:low"];

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// A signal that is due in `after` milliseconds.
fn signal(id: u64, priority: Priority, after: i64) -> JobSignal {
    JobSignal { id: ScanId(id), priority, due: now() + SignedDuration::from_millis(after), trace: fixtures::trace() }
}

/// Sends a signal from a node whose clock equals the queue's.
async fn send(queue: &impl JobQueue, signal: JobSignal) -> Result<(), QueueError> {
    let wait = Duration::try_from(signal.due.duration_since(now())).unwrap_or_default();
    queue.signal(signal, wait).await
}

fn open(url: &str, name: &str, options: &RedisOptions) -> RedisConnections {
    RedisConnections::open_with(url, node(name), Arc::new(SystemClock), options).unwrap()
}

/// A node that is connected and subscribed.
async fn connect(server: &RedisServer, name: &str) -> RedisConnections {
    let connections = open(&server.url(), name, &RedisOptions::default());
    connected(&connections).await;
    listening(&connections, 1).await;
    connections
}

async fn state(connections: &RedisConnections, wanted: impl FnMut(&RedisState) -> bool) -> RedisState {
    tokio::time::timeout(PATIENCE, connections.health().wait_for(wanted))
        .await
        .unwrap_or_else(|_| panic!("{:?}", connections.health()))
}

async fn connected(connections: &RedisConnections) -> RedisState {
    state(connections, |state| matches!(state, RedisState::Connected { .. })).await
}

async fn down(connections: &RedisConnections) -> RedisState {
    state(connections, |state| matches!(state, RedisState::Down { .. })).await
}

/// Waits until Redis refuses signals on a working connection; returns its error text.
async fn refusing(connections: &RedisConnections) -> String {
    match state(connections, |state| matches!(state, RedisState::Refusing { .. })).await {
        RedisState::Refusing { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

/// Waits until signals are refused, with or without a connection; returns the error text of Redis.
async fn failing(connections: &RedisConnections) -> String {
    match state(connections, |state| matches!(state, RedisState::Refusing { .. } | RedisState::Down { .. })).await {
        RedisState::Refusing { error, .. } | RedisState::Down { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

/// Waits until the channels were subscribed to `times` times.
async fn listening(connections: &RedisConnections, times: u64) {
    let mut subscribed = connections.dispatcher.subscribed.subscribe();
    tokio::time::timeout(PATIENCE, subscribed.wait_for(|seen| *seen >= times)).await.unwrap().unwrap();
}

/// Subscribes to the snapshots of other nodes, and waits until Redis sends them.
async fn snapshots(connections: &RedisConnections) -> broadcast::Receiver<ScanSnapshot> {
    let live = connections.feed.subscribe();
    let mut heard = connections.dispatcher.live_heard.subscribe();
    tokio::time::timeout(PATIENCE, heard.wait_for(|heard| *heard)).await.unwrap().unwrap();
    live
}

async fn next(connections: &RedisConnections) -> Delivery {
    tokio::time::timeout(PATIENCE, connections.queue.next()).await.expect("a delivery in time").unwrap()
}

async fn take(connections: &RedisConnections) -> u64 {
    let delivery = next(connections).await;
    connections.queue.acknowledge(&delivery.receipt).await.unwrap();
    delivery.signal.id.0
}

async fn nothing_comes(connections: &RedisConnections) {
    if let Ok(delivery) = tokio::time::timeout(SILENCE, connections.queue.next()).await {
        panic!("something was delivered: {delivery:?}");
    }
}

/// Starts a caller of `next`, and waits until its node's reader blocks in Redis. No other reader
/// may block at that time.
async fn waiting(server: &RedisServer, connections: &RedisConnections) -> tokio::task::JoinHandle<Delivery> {
    let queue = Arc::clone(&connections.queue);
    let caller = tokio::spawn(async move { queue.next().await.unwrap() });
    let blocks = async {
        while blocked(server).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, blocks).await.expect("the reader waits in Redis");
    caller
}

/// The number of clients in a blocking command.
async fn blocked(server: &RedisServer) -> u64 {
    let info: String = redis::cmd("INFO").arg("clients").query_async(&mut raw(server).await).await.unwrap();
    info.lines().find_map(|line| line.strip_prefix("blocked_clients:")).unwrap().trim().parse().unwrap()
}

/// A plain connection, for checks that bypass the adapter.
async fn raw(server: &RedisServer) -> MultiplexedConnection {
    redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Asserts that the streams, the delay queues, the traces and the pending entries are empty.
async fn nothing_is_left(server: &RedisServer) {
    let mut raw = raw(server).await;
    for stream in STREAMS {
        assert_eq!(redis::cmd("XLEN").arg(stream).query_async::<u64>(&mut raw).await.unwrap(), 0, "{stream}");
        let pending: redis::Value =
            redis::cmd("XPENDING").arg(stream).arg("workers").query_async(&mut raw).await.unwrap();
        assert_eq!(pending.as_sequence().unwrap()[0], redis::Value::Int(0), "{stream}");
    }
    for line in LINES {
        assert_eq!(redis::cmd("ZCARD").arg(line).query_async::<u64>(&mut raw).await.unwrap(), 0, "{line}");
    }
    assert_eq!(redis::cmd("HLEN").arg("{kastrel}:traces").query_async::<u64>(&mut raw).await.unwrap(), 0);
}

/// Holds the servers and connections of the conformance suites' ports.
#[derive(Default)]
struct Real {
    kept: Mutex<Vec<(RedisServer, Vec<RedisConnections>)>>,
}

impl Real {
    async fn two<T>(&self, part: impl Fn(&RedisConnections) -> T) -> [T; 2] {
        let server = RedisServer::start().await;
        let nodes = vec![connect(&server, "one").await, connect(&server, "two").await];
        let parts = [part(&nodes[0]), part(&nodes[1])];
        self.kept.lock().await.push((server, nodes));
        parts
    }
}

#[async_trait]
impl QueueHarness for Real {
    async fn new_queue(&self) -> Arc<dyn JobQueue> {
        let [queue, _] = self.two(|connections| Arc::clone(&connections.queue)).await;
        queue
    }

    fn now(&self) -> Timestamp {
        now()
    }
}

#[async_trait]
impl BusHarness for Real {
    async fn nodes(&self) -> [Arc<dyn ControlBus>; 2] {
        self.two(|connections| Arc::clone(&connections.bus) as _).await
    }
}

#[async_trait]
impl FeedHarness for Real {
    async fn processes(&self) -> [Arc<dyn LiveFeed>; 2] {
        let feeds = self.two(|connections| Arc::clone(&connections.feed) as _).await;
        for (_, nodes) in self.kept.lock().await.iter() {
            for node in nodes {
                drop(snapshots(node).await);
            }
        }
        feeds
    }
}

mod queue_port {
    kastrel_actors::queue_conformance_tests!(tokio::test, super::Real::default());
}

mod bus_port {
    kastrel_actors::bus_conformance_tests!(tokio::test, super::Real::default());
}

mod feed_port {
    kastrel_actors::feed_conformance_tests!(tokio::test, super::Real::default());
}
