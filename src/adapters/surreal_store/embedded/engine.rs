//! One opened engine: made with bounded memory, asked, and closed for certain.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use surrealdb::Surreal;
use surrealdb::engine::local::Db;
use surrealdb::types::Value;
use surrealdb_cnf::ConfigMap;
use surrealdb_engine_local::Datastore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::folder::Damage;
use super::options::OPTIONS;
use super::verify::{self, Unreadable};
use crate::adapters::surreal_store::calls::CALL_TIMEOUT;
use crate::adapters::surreal_store::error::{CallError, OpenError};
use crate::error_chain::chain;

/// How long an engine may take to close, and one that was just dropped to let go of its files.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);
const CLOSE_POLL: Duration = Duration::from_millis(5);

/// What is done with a database before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// Nothing.
    Use,
    /// It is read as a whole. `accept`: what cannot be read is only told.
    Read { accept: bool },
}

enum Failed {
    Engine(Box<dyn std::error::Error + Send + Sync>),
    Unreadable(Unreadable),
}

/// See the module.
#[derive(Debug)]
pub(in super::super) struct Engine {
    db: Surreal<Db>,
    datastore: Weak<Datastore>,
    closing: CancellationToken,
}

impl Engine {
    /// An engine that keeps everything in memory.
    pub(in super::super) async fn in_memory() -> Result<Self, OpenError> {
        Self::open_at("mem://", First::Use, Some(CALL_TIMEOUT)).await.map_err(|error| match error {
            Failed::Engine(source) => OpenError::Database { doing: "open the database in memory", source },
            Failed::Unreadable(error) => error.into(),
        })
    }

    /// Opens, or makes, the database in `folder`. Waits for an engine of this process that was
    /// dropped and is still closing. `first`: what is done before anything else. `limit`: the
    /// longest that a statement or a transaction may take.
    pub(super) async fn open(folder: &Path, first: First, limit: Option<Duration>) -> Result<Self, OpenError> {
        let path =
            folder.to_str().filter(|path| !path.contains('?')).ok_or_else(|| OpenError::Path(folder.to_owned()))?;
        let address = format!("rocksdb://{path}");
        let give_up = Instant::now() + CLOSE_LIMIT;
        loop {
            match Self::open_at(&address, first, limit).await {
                Ok(engine) => return Ok(engine),
                Err(Failed::Unreadable(error)) => return Err(error.into()),
                Err(Failed::Engine(error)) if is_locked(&error.to_string()) => {
                    if Instant::now() >= give_up {
                        return Err(OpenError::Locked { folder: folder.to_owned(), pid: None });
                    }
                    tokio::time::sleep(CLOSE_POLL).await;
                }
                Err(Failed::Engine(error)) if is_damage(&error.to_string()) => {
                    return Err(OpenError::Damaged(Damage::Unreadable { why: error.to_string() }));
                }
                Err(Failed::Engine(source)) => {
                    return Err(OpenError::Database { doing: "open the embedded database", source });
                }
            }
        }
    }

    async fn open_at(address: &str, first: First, limit: Option<Duration>) -> Result<Self, Failed> {
        let options =
            OPTIONS.iter().fold(ConfigMap::empty(), |options, (key, value)| options.with_key_value(*key, *value));
        let datastore = Datastore::builder()
            .with_config(options)
            .with_query_timeout(limit)
            .with_transaction_timeout(limit)
            .without_maintenance_tasks()
            .build_with_path(address)
            .await
            .map_err(|error| Failed::Engine(error.into()))?;
        // Before the engine asks for its version: it asks for two minutes if that cannot be read.
        if let First::Read { accept } = first {
            match verify::read_all(&datastore).await {
                Err(error) if accept => {
                    tracing::warn!(error = chain(&error), "using a database that cannot be read as a whole")
                }
                read => drop(read.map_err(Failed::Unreadable)?),
            }
        }
        // In the order of the SDK's own connect: the maintenance tasks write, and may do so only
        // once the version is there.
        datastore.check_version().await.map_err(|error| Failed::Engine(error.into()))?;
        datastore.bootstrap().await.map_err(|error| Failed::Engine(error.into()))?;
        datastore.start_maintenance_tasks();
        let weak = Arc::downgrade(&datastore);
        let db = Surreal::<Db>::unstable_from_datastore(datastore, None)
            .await
            .map_err(|error| Failed::Engine(error.into()))?;
        Ok(Self { db, datastore: weak, closing: CancellationToken::new() })
    }

    /// The result of each statement.
    pub(in super::super) async fn query(
        &self,
        sql: String,
        variables: Value,
    ) -> Result<Vec<surrealdb::Result<Value>>, CallError> {
        let mut response = self.db.query(sql).bind(variables).await.map_err(CallError::Failed)?;
        Ok((0..response.num_statements()).map(|statement| response.take(statement)).collect())
    }

    /// Selects the database for all calls that follow.
    pub(in super::super) async fn select(&self, namespace: &str, database: &str) -> Result<(), CallError> {
        self.db.use_ns(namespace).use_db(database).await.map(drop).map_err(CallError::Failed)
    }

    /// The raw keys and values, where the engine is still open.
    pub(super) fn datastore(&self) -> Option<Arc<Datastore>> {
        self.datastore.upgrade()
    }

    /// Cancelled when it is to close.
    pub(super) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Closes it: waits until the calls in flight have ended, everything is written out, and the
    /// files are let go of. Says whether that came about in time.
    ///
    /// The SDK closes a datastore in the background once the last client is dropped; that its last
    /// reference is gone is the only sign that it has.
    pub(super) async fn close(engine: Arc<Self>) -> bool {
        let datastore = Weak::clone(&engine.datastore);
        engine.closing.cancel();
        drop(engine);
        let give_up = Instant::now() + CLOSE_LIMIT;
        while datastore.strong_count() > 0 {
            if Instant::now() >= give_up {
                return false;
            }
            tokio::time::sleep(CLOSE_POLL).await;
        }
        true
    }
}

/// What RocksDB says of files that are missing, cut off or altered.
fn is_damage(message: &str) -> bool {
    message.contains("Corruption: ") || message.contains("IO error: No such file or directory")
}

/// What RocksDB says of a database that somebody holds: "While lock file" for another process,
/// "lock hold by current process" for this one.
fn is_locked(message: &str) -> bool {
    message.contains("lock hold by current process") || message.contains("While lock file")
}
