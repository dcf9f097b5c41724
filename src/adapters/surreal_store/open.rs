//! Opening: the folder's lock and the embedded database, or the server; then what earlier versions
//! did not keep. And closing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use super::address::{AuthLevel, RemoteDatabase};
use super::backfill;
use super::before_migration::BeforeMigration;
use super::calls::Database;
use super::embedded::{self, EmbeddedDatabase, Engine, Opening};
use super::error::OpenError;
use super::lock::FolderLock;
use super::migrate::{self, ExpectedDatabase, Purpose};
use super::reconnecting_client::ReconnectingClient;
use super::replace;
use super::store::{Inner, SurrealStore};

/// The version of the embedded engine, which tells it to nobody. A test holds it against the locked
/// dependencies.
pub const ENGINE_VERSION: &str = "3.3.5";

const NAMESPACE: &str = "kastrel";
const DATABASE: &str = "kastrel";

impl SurrealStore {
    /// Opens, or makes, the embedded database in `folder`. What is committed is on the disk.
    ///
    /// # Errors
    /// [`OpenError::Locked`] while another process holds the folder; [`OpenError::Lost`] and
    /// [`OpenError::Damaged`] for a database that lacks something that was committed;
    /// [`OpenError::TooNew`] and [`OpenError::Checksum`] for a database of another program;
    /// [`OpenError::HalfRestored`] after a restore that failed; else what the folder or the
    /// database said.
    pub async fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_folder(folder, Opening { purpose: Purpose::Use, accept_loss: false }, None).await
    }

    /// As [`open`](Self::open); `before` is run before the schema of an existing database changes.
    /// `accept_loss`: also where rows are lost or cannot be read, as far as the engine can open
    /// what is left.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`OpenError::BeforeMigration`].
    pub async fn open_with(
        folder: &Path,
        before: Option<&dyn BeforeMigration>,
        accept_loss: bool,
    ) -> Result<Self, OpenError> {
        Self::open_folder(folder, Opening { purpose: Purpose::Use, accept_loss }, before).await
    }

    /// As [`open`](Self::open), to restore a backup: also where an earlier restore failed.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_to_restore(folder: &Path) -> Result<Self, OpenError> {
        Self::open_folder(folder, Opening { purpose: Purpose::Restore, accept_loss: false }, None).await
    }

    /// Connects to a database server, and keeps the connection. A server that does not answer is
    /// tried for half a minute, with a log line for each try.
    ///
    /// # Errors
    /// [`OpenError::Connect`] says what is wrong with the server, the user or the way to it;
    /// [`OpenError::UnsafeEngine`] for a server on an engine that loses rows; else as
    /// [`open`](Self::open).
    pub async fn connect(address: &RemoteDatabase) -> Result<Self, OpenError> {
        Self::connect_with(address, false).await
    }

    /// As [`connect`](Self::connect). `allow_unsafe_engine`: also to a server on an engine that is
    /// known to lose rows.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(address: &RemoteDatabase, allow_unsafe_engine: bool) -> Result<Self, OpenError> {
        Self::connect_for(address, Purpose::Use, allow_unsafe_engine).await
    }

    /// As [`connect_with`](Self::connect_with), to restore a backup: also where an earlier restore
    /// failed.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_to_restore(address: &RemoteDatabase, allow_unsafe_engine: bool) -> Result<Self, OpenError> {
        Self::connect_for(address, Purpose::Restore, allow_unsafe_engine).await
    }

    /// A database that forgets everything when it is dropped.
    ///
    /// # Errors
    /// What the database said.
    pub async fn in_memory() -> Result<Self, OpenError> {
        let db = Database::Engine(Arc::new(Engine::in_memory().await?));
        migrate::prepare(&db, NAMESPACE, DATABASE, AuthLevel::Root, Purpose::Use, ExpectedDatabase::Any).await?;
        Self::finish_open(db, None, Purpose::Use).await
    }

    /// Closes an embedded database: calls in flight end, what is committed is written out, and the
    /// files are let go of. Later calls fail, also those of clones. Does nothing to a server.
    pub async fn close(&self) {
        if let Database::Embedded(database) = &self.inner.db {
            database.close().await;
        }
    }

    /// Reads all keys and values of an embedded database, so that every checksum in its files is
    /// checked, and counts the keys. `None` on a server, whose files are its own.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] says what cannot be read.
    pub async fn read_every_key(&self) -> Result<Option<u64>, OpenError> {
        match &self.inner.db {
            Database::Embedded(database) => database.read_every_key().await.map(Some),
            Database::Engine(_) | Database::Remote(_) | Database::WsConnection(_) => Ok(None),
        }
    }

    /// Waits until the database turns out, while it is used, to have lost what was committed. The
    /// process must end then.
    pub async fn lost(&self) -> String {
        match &self.inner.db {
            Database::Embedded(database) => database.lost().await,
            Database::Engine(_) | Database::Remote(_) | Database::WsConnection(_) => std::future::pending().await,
        }
    }

    /// Ids up to `least` count as given out: they belonged to a database that this one replaces.
    pub(super) async fn keep_ids_above(&self, least: u64) -> Result<(), OpenError> {
        let failed = |source: super::error::CallError| OpenError::Database {
            doing: "keep the ids of the database that is replaced",
            source: Box::new(source),
        };
        embedded::keep_ids_above(&self.inner.db, least).await.map_err(failed)
    }

    async fn open_folder(
        folder: &Path,
        opening: Opening,
        before: Option<&dyn BeforeMigration>,
    ) -> Result<Self, OpenError> {
        let lock = FolderLock::take(folder)?;
        replace::check(folder)?;
        let database = EmbeddedDatabase::open(folder, opening, before).await?;
        Self::finish_open(Database::Embedded(database), Some(lock), opening.purpose).await
    }

    async fn connect_for(
        address: &RemoteDatabase,
        purpose: Purpose,
        allow_unsafe_engine: bool,
    ) -> Result<Self, OpenError> {
        Self::finish_open(
            Database::Remote(ReconnectingClient::open(address, purpose, allow_unsafe_engine).await?),
            None,
            purpose,
        )
        .await
    }

    /// Fills in what earlier versions did not keep: here and not where connections are made,
    /// because it may take longer than those may.
    async fn finish_open(db: Database, lock: Option<FolderLock>, purpose: Purpose) -> Result<Self, OpenError> {
        if purpose == Purpose::Use {
            backfill::run(&db).await?;
        }
        Ok(Self::from_database(db, lock))
    }

    /// Another store on the same database, as another process would have it.
    #[cfg(test)]
    pub(super) fn second_handle(&self) -> Self {
        Self::from_database(self.inner.db.clone(), None)
    }

    pub(super) fn from_database(db: Database, lock: Option<FolderLock>) -> Self {
        Self { inner: Arc::new(Inner::new(db, Arc::new(AtomicI64::new(0)), lock)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_version_is_the_one_that_is_locked() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(
            lock.contains(&format!("name = \"surrealdb\"\nversion = \"{ENGINE_VERSION}\"\n")),
            "{ENGINE_VERSION} is not what Cargo.lock says"
        );
    }
}
