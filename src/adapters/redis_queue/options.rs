//! The options of the Redis connections.

use std::time::Duration;

use super::calls::CallObserver;

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
