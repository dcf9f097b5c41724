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

use super::options::OPTIONS;
use crate::adapters::surreal_store::calls::CALL_TIMEOUT;
use crate::adapters::surreal_store::error::{CallError, OpenError};

/// How long an engine may take to close, and one that was just dropped to let go of its files.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);
const CLOSE_POLL: Duration = Duration::from_millis(5);

type Failed = Box<dyn std::error::Error + Send + Sync>;

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
        Self::open_at("mem://").await.map_err(|source| OpenError::Database { doing: "open the database in memory", source })
    }

    /// Opens, or makes, the database in `folder`. Waits for an engine of this process that was dropped and is still closing.
    pub(super) async fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.to_str().filter(|path| !path.contains('?')).ok_or_else(|| OpenError::Path(folder.to_owned()))?;
        let address = format!("rocksdb://{path}");
        let give_up = Instant::now() + CLOSE_LIMIT;
        loop {
            match Self::open_at(&address).await {
                Ok(engine) => return Ok(engine),
                Err(error) if is_locked(&error.to_string()) => {
                    if Instant::now() >= give_up {
                        return Err(OpenError::Locked { folder: folder.to_owned(), pid: None });
                    }
                    tokio::time::sleep(CLOSE_POLL).await;
                }
                Err(source) => return Err(OpenError::Database { doing: "open the embedded database", source }),
            }
        }
    }

    async fn open_at(address: &str) -> Result<Self, Failed> {
        let options = OPTIONS.iter().fold(ConfigMap::empty(), |options, (key, value)| options.with_key_value(*key, *value));
        let datastore = Datastore::builder()
            .with_config(options)
            .with_query_timeout(Some(CALL_TIMEOUT))
            .with_transaction_timeout(Some(CALL_TIMEOUT))
            .without_maintenance_tasks()
            .build_with_path(address)
            .await?;
        // In the order of the SDK's own connect: the maintenance tasks write, and may do so only once the version is there.
        datastore.check_version().await?;
        datastore.bootstrap().await?;
        datastore.start_maintenance_tasks();
        let weak = Arc::downgrade(&datastore);
        Ok(Self { db: Surreal::<Db>::unstable_from_datastore(datastore, None).await?, datastore: weak, closing: CancellationToken::new() })
    }

    /// The result of each statement.
    pub(in super::super) async fn query(&self, sql: String, variables: Value) -> Result<Vec<surrealdb::Result<Value>>, CallError> {
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

    /// Closes it: waits until the calls in flight have ended, everything is written out, and the files are let go of. Says whether that came about in time.
    ///
    /// The SDK closes a datastore in the background once the last client is dropped; that its last reference is gone is the only sign that it has.
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

/// What RocksDB says of a database that somebody holds: "While lock file" for another process, "lock hold by current process" for this one.
fn is_locked(message: &str) -> bool {
    message.contains("lock hold by current process") || message.contains("While lock file")
}
