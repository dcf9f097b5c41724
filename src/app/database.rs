//! The database by itself: opened to back it up or to restore it, without anything that works on
//! it.

use std::path::{Path, PathBuf};

use kastrel_actors::ports::{Clock as _, SystemClock};

use super::AppError;
use crate::adapters::surreal_store::{BeforeMigration, OpenError, RemoteDatabase, Replacement, SurrealStore};
use crate::backup::BackupFolder;
use crate::config::Config;
use crate::private;

/// Where the engine keeps its files in the data folder.
const FILES: &str = "database";

/// Opens the database that the configuration names, as it is. An embedded one must be there
/// already: nobody wants a backup of a folder that they have mistyped.
///
/// # Errors
/// There is none, another process holds it, or it does not answer.
pub async fn database_to_back_up(config: &Config) -> Result<SurrealStore, AppError> {
    match &config.database.url {
        None if !config.data.dir.join(FILES).is_dir() => Err(AppError::NoDatabase { dir: config.data.dir.clone() }),
        None => embedded(config, &config.data.dir).await,
        Some(url) => {
            let address: RemoteDatabase = url.expose().parse()?;
            // Also one that runs on an engine that loses rows: a backup is the way out of it.
            SurrealStore::connect_with(&address, true)
                .await
                .map_err(|source| AppError::RemoteDatabase { url: url.to_string(), source })
        }
    }
}

/// A database that is restored into.
#[derive(Debug)]
pub enum RestoreTarget {
    /// One that is empty.
    Empty(SurrealStore),
    /// One that takes the place of another when it is whole.
    Replacement(Replacement),
}

impl RestoreTarget {
    /// Opens the database that the configuration names, or makes it. `replace`: what an embedded
    /// one holds makes way for it.
    ///
    /// # Errors
    /// Another process holds it, it does not answer, or it is not one that can be replaced.
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

    /// What to restore into.
    #[must_use]
    pub const fn store(&self) -> &SurrealStore {
        match self {
            Self::Empty(store) => store,
            Self::Replacement(replacement) => replacement.store(),
        }
    }

    /// Ends the restore: a replacement takes its place. What the old database is called now.
    ///
    /// # Errors
    /// The data folder failed.
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

/// The folder of the automatic backups.
///
/// # Errors
/// There is no working directory to begin at.
pub fn backup_folder(config: &Config) -> Result<BackupFolder, AppError> {
    Ok(BackupFolder::new(super::absolute(&config.backup_dir())?, config.backup.keep))
}

/// The embedded database of a data folder, with the folder's lock. It is backed up before its
/// schema changes.
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
