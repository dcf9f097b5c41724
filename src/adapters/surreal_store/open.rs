//! Opens and closes the store: locks the folder and opens the embedded database, or connects to the
//! server, and then upgrades the rows of earlier versions.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use futures_util::future::BoxFuture;

use super::before_migration::{self, BeforeMigration};
use super::database::Database;
use super::embedded::{self, BeforeChange, EmbeddedDatabase, Engine, Opening};
use super::error::OpenError;
use super::inner::Inner;
use super::lock::FolderLock;
use super::migrate::{self, ExpectedDatabase, Purpose};
use super::reconnecting_client::ReconnectingClient;
use super::replace;
use super::store::SurrealStore;
use super::upgrade;
use crate::config::{AuthLevel, RemoteDatabase};

/// The version of the embedded engine, because the engine does not report it. A test compares it
/// with the locked dependencies.
pub const ENGINE_VERSION: &str = "3.3.5";

const NAMESPACE: &str = "kastrel";
const DATABASE: &str = "kastrel";

impl SurrealStore {
    /// Opens or creates the embedded database in `folder`. Committed data is on disk.
    ///
    /// # Errors
    /// [`OpenError::Locked`] while another process holds the folder; [`OpenError::Lost`] and
    /// [`OpenError::Damaged`] if committed data is missing; [`OpenError::TooNew`] and
    /// [`OpenError::Checksum`] for the database of another version or build;
    /// [`OpenError::HalfRestored`] after a failed restore; otherwise the error of the folder or the
    /// database.
    pub async fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_folder(folder, Opening { purpose: Purpose::Use, accept_loss: false }, None).await
    }

    /// Opens like [`open`](Self::open), and runs `before` before the schema of an existing database
    /// changes. With `accept_loss` it also opens a database that has lost rows or has unreadable
    /// parts, as far as the engine can open the rest.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and [`OpenError::BeforeMigration`].
    pub async fn open_with(
        folder: &Path,
        before: Option<&dyn BeforeMigration>,
        accept_loss: bool,
    ) -> Result<Self, OpenError> {
        Self::open_folder(folder, Opening { purpose: Purpose::Use, accept_loss }, before).await
    }

    /// Opens like [`open`](Self::open), to restore a backup. Also works after a failed restore.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_to_restore(folder: &Path) -> Result<Self, OpenError> {
        Self::open_folder(folder, Opening { purpose: Purpose::Restore, accept_loss: false }, None).await
    }

    /// Connects to a database server and keeps the connection open. Retries for half a minute while
    /// the server does not respond, and logs each attempt.
    ///
    /// # Errors
    /// [`OpenError::Connect`] for a problem with the server, the user or the network;
    /// [`OpenError::UnsafeEngine`] for a server on an engine that loses rows; otherwise as for
    /// [`open`](Self::open).
    pub async fn connect(address: &RemoteDatabase) -> Result<Self, OpenError> {
        Self::connect_with(address, false).await
    }

    /// Connects like [`connect`](Self::connect). With `allow_unsafe_engine` it also accepts a
    /// server on an engine that is known to lose rows.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn connect_with(address: &RemoteDatabase, allow_unsafe_engine: bool) -> Result<Self, OpenError> {
        Self::connect_for(address, Purpose::Use, allow_unsafe_engine).await
    }

    /// Connects like [`connect_with`](Self::connect_with), to restore a backup. Also works after a
    /// failed restore.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn connect_to_restore(address: &RemoteDatabase, allow_unsafe_engine: bool) -> Result<Self, OpenError> {
        Self::connect_for(address, Purpose::Restore, allow_unsafe_engine).await
    }

    /// Opens a database in memory, which is lost when it is dropped.
    ///
    /// # Errors
    /// The error of the database.
    pub async fn in_memory() -> Result<Self, OpenError> {
        let db = Database::Engine(Arc::new(Engine::in_memory().await?));
        migrate::prepare(&db, NAMESPACE, DATABASE, AuthLevel::Root, Purpose::Use, ExpectedDatabase::Any).await?;
        Self::finish_open(db, None, Purpose::Use).await
    }

    /// Closes an embedded database: running calls finish, committed data is flushed, and the files
    /// are released. Later calls fail, also on clones. Has no effect on a server.
    pub async fn close(&self) {
        if let Database::Embedded(database) = &self.inner.db {
            database.close().await;
        }
    }

    /// Reads all keys and values of an embedded database, which verifies every checksum in its
    /// files, and returns the number of keys. `None` on a server, which manages its own files.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] describes the unreadable part.
    pub async fn read_every_key(&self) -> Result<Option<u64>, OpenError> {
        match &self.inner.db {
            Database::Embedded(database) => database.read_every_key().await.map(Some),
            Database::Engine(_) | Database::Remote(_) => Ok(None),
        }
    }

    /// Waits until the open database turns out to have lost committed data. The process must then
    /// end.
    pub async fn lost(&self) -> String {
        match &self.inner.db {
            Database::Embedded(database) => database.lost().await,
            Database::Engine(_) | Database::Remote(_) => std::future::pending().await,
        }
    }

    /// Marks the ids up to `least` as assigned, because the replaced database assigned them.
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
        let before = before.map(|before| {
            move |engine: Arc<Engine>, schema: i64| -> BoxFuture<'_, Result<(), OpenError>> {
                Box::pin(before_migration::run(Database::Engine(engine), schema, before))
            }
        });
        let before = before.as_ref().map(|before| before as &BeforeChange<'_>);
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

    /// Upgrades the rows of earlier versions. This happens here and not when a connection is made,
    /// because it may take longer than that timeout.
    async fn finish_open(db: Database, lock: Option<FolderLock>, purpose: Purpose) -> Result<Self, OpenError> {
        if purpose == Purpose::Use {
            upgrade::run(&db).await?;
        }
        Ok(Self::from_database(db, lock))
    }

    /// Another store on the same database, like that of another process.
    #[cfg(test)]
    pub(super) fn second_handle(&self) -> Self {
        Self::from_database(self.inner.db.clone(), None)
    }

    pub(super) fn from_database(db: Database, lock: Option<FolderLock>) -> Self {
        Self::new(Inner::new(db, Arc::new(AtomicI64::new(0)), lock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_version_matches_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(
            lock.contains(&format!("name = \"surrealdb\"\nversion = \"{ENGINE_VERSION}\"\n")),
            "{ENGINE_VERSION} is not what Cargo.lock says"
        );
    }
}
