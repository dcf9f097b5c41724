//! Keeps a connection to a database server open: signs in, migrates the schema, and repeats that
//! whenever the connection breaks.
//!
//! - **Owns** the connection, and a task that makes the next one as soon as it breaks.
//! - **An emptied or replaced database** is not used: the outage continues, with that as its
//!   reason, until a backup is restored or the program is restarted.
//! - **During an outage** a call waits for the next connection until the outage has lasted
//!   [`PATIENCE`], so a restart of the server is only a short wait. After that, calls fail
//!   immediately with the error of the last attempt.
//! - **Never** sends a request twice. The caller decides about retries, because it knows whether
//!   the request is idempotent.

use std::sync::Arc;
use std::time::Duration;

use surrealdb::types::{Object, SurrealValue, Value};
use surrealdb_rpc::DbResult;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::error::{CallError, ConnectError, OpenError};
use super::executor::Executor as _;
use super::migrate::{self, ExpectedDatabase, Purpose};
use super::server_engine::{self, ServerEngine};
use super::ws_connection::WsConnection;
use crate::config::{AuthLevel, RemoteDatabase};
use crate::error_chain::chain;

/// How long after the start of an outage calls wait for a connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The timeout of one attempt to connect, sign in and check the schema.
const TRY_LIMIT: Duration = Duration::from_secs(10);

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// Signing in costs the server a password hash. If a thousand nodes reconnect within this time
/// after an outage, the server has about 5 ms for each.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause after an error that does not resolve by itself.
const PAUSE_IN_VAIN: Duration = Duration::from_secs(15);
/// The longest pause early in an outage, and before the first connection.
const LONGEST_EARLY_PAUSE: Duration = Duration::from_millis(500);

const BROKE: &str = "the connection broke";

/// How long the first connection is retried.
const FIRST_CONNECTION: Duration = Duration::from_secs(30);

/// The supported major version of the server.
const SERVER_MAJOR: u64 = 3;

/// A client of a database server that reconnects. Clones share the connection.
#[derive(Debug, Clone)]
pub(super) struct ReconnectingClient {
    state: watch::Receiver<State>,
    _keeper: Arc<AbortOnDropHandle<()>>,
}

#[derive(Debug, Clone)]
enum State {
    Up(Arc<WsConnection>),
    Down { since: Instant, why: String },
}

impl ReconnectingClient {
    /// Connects, and retries for half a minute while the server does not respond. Fails immediately
    /// on an error that a retry cannot fix, and on a server with an engine that loses rows unless
    /// `allow_unsafe_engine` is set.
    pub(super) async fn open(
        address: &RemoteDatabase,
        purpose: Purpose,
        allow_unsafe_engine: bool,
    ) -> Result<Self, OpenError> {
        let start = Instant::now();
        let mut tried = 0;
        let connection = loop {
            let error = match attach(address, purpose, ExpectedDatabase::Any).await {
                Ok(connection) => break connection,
                Err(error) => error,
            };
            if !error.may_pass() || start.elapsed() + LONGEST_EARLY_PAUSE >= FIRST_CONNECTION {
                return Err(error);
            }
            tracing::warn!(database = %address, error = chain(&error), "failed to connect to the database; trying again");
            // The pauses start longer than after an outage, because no call waits yet.
            tokio::time::sleep(pause(tried + 3, Duration::ZERO)).await;
            tried += 1;
        };
        check_engine(&connection, address, allow_unsafe_engine).await?;
        tracing::info!(database = %address, "connected to the database");
        let connection = Arc::new(connection);
        let identity = migrate::installation(&*connection).await;
        let identity = identity.map_err(|source| OpenError::Database {
            doing: "ask the database which installation it is",
            source: Box::new(source),
        })?;
        let (sender, state) = watch::channel(State::Up(Arc::clone(&connection)));
        let keeper =
            tokio::spawn(reconnect_loop(address.clone(), purpose, identity.unwrap_or_default(), connection, sender));
        Ok(Self { state, _keeper: Arc::new(AbortOnDropHandle::new(keeper)) })
    }

    /// Returns the results of the statements of `sql`.
    pub(super) async fn query(
        &self,
        sql: String,
        variables: Value,
    ) -> Result<Vec<surrealdb::Result<Value>>, CallError> {
        let connection = self.connection().await?;
        let statements = connection.query(sql, variables).await?;
        if statements.iter().filter_map(|result| result.as_ref().err()).any(lacks_ground) {
            connection.give_up();
            return Err(CallError::Lost);
        }
        Ok(statements)
    }

    /// Returns an error if there is no connection; does not wait for one.
    pub(super) fn check(&self) -> Result<(), CallError> {
        match &*self.state.borrow() {
            State::Up(connection) if connection.is_alive() => Ok(()),
            State::Up(_) => Err(CallError::Unreachable(BROKE.to_owned())),
            State::Down { why, .. } => Err(CallError::Unreachable(why.clone())),
        }
    }

    async fn connection(&self) -> Result<Arc<WsConnection>, CallError> {
        let mut state = self.state.clone();
        loop {
            let (since, why) = match &*state.borrow_and_update() {
                State::Up(connection) if connection.is_alive() => return Ok(Arc::clone(connection)),
                // The connection has just broken, and the reconnect loop has not reacted yet.
                State::Up(_) => (Instant::now(), BROKE.to_owned()),
                State::Down { since, why } => (*since, why.clone()),
            };
            match tokio::time::timeout_at(since + PATIENCE, state.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(CallError::Unreachable(why)),
            }
        }
    }
}

/// True if the server lost the state of the connection: the session expired, or the database was
/// removed. A new connection signs in again and checks the database.
fn lacks_ground(error: &surrealdb::Error) -> bool {
    use surrealdb::types::{AuthError, NotAllowedError};
    matches!(
        error.not_allowed_details(),
        Some(NotAllowedError::Auth(AuthError::SessionExpired | AuthError::TokenExpired))
    ) || CallError::Failed(error.clone()).is_missing_ground()
}

/// Replaces broken connections for as long as the store lives.
async fn reconnect_loop(
    address: RemoteDatabase,
    purpose: Purpose,
    installation: String,
    first: Arc<WsConnection>,
    state: watch::Sender<State>,
) {
    let mut connection = first;
    loop {
        connection.gone().await;
        let since = Instant::now();
        tracing::warn!(database = %address, "the connection to the database broke; connecting anew");
        state.send_replace(State::Down { since, why: BROKE.to_owned() });
        let mut tried = 0;
        connection = loop {
            match attach(&address, purpose, ExpectedDatabase::Known(&installation)).await {
                Ok(connection) => break Arc::new(connection),
                Err(error) => {
                    let why = chain(&error);
                    let wait = if error.may_pass() {
                        tracing::warn!(database = %address, error = why, outage_ms = since.elapsed().as_millis(), "failed to connect to the database; trying again");
                        pause(tried, since.elapsed())
                    } else {
                        tracing::error!(database = %address, error = why, outage_ms = since.elapsed().as_millis(), "cannot use the database; an operator must fix this");
                        PAUSE_IN_VAIN.mul_f64(rand::random_range(0.5..=1.0))
                    };
                    state.send_replace(State::Down { since, why });
                    tokio::time::sleep(wait).await;
                    tried += 1;
                }
            }
        };
        tracing::info!(database = %address, outage_ms = since.elapsed().as_millis(), "connected to the database again");
        state.send_replace(State::Up(Arc::clone(&connection)));
    }
}

/// The pause before a reconnect. It doubles from the shortest to the longest pause, and is limited
/// to a quarter of the outage so far. Half of it is random, so that many nodes do not reconnect at
/// the same time.
fn pause(tried: u32, outage: Duration) -> Duration {
    let longest = (outage / 4).clamp(LONGEST_EARLY_PAUSE, LONGEST_PAUSE);
    let whole = SHORTEST_PAUSE.saturating_mul(1 << tried.min(8)).min(longest);
    whole.mul_f64(rand::random_range(0.5..=1.0))
}

/// Returns a connection that is ready for calls: signed in, with the database selected and the
/// schema migrated.
async fn attach(
    address: &RemoteDatabase,
    purpose: Purpose,
    expected: ExpectedDatabase<'_>,
) -> Result<WsConnection, OpenError> {
    let ready = async {
        let connection = WsConnection::connect(address).await?;
        check_version(&connection).await?;
        sign_in(&connection, address).await?;
        migrate::prepare(&connection, &address.namespace, &address.database, address.auth, purpose, expected).await?;
        Ok::<_, OpenError>(connection)
    };
    tokio::time::timeout(TRY_LIMIT, ready).await.unwrap_or(Err(OpenError::Connect(ConnectError::Slow(TRY_LIMIT))))
}

/// Checks the storage engine, on the first connection only. A server that restarts on another
/// engine has another database, which is refused anyway.
async fn check_engine(
    connection: &WsConnection,
    address: &RemoteDatabase,
    allow_unsafe: bool,
) -> Result<(), OpenError> {
    let engine = server_engine::detect(connection).await;
    match engine.map_err(|source| OpenError::Database {
        doing: "find the storage engine of the database server",
        source: Box::new(source),
    })? {
        ServerEngine::SurrealKv if !allow_unsafe => return Err(OpenError::UnsafeEngine),
        ServerEngine::SurrealKv => tracing::warn!(
            database = %address,
            "the database server runs on SurrealKV, which loses committed rows at a restart; it is used because database.allow_unsafe_engine is set"
        ),
        ServerEngine::Memory => {
            tracing::warn!(database = %address, "the database server keeps its data in memory: all scans are gone when it ends");
        }
        ServerEngine::RocksDb | ServerEngine::Unknown => {}
    }
    Ok(())
}

async fn check_version(connection: &WsConnection) -> Result<(), ConnectError> {
    let answer = match ask(connection, "version", Vec::new()).await? {
        Ok(DbResult::Other(Value::String(text))) => text,
        Ok(other) => return Err(ConnectError::NotADatabase(format!("it says of its version: {other:?}"))),
        // A server may be configured to hide its version.
        Err(error) if error.is_not_allowed() => return Ok(()),
        Err(error) => return Err(ConnectError::NotADatabase(error.to_string())),
    };
    let version = answer.trim_start_matches("surrealdb-");
    match version.split('.').next().and_then(|major| major.parse::<u64>().ok()) {
        Some(SERVER_MAJOR) => Ok(()),
        _ => Err(ConnectError::Version { found: version.to_owned(), known: SERVER_MAJOR }),
    }
}

async fn sign_in(connection: &WsConnection, address: &RemoteDatabase) -> Result<(), ConnectError> {
    let mut credentials = Object::new();
    let mut put = |name: &str, value: &str| credentials.insert(name.to_owned(), value.to_owned().into_value());
    put("user", &address.user);
    put("pass", &address.password);
    if address.auth != AuthLevel::Root {
        put("ns", &address.namespace);
    }
    if address.auth == AuthLevel::Database {
        put("db", &address.database);
    }
    match ask(connection, "signin", vec![Value::Object(credentials)]).await? {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(ConnectError::SignIn { user: address.user.clone(), level: address.auth, source: Box::new(error) })
        }
    }
}

async fn ask(
    connection: &WsConnection,
    method: &'static str,
    parameters: Vec<Value>,
) -> Result<surrealdb::Result<DbResult>, ConnectError> {
    connection.ask(method, parameters).await.map_err(|_| ConnectError::Broke)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnect_pauses_grow_and_are_spread() {
        for (tried, outage, least, most) in [
            (0, 0, 25, 50),
            (1, 60, 50, 100),
            (2, 60, 100, 200),
            (4, 1, 250, 500),
            (4, 60, 400, 800),
            (8, 4, 500, 1000),
            (8, 60, 2500, 5000),
            (40, 60, 2500, 5000),
        ] {
            let found = pause(tried, Duration::from_secs(outage)).as_millis();
            assert!((least..=most).contains(&found), "pause({tried}) after {outage} s = {found} ms");
        }
    }
}
