//! Opens the database alone, for a backup or a restore, without starting anything that uses it.

use std::path::{Path, PathBuf};

use kastrel_actors::model::{ProjectFilter, StoreStats};
use kastrel_actors::ports::{Clock as _, ScanQueries as _, StoreError, SystemClock};

use super::AppError;
use crate::adapters::surreal_store::{BeforeMigration, OpenError, Replacement, SurrealStore};
use crate::backup::BackupFolder;
use crate::config::{Config, RemoteDatabase};
use crate::private;

/// The folder of the engine's files in the data folder.
const FILES: &str = "database";

/// Opens the configured database for a backup. An embedded database must exist already: a backup of
/// a mistyped folder would be empty.
///
/// # Errors
/// The database does not exist, another process holds it, or it does not respond.
pub async fn database_to_back_up(config: &Config) -> Result<SurrealStore, AppError> {
    match &config.database.url {
        None if !config.data.dir.join(FILES).is_dir() => Err(AppError::NoDatabase { dir: config.data.dir.clone() }),
        None => embedded(config, &config.data.dir).await,
        Some(url) => {
            let address: RemoteDatabase = url.expose().parse()?;
            // An engine that may lose rows is accepted too: the backup is the way to leave it.
            SurrealStore::connect_with(&address, true)
                .await
                .map_err(|source| AppError::RemoteDatabase { url: url.to_string(), source })
        }
    }
}

/// The database into which a backup is restored.
#[derive(Debug)]
pub enum RestoreTarget {
    /// An empty database.
    Empty(SurrealStore),
    /// A new database that replaces the existing one when the restore is complete.
    Replacement(Replacement),
}

impl RestoreTarget {
    /// Opens or creates the configured database. With `replace`, the restore replaces the content
    /// of an embedded database.
    ///
    /// # Errors
    /// Another process holds the database, it does not respond, or it cannot be replaced.
    pub async fn open(config: &Config, replace: bool) -> Result<Self, AppError> {
        let dir = &config.data.dir;
        private::hide_new_files();
        if config.database.url.is_none() {
            let failed = |source| AppError::Folder { path: dir.clone(), source };
            private::make(dir).map_err(failed)?;
            if private::is_own_data_folder(dir) {
                private::tighten(dir).map_err(failed)?;
            }
        }
        match (&config.database.url, replace) {
            (None, true) => {
                Ok(Self::Replacement(Replacement::begin(dir).await.map_err(|error| folder_error(error, dir))?))
            }
            (None, false) => {
                Ok(Self::Empty(SurrealStore::open_to_restore(dir).await.map_err(|error| folder_error(error, dir))?))
            }
            (Some(_), true) => Err(AppError::ReplaceRemote),
            (Some(url), false) => {
                let address: RemoteDatabase = url.expose().parse()?;
                let store = SurrealStore::connect_to_restore(&address, config.database.allow_unsafe_engine).await;
                Ok(Self::Empty(store.map_err(|source| AppError::RemoteDatabase { url: url.to_string(), source })?))
            }
        }
    }

    /// Returns the store to restore into.
    #[must_use]
    pub const fn store(&self) -> &SurrealStore {
        match self {
            Self::Empty(store) => store,
            Self::Replacement(replacement) => replacement.store(),
        }
    }

    /// Returns the number of scans in each state.
    ///
    /// # Errors
    /// A failure of the database.
    pub async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.store().stats(&ProjectFilter::All).await
    }

    /// Ends the restore: a replacement takes the place of the old database. Returns the new paths
    /// of the old database's files.
    ///
    /// # Errors
    /// The data folder cannot be changed.
    pub async fn finish(self, config: &Config) -> Result<Vec<PathBuf>, AppError> {
        match self {
            Self::Empty(store) => {
                store.close().await;
                Ok(Vec::new())
            }
            Self::Replacement(replacement) => {
                replacement.finish(SystemClock.now()).await.map_err(|error| folder_error(error, &config.data.dir))
            }
        }
    }
}

/// Returns the folder of the automatic backups.
///
/// # Errors
/// The current directory cannot be determined.
pub fn backup_folder(config: &Config) -> Result<BackupFolder, AppError> {
    Ok(BackupFolder::new(super::common::absolute(&config.backup_dir())?, config.backup.keep))
}

/// Opens the embedded database of a data folder and takes the folder's lock. The database is backed
/// up before its schema changes.
pub(super) async fn embedded(config: &Config, data_dir: &Path) -> Result<SurrealStore, AppError> {
    let folder = config.makes_backups().then(|| backup_folder(config)).transpose()?;
    let before = folder.as_ref().map(|folder| folder as &dyn BeforeMigration);
    let opened = SurrealStore::open_with(data_dir, before, config.database.accept_loss).await;
    opened.map_err(|error| folder_error(error, data_dir))
}

pub(super) fn folder_error(error: OpenError, dir: &Path) -> AppError {
    match error {
        OpenError::Locked { pid, .. } => AppError::DataDirLocked { dir: dir.to_owned(), pid },
        source => AppError::Database { dir: PathBuf::from(dir), source },
    }
}
