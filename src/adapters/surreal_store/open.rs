//! Opening: the folder's lock and the engine, or the server; then the schema.
//!
//! The embedded engine sizes its memory table and its cache after the machine. The SDK's `connect` passes on neither the address's parameters nor the environment for these, so bounding
//! them needs the engine's own builder.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use surrealdb::Surreal;
use surrealdb::engine::local::Db;
use surrealdb_cnf::ConfigMap;
use surrealdb_engine_local::Datastore;

use super::address::{AuthLevel, RemoteDatabase};
use super::backfill;
use super::before_migration::{self, BeforeMigration};
use super::calls::{CALL_TIMEOUT, Database};
use super::error::OpenError;
use super::link::Link;
use super::lock::FolderLock;
use super::migrate::{self, Ground, Purpose};
use super::replace;
use super::store::{Inner, SurrealStore};

/// The version of the embedded engine, which tells it to nobody. A test holds it against the locked dependencies.
pub const ENGINE_VERSION: &str = "3.3.5";

const NAMESPACE: &str = "kastrel";
const DATABASE: &str = "kastrel";
const FOLDER: &str = "database";

/// How long the engine of a store that was just dropped may take to let go of its files.
const CLOSING: Duration = Duration::from_secs(10);

impl SurrealStore {
    /// Opens, or makes, the embedded database in `folder`. What is committed is on the disk.
    ///
    /// # Errors
    /// [`OpenError::Locked`] while another process holds the folder; [`OpenError::TooNew`] and [`OpenError::Checksum`] for a database of another program;
    /// [`OpenError::HalfRestored`] after a restore that failed; else what the folder or the database said.
    pub async fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_folder(folder, Purpose::Use, None).await
    }

    /// As [`open`](Self::open); `before` is run before the schema of an existing database changes.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`OpenError::BeforeMigration`].
    pub async fn open_with(folder: &Path, before: &dyn BeforeMigration) -> Result<Self, OpenError> {
        Self::open_folder(folder, Purpose::Use, Some(before)).await
    }

    /// As [`open`](Self::open), to restore a backup: also where an earlier restore failed.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_to_restore(folder: &Path) -> Result<Self, OpenError> {
        Self::open_folder(folder, Purpose::Restore, None).await
    }

    /// Connects to a database server, and keeps the connection. A server that does not answer is tried for half a minute, with a log line for each try.
    ///
    /// # Errors
    /// [`OpenError::Connect`] says what is wrong with the server, the user or the way to it; else as [`open`](Self::open).
    pub async fn connect(address: &RemoteDatabase) -> Result<Self, OpenError> {
        Self::connect_for(address, Purpose::Use).await
    }

    /// As [`connect`](Self::connect), to restore a backup: also where an earlier restore failed.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_to_restore(address: &RemoteDatabase) -> Result<Self, OpenError> {
        Self::connect_for(address, Purpose::Restore).await
    }

    /// A database that forgets everything when it is dropped.
    ///
    /// # Errors
    /// What the database said.
    pub async fn in_memory() -> Result<Self, OpenError> {
        let db = open_engine_at("mem://").await.map_err(|source| OpenError::Database { doing: "open the database in memory", source })?;
        Self::embedded(db, None, Purpose::Use, None).await
    }

    async fn open_folder(folder: &Path, purpose: Purpose, before: Option<&dyn BeforeMigration>) -> Result<Self, OpenError> {
        let lock = FolderLock::take(folder)?;
        replace::check(folder)?;
        let path = folder.join(FOLDER);
        let path = path.to_str().filter(|path| !path.contains('?')).ok_or_else(|| OpenError::Path(folder.to_owned()))?;
        let db = open_engine(&format!("surrealkv://{path}?sync=every"), folder).await?;
        Self::embedded(db, Some(lock), purpose, before).await
    }

    async fn embedded(db: Database, lock: Option<FolderLock>, purpose: Purpose, before: Option<&dyn BeforeMigration>) -> Result<Self, OpenError> {
        migrate::select_database(&db, NAMESPACE, DATABASE, AuthLevel::Root).await?;
        before_migration::run(&db, before).await?;
        migrate::prepare(&db, NAMESPACE, DATABASE, AuthLevel::Root, purpose, Ground::Any).await?;
        Self::whole(db, lock, purpose).await
    }

    async fn connect_for(address: &RemoteDatabase, purpose: Purpose) -> Result<Self, OpenError> {
        Self::whole(Database::Remote(Link::open(address, purpose).await?), None, purpose).await
    }

    /// Fills in what earlier versions did not keep: here and not where connections are made, because it may take longer than those may.
    async fn whole(db: Database, lock: Option<FolderLock>, purpose: Purpose) -> Result<Self, OpenError> {
        if purpose == Purpose::Use {
            backfill::run(&db).await?;
        }
        Ok(Self::over(db, lock))
    }

    /// Another store on the same database, as another process would have it.
    #[cfg(test)]
    pub(super) fn twin(&self) -> Self {
        Self::over(self.inner.db.clone(), None)
    }

    pub(super) fn over(db: Database, lock: Option<FolderLock>) -> Self {
        Self { inner: Arc::new(Inner::new(db, Arc::new(AtomicI64::new(0)), lock)) }
    }
}

/// What the embedded engine may hold in memory. Its own defaults are made for a machine that it has to itself: a memory table of 1 GiB and half of the memory as cache on one with 16 GiB.
///
/// Neither the address nor the environment of an embedded engine reaches these, so its store is built here and not by the SDK's `connect`.
const LIMITS: &[(&str, &str)] = &[
    ("surrealkv_max_memtable_size", "25165824"),
    ("surrealkv_block_cache_capacity", "8388608"),
    ("surrealkv_vlog_max_file_size", "67108864"),
    ("transaction_cache_size", "128"),
    ("datastore_cache_size", "128"),
];

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn open_engine_at(address: &str) -> Result<Database, Failed> {
    let limits = LIMITS.iter().fold(ConfigMap::empty(), |limits, (key, value)| limits.with_key_value(*key, *value));
    let datastore = Datastore::builder()
        .with_config(limits)
        .with_query_timeout(Some(CALL_TIMEOUT))
        .with_transaction_timeout(Some(CALL_TIMEOUT))
        .without_maintenance_tasks()
        .build_with_path(address)
        .await?;
    // In the order of the SDK's own connect: the maintenance tasks write, and may do so only once the version is there.
    datastore.check_version().await?;
    datastore.bootstrap().await?;
    datastore.start_maintenance_tasks();
    Ok(Database::Embedded(Surreal::<Db>::unstable_from_datastore(datastore, None).await?))
}

/// The engine of a dropped store closes in the background and holds its files until it has; so we, who hold the folder's lock, wait for it.
async fn open_engine(address: &str, folder: &Path) -> Result<Database, OpenError> {
    let give_up = tokio::time::Instant::now() + CLOSING;
    loop {
        match open_engine_at(address).await {
            Ok(db) => return Ok(db),
            Err(error) if !error.to_string().contains("already locked") => {
                return Err(OpenError::Database { doing: "open the embedded database", source: error });
            }
            Err(_) if tokio::time::Instant::now() >= give_up => return Err(OpenError::Locked { folder: folder.to_owned(), pid: None }),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_version_is_the_one_that_is_locked() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"surrealdb\"\nversion = \"{ENGINE_VERSION}\"\n")), "{ENGINE_VERSION} is not what Cargo.lock says");
    }
}
