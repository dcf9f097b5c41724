//! The state of the Redis connection, for pages, `/readyz` and `kastrel doctor`.

use std::fmt;

use jiff::Timestamp;
use tokio::sync::watch;

/// The state of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisState {
    /// The first connection attempt is running.
    Connecting,
    /// Connected, and the server accepts signals.
    Connected {
        /// The server and its version, for example `Redis 7.2.5`.
        version: String,
    },
    /// Connected, but the server refuses signals, or delivers none to this node. Kastrel keeps
    /// trying. The queued scans are in the database.
    Refusing {
        /// The server and its version.
        version: String,
        /// The start of this state.
        since: Timestamp,
        /// The error of the server.
        error: String,
    },
    /// Not connected: signals fail, and readers wait. Kastrel keeps trying.
    Down {
        /// The start of this state.
        since: Timestamp,
        /// The error of the last attempt, without secrets.
        error: String,
    },
}

impl RedisState {
    /// Describes the state; `moment` formats times.
    #[must_use]
    pub fn text(&self, moment: impl Fn(Timestamp) -> String) -> String {
        match self {
            Self::Connecting => "connecting".into(),
            Self::Connected { version } => format!("connected to {version}"),
            Self::Refusing { version, since, error } => {
                format!("connected to {version}, which refuses signals since {}: {error}", moment(*since))
            }
            Self::Down { since, error } => format!("down since {}: {error}", moment(*since)),
        }
    }
}

impl fmt::Display for RedisState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(|at| format!("{at:.0}")))
    }
}

/// A handle to the state of the connection. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RedisHealth {
    address: String,
    state: watch::Receiver<RedisState>,
    subscription_denied: watch::Receiver<Option<String>>,
}

impl RedisHealth {
    pub(crate) const fn new(
        address: String,
        state: watch::Receiver<RedisState>,
        subscription_denied: watch::Receiver<Option<String>>,
    ) -> Self {
        Self { address, state, subscription_denied }
    }

    /// The error of Redis if it denies this node the channels although the connection works: the
    /// user may lack the permission for a channel.
    #[must_use]
    pub fn subscription_denied(&self) -> Option<String> {
        if matches!(*self.state.borrow(), RedisState::Connected { .. } | RedisState::Refusing { .. }) {
            self.subscription_denied.borrow().clone()
        } else {
            None
        }
    }

    /// The host, port and database, without user and password.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The current state.
    #[must_use]
    pub fn state(&self) -> RedisState {
        self.state.borrow().clone()
    }

    /// True while the node is connected and the server accepts signals.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(*self.state.borrow(), RedisState::Connected { .. })
    }

    /// Waits until the state satisfies `wanted`, and returns it. Returns the last state when the
    /// connections were dropped.
    pub async fn wait_for(&mut self, wanted: impl FnMut(&RedisState) -> bool) -> RedisState {
        let found = self.state.wait_for(wanted).await.map(|state| state.clone());
        found.unwrap_or_else(|_| self.state())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_text_is_one_line() {
        let since = Timestamp::from_second(1_767_225_600).unwrap();
        let down = RedisState::Down { since, error: "Connection refused (os error 111)".into() };
        let refusing =
            RedisState::Refusing { version: "Redis 7.2.5".into(), since, error: "OOM command not allowed".into() };
        assert_eq!(
            refusing.to_string(),
            "connected to Redis 7.2.5, which refuses signals since 2026-01-01T00:00:00Z: OOM command not allowed"
        );
        assert_eq!(down.to_string(), "down since 2026-01-01T00:00:00Z: Connection refused (os error 111)");
    }
}
