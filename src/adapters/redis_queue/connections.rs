//! Opens the queue, the bus and the feed of a node on one Redis address.

use std::sync::Arc;

use kastrel_actors::model::NodeId;
use kastrel_actors::ports::Clock;

use super::address;
use super::background::BackgroundTasks;
use super::bus::RedisBus;
use super::connection_manager::ConnectionManager;
use super::feed::RedisLiveFeed;
use super::keys::Keys;
use super::link::Link;
use super::options::RedisOptions;
use super::pubsub::{Dispatcher, listen};
use super::queue::RedisQueue;
use crate::config::RedisUrlError;
use crate::ports::RedisHealth;

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
        let background = BackgroundTasks::new(tasks);
        Ok(Self {
            queue: Arc::new(RedisQueue::new(&link, consumer, background.clone())),
            bus: Arc::new(RedisBus {
                link: Arc::clone(&link),
                node: node.clone(),
                dispatcher: Arc::clone(&dispatcher),
                calls: options.calls.clone(),
                _background: background.clone(),
            }),
            feed: Arc::new(RedisLiveFeed::new(&link, node, Arc::clone(&dispatcher), options.calls.clone(), background)),
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
