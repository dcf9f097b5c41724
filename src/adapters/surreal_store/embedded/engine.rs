//! One database engine: opened with bounded memory, queried, and closed reliably.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
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
use crate::adapters::surreal_store::executor::Executor;
use crate::error_chain::chain;

/// The timeout for closing an engine, and for a dropped engine to release its files.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);
const CLOSE_POLL: Duration = Duration::from_millis(5);

/// What happens to a database before its first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// Nothing.
    Use,
    /// Read all of it. `accept`: unreadable parts are only logged.
    Read { accept: bool },
}

enum Failed {
    Engine(Box<dyn std::error::Error + Send + Sync>),
    Unreadable(Unreadable),
}

/// An open engine; see the module docs.
#[derive(Debug)]
pub(in super::super) struct Engine {
    db: Surreal<Db>,
    datastore: Weak<Datastore>,
    closing: CancellationToken,
}

impl Engine {
    /// Opens an engine that keeps everything in memory.
    pub(in super::super) async fn in_memory() -> Result<Self, OpenError> {
        Self::open_at("mem://", First::Use, Some(CALL_TIMEOUT)).await.map_err(|error| match error {
            Failed::Engine(source) => OpenError::Database { doing: "open the database in memory", source },
            Failed::Unreadable(error) => error.into(),
        })
    }

    /// Opens or creates the database in `folder`. Waits for a dropped engine of this process that
    /// is still closing. `first` is the check before the first use. `limit` is the timeout of a
    /// statement or transaction.
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
        // Must come before the version check, which retries for two minutes if the version cannot
        // be read.
        if let First::Read { accept } = first {
            match verify::read_all(&datastore).await {
                Err(error) if accept => {
                    tracing::warn!(error = chain(&error), "using a database that cannot be read as a whole");
                }
                read => drop(read.map_err(Failed::Unreadable)?),
            }
        }
        // Same order as in `connect` of the SDK: the maintenance tasks write, so they must start
        // after the version check.
        datastore.check_version().await.map_err(|error| Failed::Engine(error.into()))?;
        datastore.bootstrap().await.map_err(|error| Failed::Engine(error.into()))?;
        datastore.start_maintenance_tasks();
        let weak = Arc::downgrade(&datastore);
        let db = Surreal::<Db>::unstable_from_datastore(datastore, None)
            .await
            .map_err(|error| Failed::Engine(error.into()))?;
        Ok(Self { db, datastore: weak, closing: CancellationToken::new() })
    }

    /// Returns access to the raw keys and values, if the engine is still open.
    pub(super) fn datastore(&self) -> Option<Arc<Datastore>> {
        self.datastore.upgrade()
    }

    /// A token that is cancelled when the engine starts to close.
    pub(super) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Closes the engine: waits until running calls finish, all data is flushed, and the files are
    /// released. Returns false on timeout.
    ///
    /// The SDK closes a datastore in the background after the last client is dropped. The only sign
    /// that it is closed is that its last reference is dropped.
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

#[async_trait]
impl Executor for Engine {
    async fn query(&self, sql: String, variables: Value) -> Result<Vec<surrealdb::Result<Value>>, CallError> {
        let mut response = self.db.query(sql).bind(variables).await.map_err(CallError::Failed)?;
        Ok((0..response.num_statements()).map(|statement| response.take(statement)).collect())
    }

    async fn select(&self, namespace: &str, database: &str) -> Result<(), CallError> {
        self.db.use_ns(namespace).use_db(database).await.map(drop).map_err(CallError::Failed)
    }
}

/// True for the RocksDB errors about missing, truncated or altered files.
fn is_damage(message: &str) -> bool {
    message.contains("Corruption: ") || message.contains("IO error: No such file or directory")
}

/// True for the RocksDB errors about a database that is in use: "While lock file" for another
/// process, "lock hold by current process" for this one.
fn is_locked(message: &str) -> bool {
    message.contains("lock hold by current process") || message.contains("While lock file")
}
