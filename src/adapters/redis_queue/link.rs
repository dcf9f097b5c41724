//! The shared connection for commands, as seen by all parts except the connection manager.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::ports::Clock;
use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue, ScriptInvocation, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::{CallError, Trouble, describe, trouble};
use super::keys::Keys;
use super::scripts::Scripts;
use crate::ports::RedisState;

/// The timeout of one call. Scripts take well under a millisecond, so a slower Redis counts as
/// down.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_millis(1500);

#[derive(Clone)]
enum State {
    Connecting,
    Up { connection: MultiplexedConnection, generation: u64 },
    Down { why: String },
}

/// The shared connection and its state; see the module docs.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) address: String,
    pub(super) keys: Keys,
    pub(super) scripts: Scripts,
    clock: Arc<dyn Clock>,
    state: watch::Sender<State>,
    health: watch::Sender<RedisState>,
    /// The time at which the connection manager must run `promote_due` at the latest.
    look: watch::Sender<Option<Instant>>,
    /// When the server last accepted a signal or a probe.
    took: Mutex<Option<Instant>>,
    /// The reason why this node receives no signals although the command connection works.
    reader: Mutex<Option<String>>,
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
            took: Mutex::default(),
            reader: Mutex::default(),
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

    /// Records that a connection attempt failed.
    pub(super) fn down(&self, why: String) {
        self.state.send_replace(State::Down { why: why.clone() });
        self.show_down(why);
    }

    /// Removes a failed connection, unless a newer one has already replaced it.
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

    /// The reason why the queue currently accepts or delivers no signals, if known.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.health.borrow() {
            RedisState::Connecting | RedisState::Connected { .. } => None,
            RedisState::Refusing { error, .. } | RedisState::Down { error, .. } => {
                Some(format!("Redis at {}: {error}", self.address))
            }
        }
    }

    /// Records that the server refuses signals, or delivers none to this node, on a working
    /// connection.
    fn refuses(&self, why: &str) {
        *locked(&self.took) = None;
        let now = self.clock.now();
        self.health.send_if_modified(|state| {
            let (version, since) = match state {
                RedisState::Connected { version } => (std::mem::take(version), now),
                RedisState::Refusing { version, since, error } if error != why => (std::mem::take(version), *since),
                // While disconnected, the connection error is the one to show.
                RedisState::Refusing { .. } | RedisState::Connecting | RedisState::Down { .. } => return false,
            };
            *state = RedisState::Refusing { version, since, error: why.to_owned() };
            true
        });
    }

    /// Records that the server accepted a signal or a probe.
    fn takes(&self) {
        *locked(&self.took) = Some(Instant::now());
        if locked(&self.reader).is_none() {
            self.is_well();
        }
    }

    fn is_well(&self) {
        self.health.send_if_modified(|state| {
            let RedisState::Refusing { version, .. } = state else { return false };
            *state = RedisState::Connected { version: std::mem::take(version) };
            true
        });
    }

    /// True if the server has accepted no signal for `since`, so that a probe is due.
    pub(super) fn is_untried(&self, since: Duration) -> bool {
        locked(&self.took).is_none_or(|at| at.elapsed() >= since)
    }

    /// Probes whether the server accepts signals, with commands that need the same permissions and
    /// memory.
    pub(super) async fn try_out(&self) -> Result<(), CallError> {
        let now = self.clock.now().as_millisecond();
        let mut probe = self.scripts.probe();
        probe.arg(now);
        let (mut connection, generation) = self.connection().await?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, probe.invoke_async::<Value>(&mut connection)).await;
        self.judge(generation, self.note_refusal(answer))?;
        self.takes();
        Ok(())
    }

    /// Records whether this node's reader receives signals, or why not.
    pub(super) fn reads(&self, trouble: Option<String>) {
        if let Some(why) = &trouble {
            self.refuses(why);
        }
        let had_trouble = std::mem::replace(&mut *locked(&self.reader), trouble.clone()).is_some();
        if had_trouble && trouble.is_none() && locked(&self.took).is_some() {
            self.is_well();
        }
    }

    /// Waits until the current connection fails.
    pub(super) async fn until_lost(&self) {
        // The sender is a field of `self`, so the channel cannot close.
        let _ = self.state.subscribe().wait_for(|state| !matches!(state, State::Up { .. })).await;
    }

    /// Waits up to `patience` for a connection.
    pub(super) async fn wait_up(&self, patience: Duration) -> Result<(), CallError> {
        let mut state = self.state.subscribe();
        let waiting = state.wait_for(|state| matches!(state, State::Up { .. }));
        if tokio::time::timeout(patience, waiting).await.is_ok_and(|found| found.is_ok()) {
            Ok(())
        } else {
            self.connection().await.map(drop)
        }
    }

    /// The current connection. Waits while the first one is being made; fails immediately while
    /// disconnected.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64), CallError> {
        let mut state = self.state.subscribe();
        let known =
            tokio::time::timeout(CALL_TIMEOUT, state.wait_for(|state| !matches!(state, State::Connecting))).await;
        match known.ok().and_then(Result::ok).map(|state| state.clone()) {
            Some(State::Up { connection, generation }) => Ok((connection, generation)),
            Some(State::Down { why }) => Err(self.not_connected(why)),
            Some(State::Connecting) | None => Err(self.not_connected("still connecting".into())),
        }
    }

    fn not_connected(&self, why: String) -> CallError {
        CallError::Down { address: self.address.clone(), why }
    }

    /// Runs a script. Each script returns the time until the next due signal first; this function
    /// records it and returns the rest.
    pub(super) async fn run(&self, script: &ScriptInvocation<'_>) -> Result<Vec<Value>, CallError> {
        let (mut connection, generation) = self.connection().await?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, script.invoke_async(&mut connection)).await;
        let answer = self.judge(generation, self.note_refusal(answer))?;
        self.read(answer)
    }

    /// Runs a script that enqueues a signal. Its success shows that the server accepts signals.
    pub(super) async fn put(&self, script: &ScriptInvocation<'_>) -> Result<Vec<Value>, CallError> {
        let answer = self.run(script).await?;
        self.takes();
        Ok(answer)
    }

    /// Parses the response of a script.
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

    /// Records that a script was refused. Only scripts count: a refused `PUBLISH` does not
    /// affect signals.
    fn note_refusal<T, E>(&self, answer: Result<redis::RedisResult<T>, E>) -> Result<redis::RedisResult<T>, E> {
        if let Ok(Err(error)) = &answer
            && trouble(error) == Trouble::Refusal
        {
            self.refuses(&describe(error));
        }
        answer
    }

    fn judge<T>(
        &self,
        generation: u64,
        answer: Result<redis::RedisResult<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, CallError> {
        let address = self.address.clone();
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(source)) => {
                if trouble(&source) == Trouble::Connection {
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The start of the current outage, if the connection is found down at `now`.
fn down_since(before: &RedisState, now: Timestamp) -> Timestamp {
    match before {
        RedisState::Down { since, .. } | RedisState::Refusing { since, .. } => *since,
        RedisState::Connecting | RedisState::Connected { .. } => now,
    }
}
