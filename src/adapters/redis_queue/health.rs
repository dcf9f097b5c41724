//! The state of the Redis connection, for `/readyz` and `kastrel doctor`.

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
    pub(super) const fn new(
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

/// The server's name and version from the response to `INFO server`, or an error if it is too old.
/// A server that hides its version is accepted.
pub(super) fn version(info: &str) -> Result<String, String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    // Valkey reports its compatible Redis version as `redis_version`.
    let Some(compatible) = field("redis_version") else { return Ok("a server that hides its version".into()) };
    let mut numbers = compatible.split('.').map_while(|part| part.parse::<u32>().ok());
    if let (Some(major), Some(minor)) = (numbers.next(), numbers.next())
        && (major, minor) < (6, 2)
    {
        return Err(format!("Redis {compatible} is too old: Kastrel needs Redis 6.2 or Valkey 7.2"));
    }
    Ok(field("valkey_version").map_or_else(|| format!("Redis {compatible}"), |version| format!("Valkey {version}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_versions_are_parsed_and_checked() {
        for (info, expected) in [
            ("# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n", Ok("Redis 7.0.15")),
            ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n", Ok("Valkey 8.0.1")),
            ("redis_version:6.2.0\r\n", Ok("Redis 6.2.0")),
            ("redis_version:6.0.16\r\n", Err("Redis 6.0.16 is too old: Kastrel needs Redis 6.2 or Valkey 7.2")),
            ("redis_version:unstable\r\n", Ok("Redis unstable")),
            ("", Ok("a server that hides its version")),
        ] {
            assert_eq!(version(info).as_deref().map_err(String::as_str), expected.map_err(|text: &str| text));
        }
    }

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
