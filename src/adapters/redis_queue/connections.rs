//! Opening: everything that a node says to Redis, behind one address.

use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::NodeId;
use kastrel_actors::ports::Clock;
use tokio_util::task::AbortOnDropHandle;

use super::address;
use super::bus::RedisBus;
use super::calls::CallObserver;
use super::connection_manager::ConnectionManager;
use super::error::RedisUrlError;
use super::feed::RedisLiveFeed;
use super::health::RedisHealth;
use super::keys::Keys;
use super::link::Link;
use super::pubsub::{Dispatcher, listen};
use super::queue::RedisQueue;

/// What can be chosen beside the address.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// What the names of all keys and channels begin with, in braces. Groups of nodes that share a
    /// Redis need different ones.
    pub prefix: String,
    /// How long a reader may hold a signal without an answer before it counts as dead. It must be
    /// longer than a lease of a row may take.
    pub reclaim_after: Duration,
    /// The authority that signed the server's certificate, in PEM, in place of the machine's
    /// authorities. Only for `rediss://`.
    pub root_certificate: Option<Vec<u8>>,
    /// Who is told of what the bus and the feed publish.
    pub calls: CallObserver,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: "kastrel".into(),
            reclaim_after: Duration::from_secs(60),
            root_certificate: None,
            calls: CallObserver::default(),
        }
    }
}

/// The prefix of an installation that shares a Redis with others: signals and messages name scans
/// by number, and scan 1 of one database is not scan 1 of another.
#[must_use]
pub fn prefix_of(prefix: &str, installation: &str) -> String {
    format!("{prefix}-{}", installation.split('-').next().unwrap_or_default())
}

/// The tasks that all parts share; they end with the last part.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    _tasks: Arc<[AbortOnDropHandle<()>]>,
}

/// A node's queue, bus and feed on one Redis. Each can be used for itself; the connections end when
/// all are dropped.
pub struct RedisConnections {
    /// Signals.
    pub queue: Arc<RedisQueue>,
    /// Control messages.
    pub bus: Arc<RedisBus>,
    /// Snapshots.
    pub feed: Arc<RedisLiveFeed>,
    health: RedisHealth,
    #[cfg(test)]
    pub(super) dispatcher: Arc<Dispatcher>,
    #[cfg(test)]
    pub(super) link: Arc<Link>,
}

impl RedisConnections {
    /// Begins to connect to Redis at `url`, and keeps on until it works: whether it does is what
    /// [`health`](Self::health) tells. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// The address is none, or names what is not supported. That no Redis answers there is no
    /// error.
    pub fn open(url: &str, node: NodeId, clock: Arc<dyn Clock>) -> Result<Self, RedisUrlError> {
        Self::open_with(url, node, clock, &RedisOptions::default())
    }

    /// As [`open`](Self::open), with other options.
    ///
    /// # Errors
    /// As [`open`](Self::open), or the options cannot be used.
    pub fn open_with(
        url: &str,
        node: NodeId,
        clock: Arc<dyn Clock>,
        options: &RedisOptions,
    ) -> Result<Self, RedisUrlError> {
        let prefix_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !(1..=64).contains(&options.prefix.len()) || !options.prefix.chars().all(prefix_char) {
            return Err(RedisUrlError::Prefix);
        }
        // rustls knows two providers in this program and wants to be told which; whoever told it
        // first is right, too.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (client, address) = address::client(url, &node, options)?;
        let link = Arc::new(Link::new(client, address.clone(), Keys::new(&options.prefix), clock));
        let dispatcher = Arc::new(Dispatcher::default());
        let consumer = node.to_string();
        let keeper = ConnectionManager {
            link: Arc::clone(&link),
            consumer: consumer.clone(),
            reclaim_after: options.reclaim_after,
        };
        let tasks = [
            tokio::spawn(keeper.run()),
            tokio::spawn(listen(Arc::clone(&link), node.clone(), Arc::clone(&dispatcher))),
        ];
        let kept = Kept { _tasks: Arc::new(tasks.map(AbortOnDropHandle::new)) };
        Ok(Self {
            queue: Arc::new(RedisQueue::new(&link, consumer, kept.clone())),
            bus: Arc::new(RedisBus {
                link: Arc::clone(&link),
                node: node.clone(),
                dispatcher: Arc::clone(&dispatcher),
                calls: options.calls.clone(),
                _kept: kept.clone(),
            }),
            feed: Arc::new(RedisLiveFeed::new(&link, node, Arc::clone(&dispatcher), options.calls.clone(), kept)),
            health: RedisHealth::new(address, link.health(), dispatcher.subscription_denied()),
            #[cfg(test)]
            dispatcher,
            #[cfg(test)]
            link,
        })
    }

    /// How the connection is.
    #[must_use]
    pub fn health(&self) -> RedisHealth {
        self.health.clone()
    }
}
