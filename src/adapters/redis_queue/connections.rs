//! Opens the queue, the bus and the feed of a node on one Redis address.

use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::NodeId;
use kastrel_actors::ports::Clock;
use tokio_util::task::AbortOnDropHandle;

use super::address;
use super::bus::RedisBus;
use super::calls::CallObserver;
use super::connection_manager::ConnectionManager;
use super::feed::RedisLiveFeed;
use super::keys::Keys;
use super::link::Link;
use super::pubsub::{Dispatcher, listen};
use super::queue::RedisQueue;
use crate::config::RedisUrlError;
use crate::ports::RedisHealth;

/// Options for the Redis connections, in addition to the URL.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// The prefix of all keys and channels, written in braces. Groups of nodes that share a Redis
    /// need different prefixes.
    pub prefix: String,
    /// How long a reader may hold a signal without acknowledging it before the reader counts as
    /// dead. It must be longer than leasing a row can take.
    pub reclaim_after: Duration,
    /// The certificate authority of the server's certificate, in PEM. It replaces the system's
    /// authorities. Only for `rediss://`.
    pub root_certificate: Option<Vec<u8>>,
    /// Observes what the bus and the feed publish.
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

/// The key prefix of an installation that shares a Redis with others. Signals and messages name
/// scans by number, and scan 1 of one database is not scan 1 of another.
#[must_use]
pub fn prefix_of(prefix: &str, installation: &str) -> String {
    format!("{prefix}-{}", installation.split('-').next().unwrap_or_default())
}

/// The background tasks that all parts share. They stop when the last part is dropped.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    _tasks: Arc<[AbortOnDropHandle<()>]>,
}

/// The queue, bus and feed of a node on one Redis. Each can be used alone. The connections close
/// when all are dropped.
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
    /// Starts to connect to the Redis at `url` and retries until it succeeds;
    /// [`health`](Self::health) shows the current state. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// The URL is invalid or uses an unsupported feature. An unreachable Redis is not an error.
    pub fn open(url: &str, node: NodeId, clock: Arc<dyn Clock>) -> Result<Self, RedisUrlError> {
        Self::open_with(url, node, clock, &RedisOptions::default())
    }

    /// Like [`open`](Self::open), with other options.
    ///
    /// # Errors
    /// As for [`open`](Self::open), or the options are invalid.
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
        // This program links two rustls providers, so rustls needs an explicit default. An error
        // means that a default is already set, which is fine.
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

    /// The health of the connection.
    #[must_use]
    pub fn health(&self) -> RedisHealth {
        self.health.clone()
    }
}
