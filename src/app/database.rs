//! The database by itself: opened to back it up or to restore it, without anything that works on it.

use std::path::{Path, PathBuf};

use super::AppError;
use crate::adapters::surreal_store::{OpenError, RemoteDatabase, SurrealStore};
use crate::config::Config;

/// Where the engine keeps its files in the data folder.
const FILES: &str = "database";

/// Opens the database that the configuration names, as it is. An embedded one must be there already: nobody wants a backup of a folder that they have mistyped.
///
/// # Errors
/// There is none, another process holds it, or it does not answer.
pub async fn database_to_back_up(config: &Config) -> Result<SurrealStore, AppError> {
    match &config.database.url {
        None if !config.data.dir.join(FILES).is_dir() => Err(AppError::NoDatabase { dir: config.data.dir.clone() }),
        None => embedded(config, &config.data.dir).await,
        Some(url) => {
            let address: RemoteDatabase = url.expose().parse()?;
            SurrealStore::connect(&address).await.map_err(|source| AppError::RemoteDatabase { url: url.to_string(), source })
        }
    }
}

/// Opens the database that the configuration names, or makes it, to restore a backup into it.
///
/// # Errors
/// Another process holds it, or it does not answer.
pub async fn database_to_restore(config: &Config) -> Result<SurrealStore, AppError> {
    match &config.database.url {
        None => SurrealStore::open_to_restore(&config.data.dir).await.map_err(|error| folder_error(error, &config.data.dir)),
        Some(url) => {
            let address: RemoteDatabase = url.expose().parse()?;
            SurrealStore::connect_to_restore(&address).await.map_err(|source| AppError::RemoteDatabase { url: url.to_string(), source })
        }
    }
}

/// The embedded database of a data folder, with the folder's lock.
pub(super) async fn embedded(config: &Config, data_dir: &Path) -> Result<SurrealStore, AppError> {
    let opened = if config.database.accept_loss { SurrealStore::open_with_loss(data_dir).await } else { SurrealStore::open(data_dir).await };
    opened.map_err(|error| folder_error(error, data_dir))
}

pub(super) fn folder_error(error: OpenError, dir: &Path) -> AppError {
    match error {
        OpenError::Locked { pid, .. } => AppError::DataDirLocked { dir: dir.to_owned(), pid },
        source => AppError::Database { dir: PathBuf::from(dir), source },
    }
}
