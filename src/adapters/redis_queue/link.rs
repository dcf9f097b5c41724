//! The shared connection for commands, as everybody but its keeper sees it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::ports::Clock;
use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue, ScriptInvocation, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::{CallError, describe, needs_another_connection};
use super::health::RedisState;
use super::keys::Keys;
use super::scripts::Scripts;

/// The longest that one call may take. Scripts take well under a millisecond, so a Redis that needs longer is as good as down.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_millis(1500);

#[derive(Clone)]
enum State {
    Connecting,
    Up { connection: MultiplexedConnection, generation: u64 },
    Down { why: String },
}

/// See the module.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) address: String,
    pub(super) keys: Keys,
    pub(super) scripts: Scripts,
    clock: Arc<dyn Clock>,
    state: watch::Sender<State>,
    health: watch::Sender<RedisState>,
    /// When the keeper must look at the line at the latest.
    look: watch::Sender<Option<Instant>>,
}

impl Link {
    pub(super) fn new(client: Client, address: String, keys: Keys, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            address,
            scripts: Scripts::new(keys.clone()),
            keys,
            clock,
            state: watch::Sender::new(State::Connecting),
            health: watch::Sender::new(RedisState::Connecting),
            look: watch::Sender::new(None),
        }
    }

    pub(super) fn health(&self) -> watch::Receiver<RedisState> {
        self.health.subscribe()
    }

    pub(super) fn look(&self) -> &watch::Sender<Option<Instant>> {
        &self.look
    }

    /// Puts a new connection into use.
    pub(super) fn up(&self, connection: MultiplexedConnection, generation: u64, version: String) {
        self.state.send_replace(State::Up { connection, generation });
        self.health.send_replace(RedisState::Connected { version });
    }

    /// No connection could be made.
    pub(super) fn down(&self, why: String) {
        self.state.send_replace(State::Down { why: why.clone() });
        self.show_down(why);
    }

    /// Takes a connection that failed out of use, unless a newer one is in its place already.
    fn lost(&self, failed: u64, why: String) {
        let was_in_use = self.state.send_if_modified(|state| {
            let in_use = matches!(state, State::Up { generation, .. } if *generation == failed);
            if in_use {
                *state = State::Down { why: why.clone() };
            }
            in_use
        });
        if was_in_use {
            self.show_down(why);
        }
    }

    fn show_down(&self, error: String) {
        let now = self.clock.now();
        self.health.send_modify(|state| {
            let since = down_since(state, now);
            *state = RedisState::Down { since, error };
        });
    }

    /// Waits until the connection that is in use fails.
    pub(super) async fn until_lost(&self) {
        // The sender lives in `self`.
        let _ = self.state.subscribe().wait_for(|state| !matches!(state, State::Up { .. })).await;
    }

    /// Waits for a connection, at most for `patience`.
    pub(super) async fn wait_up(&self, patience: Duration) -> Result<(), CallError> {
        let mut state = self.state.subscribe();
        let waiting = state.wait_for(|state| matches!(state, State::Up { .. }));
        if tokio::time::timeout(patience, waiting).await.is_ok_and(|found| found.is_ok()) { Ok(()) } else { self.connection().await.map(drop) }
    }

    /// The connection in use. While the first one is being made it waits for that; when there is none it fails at once.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64), CallError> {
        let mut state = self.state.subscribe();
        let known = tokio::time::timeout(CALL_TIMEOUT, state.wait_for(|state| !matches!(state, State::Connecting))).await;
        match known.ok().and_then(Result::ok).map(|state| state.clone()) {
            Some(State::Up { connection, generation }) => Ok((connection, generation)),
            Some(State::Down { why }) => Err(self.not_connected(why)),
            Some(State::Connecting) | None => Err(self.not_connected("still connecting".into())),
        }
    }

    fn not_connected(&self, why: String) -> CallError {
        CallError::Down { address: self.address.clone(), why }
    }

    /// Runs a script; what it answered after the time of the next look, which is noted.
    pub(super) async fn run(&self, script: &ScriptInvocation<'_>) -> Result<Vec<Value>, CallError> {
        let (mut connection, generation) = self.connection().await?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, script.invoke_async(&mut connection)).await;
        let answer = self.judge(generation, answer)?;
        self.read(answer)
    }

    /// Reads the answer of a script.
    pub(super) fn read(&self, answer: Value) -> Result<Vec<Value>, CallError> {
        let mut parts = match answer {
            Value::Array(parts) => parts,
            single => vec![single],
        };
        let Some(Value::Int(due_in)) = parts.first() else {
            return Err(CallError::Answer("a script did not say when the next signal is due".into()));
        };
        if let Ok(due_in) = u64::try_from(*due_in) {
            self.look_within(Duration::from_micros(due_in));
        }
        parts.remove(0);
        Ok(parts)
    }

    /// Runs a command.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, CallError> {
        let (mut connection, generation) = self.connection().await?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, command.query_async(&mut connection)).await;
        self.judge(generation, answer)
    }

    fn judge<T>(&self, generation: u64, answer: Result<redis::RedisResult<T>, tokio::time::error::Elapsed>) -> Result<T, CallError> {
        let address = self.address.clone();
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => {
                if needs_another_connection(&source) {
                    self.lost(generation, describe(&source));
                }
                Err(CallError::Failed { address, source })
            }
            Err(_) => {
                self.lost(generation, "no answer in time".into());
                Err(CallError::TimedOut { address, after: CALL_TIMEOUT })
            }
        }
    }

    fn look_within(&self, wait: Duration) {
        let at = Instant::now() + wait;
        self.look.send_if_modified(|look| {
            let sooner = look.is_none_or(|planned| at < planned);
            if sooner {
                *look = Some(at);
            }
            sooner
        });
    }
}

/// Since when the connection is down, when it is found down at `now`.
fn down_since(before: &RedisState, now: Timestamp) -> Timestamp {
    match before {
        RedisState::Down { since, .. } => *since,
        RedisState::Connecting | RedisState::Connected { .. } => now,
    }
}
