//! The shared connection for commands, as everybody but its keeper sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::ports::Clock;
use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, FromRedisValue, ScriptInvocation, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::{CallError, Trouble, describe, trouble};
use super::health::RedisState;
use super::keys::Keys;
use super::scripts::Scripts;

/// The longest that one call may take. Scripts take well under a millisecond, so a Redis that needs
/// longer is as good as down.
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
    /// When the server last took a signal, or what stands for one.
    took: Mutex<Option<Instant>>,
    /// Why this node gets no signals, although the connection for commands is good.
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

    /// Why the queue takes or gives no signals now, as far as that is known.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.health.borrow() {
            RedisState::Connecting | RedisState::Connected { .. } => None,
            RedisState::Refusing { error, .. } | RedisState::Down { error, .. } => {
                Some(format!("Redis at {}: {error}", self.address))
            }
        }
    }

    /// The server refuses to take signals, or gives this node none; the connection is good.
    fn refuses(&self, why: &str) {
        *locked(&self.took) = None;
        let now = self.clock.now();
        self.health.send_if_modified(|state| {
            let (version, since) = match state {
                RedisState::Connected { version } => (std::mem::take(version), now),
                RedisState::Refusing { version, since, error } if error != why => (std::mem::take(version), *since),
                // Without a connection that is what there is to say.
                RedisState::Refusing { .. } | RedisState::Connecting | RedisState::Down { .. } => return false,
            };
            *state = RedisState::Refusing { version, since, error: why.to_owned() };
            true
        });
    }

    /// The server took a signal, or what stands for one.
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

    /// Whether it is time to try out whether the server takes signals: none was taken for so long.
    pub(super) fn is_untried(&self, since: Duration) -> bool {
        locked(&self.took).is_none_or(|at| at.elapsed() >= since)
    }

    /// Tries out whether the server takes signals, by what takes the same rights and the same room
    /// as one.
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

    /// Whether this node's reader gets signals, or why not.
    pub(super) fn reads(&self, trouble: Option<String>) {
        if let Some(why) = &trouble {
            self.refuses(why);
        }
        let had_trouble = std::mem::replace(&mut *locked(&self.reader), trouble.clone()).is_some();
        if had_trouble && trouble.is_none() && locked(&self.took).is_some() {
            self.is_well();
        }
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
        if tokio::time::timeout(patience, waiting).await.is_ok_and(|found| found.is_ok()) {
            Ok(())
        } else {
            self.connection().await.map(drop)
        }
    }

    /// The connection in use. While the first one is being made it waits for that; when there is
    /// none it fails at once.
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

    /// Runs a script; what it answered after the time of the next look, which is noted.
    pub(super) async fn run(&self, script: &ScriptInvocation<'_>) -> Result<Vec<Value>, CallError> {
        let (mut connection, generation) = self.connection().await?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, script.invoke_async(&mut connection)).await;
        let answer = self.judge(generation, self.note_refusal(answer))?;
        self.read(answer)
    }

    /// The same for a script that puts a signal in line: that it ran says that the server takes
    /// signals.
    pub(super) async fn put(&self, script: &ScriptInvocation<'_>) -> Result<Vec<Value>, CallError> {
        let answer = self.run(script).await?;
        self.takes();
        Ok(answer)
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

    /// Notes that a script was refused. What a message is refused says nothing of signals.
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

/// Since when the connection is down, when it is found down at `now`.
fn down_since(before: &RedisState, now: Timestamp) -> Timestamp {
    match before {
        RedisState::Down { since, .. } | RedisState::Refusing { since, .. } => *since,
        RedisState::Connecting | RedisState::Connected { .. } => now,
    }
}
