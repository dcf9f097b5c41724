//! Keeps the shared connection open and moves signals: it offers signals when they become due, and
//! requeues the pending signals of dead readers.

use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::policy::restart::{RetryPolicy, backoff};
use rand::RngExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, Value};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::error::{CallError, describe, greeting};
use super::health;
use super::link::{CALL_TIMEOUT, Link};

/// The timeout for making a connection, including TLS and authentication.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout for reading the error line of a server that refuses the connection.
const GREETING_TIMEOUT: Duration = Duration::from_millis(500);
/// The longest interval between two runs of `promote_due`. It bounds the delay of signals that a
/// node did not offer because it died, and the time until a dead connection is detected.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the server may accept no signal before the manager probes it.
const TRY_EVERY: Duration = Duration::from_secs(5);
/// How long an idle consumer without pending entries is kept.
const CONSUMER_KEPT: Duration = Duration::from_secs(3600);
/// The backoff between connection attempts.
const RECONNECT: RetryPolicy =
    RetryPolicy { max_attempts: u32::MAX, base: Duration::from_millis(100), cap: Duration::from_secs(3) };

/// The backoff after `failures` consecutive failed connections.
pub(super) fn pause(failures: u32) -> Duration {
    backoff(RECONNECT, failures, rand::rng().random())
}

/// The task that owns the shared connection; see the module docs.
pub(super) struct ConnectionManager {
    pub(super) link: Arc<Link>,
    pub(super) consumer: String,
    pub(super) reclaim_after: Duration,
}

impl ConnectionManager {
    pub(super) async fn run(self) {
        let mut failures = 0;
        for generation in 0.. {
            match self.connect().await {
                Ok((connection, version)) => {
                    info!(redis.address = self.link.address, redis.version = version, "connected to Redis");
                    failures = 0;
                    self.link.up(connection, generation, version);
                    tokio::select! {
                        error = self.promote_due() => self.link.down(error.cause()),
                        () = self.link.until_lost() => {}
                    }
                    warn!(
                        redis.address = self.link.address,
                        "lost the connection to Redis: {}",
                        self.link.health().borrow().to_owned()
                    );
                }
                Err(why) => {
                    if failures == 0 {
                        warn!(redis.address = self.link.address, error = why, "cannot connect to Redis; trying again");
                    } else {
                        debug!(
                            redis.address = self.link.address,
                            error = why,
                            tries = failures + 1,
                            "still cannot connect to Redis"
                        );
                    }
                    self.link.down(why);
                }
            }
            failures += 1;
            tokio::time::sleep(pause(failures)).await;
        }
    }

    /// Returns a connection to a server that supports everything needed, and the server's version.
    async fn connect(&self) -> Result<(MultiplexedConnection, String), String> {
        match self.try_connect().await {
            Ok(connected) => Ok(connected),
            Err(why) => Err(self.greeting().await.map_or(why, str::to_owned)),
        }
    }

    /// Reads the reason from a server that closes every connection, if it sends one.
    async fn greeting(&self) -> Option<&'static str> {
        use tokio::io::AsyncReadExt as _;
        let ConnectionAddr::Tcp(host, port) = self.link.client.get_connection_info().addr() else { return None };
        let read = async {
            let mut line = [0; 64];
            let mut stream = tokio::net::TcpStream::connect((host.as_str(), *port)).await.ok()?;
            let length = stream.read(&mut line).await.ok()?;
            greeting(&String::from_utf8_lossy(&line[..length]))
        };
        tokio::time::timeout(GREETING_TIMEOUT, read).await.ok().flatten()
    }

    /// Connects like [`connect`](Self::connect), and tests the connection with the scripts that it
    /// will run.
    async fn try_connect(&self) -> Result<(MultiplexedConnection, String), String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(CALL_TIMEOUT));
        let mut connection = self
            .link
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| describe(&error))?;
        redis::cmd("PING").exec_async(&mut connection).await.map_err(|error| describe(&error))?;
        let version = match redis::cmd("INFO").arg("server").query_async::<String>(&mut connection).await {
            Ok(info) => health::version(&info)?,
            // An ACL may forbid `INFO`. Only the version check depends on it.
            Err(error) if error.code() == Some("NOPERM") => health::version("")?,
            Err(error) => return Err(describe(&error)),
        };
        let mut sweep = self.link.scripts.sweep();
        sweep.arg(ms(CONSUMER_KEPT));
        sweep.invoke_async::<()>(&mut connection).await.map_err(|error| describe(&error))?;
        let answer: Value = self.looking().invoke_async(&mut connection).await.map_err(|error| describe(&error))?;
        self.link.read(answer).map_err(|error| error.to_string())?;
        Ok((connection, version))
    }

    /// Runs the `promote_due` script whenever a signal becomes due, and at least every
    /// `LOOK_EVERY`. Returns the error that stopped it.
    async fn promote_due(&self) -> CallError {
        let mut look = self.link.look().subscribe();
        loop {
            let latest = Instant::now() + LOOK_EVERY;
            loop {
                let at = look.borrow_and_update().unwrap_or(latest).min(latest);
                tokio::select! {
                    () = tokio::time::sleep_until(at) => break,
                    // A signal may become due sooner.
                    _ = look.changed() => {}
                }
            }
            // Reset before the script runs, so that a signal sent in the meantime still sets its
            // own time.
            self.link.look().send_replace(None);
            match self.link.run(&self.looking()).await {
                Ok(found) => {
                    if let Some(Value::Int(reclaimed @ 1..)) = found.first() {
                        info!(queue.reclaimed = reclaimed, "put signals back in line whose readers did not answer");
                    }
                }
                Err(error) => return error,
            }
            // `promote_due` allocates no memory, so it does not show whether the server accepts
            // signals.
            if self.link.is_untried(TRY_EVERY)
                && let Err(error) = self.link.try_out().await
            {
                debug!(error = &error as &dyn std::error::Error, "Redis takes no signals just now");
            }
        }
    }

    fn looking(&self) -> redis::ScriptInvocation<'_> {
        let mut promote_due = self.link.scripts.promote_due();
        promote_due.arg(&self.consumer).arg(ms(self.reclaim_after));
        promote_due
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_cap_and_are_spread() {
        for (failures, shortest_ms, longest_ms) in
            [(1, 50, 100), (2, 100, 200), (3, 200, 400), (5, 800, 1600), (6, 1500, 3000), (1_000_000, 1500, 3000)]
        {
            for (jitter, expected) in [(0.0, shortest_ms), (1.0, longest_ms)] {
                assert_eq!(backoff(RECONNECT, failures, jitter), Duration::from_millis(expected), "{failures}");
            }
            let drawn = pause(failures);
            assert!(
                drawn >= Duration::from_millis(shortest_ms) && drawn <= Duration::from_millis(longest_ms),
                "{failures}: {drawn:?}"
            );
        }
    }
}
