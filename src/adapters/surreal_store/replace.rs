//! Replaces the embedded database of a data folder with a restored one.
//!
//! - **The new database** is created in its own subfolder, which is a complete data folder. The old
//!   database stays in place, sound or damaged, until the new one is complete. A failed restore
//!   changes nothing.
//! - **Nothing is deleted**: the old database and its high-water record are renamed.
//! - **While files are renamed** a mark file exists. A process that finds it does not open the
//!   folder, because opening would create an empty database: another restore must complete the
//!   replacement.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::embedded;
use super::error::OpenError;
use super::folders::{free_name, sync};
use super::lock::FolderLock;
use super::store::SurrealStore;

/// The parts of the database in a data folder.
const OF_DATABASE: &[&str] = &[embedded::DATABASE_FOLDER, embedded::HIGH_WATER_FILE];
/// The subfolder of the new database.
const NEW: &str = "restoring";
/// The mark file.
const MARK: &str = "replacing-database";

/// A restore that replaces the database. If it is dropped before [`finish`](Self::finish), the old
/// database stays in place.
#[derive(Debug)]
pub struct Replacement {
    folder: PathBuf,
    store: SurrealStore,
    _lock: FolderLock,
}

impl Replacement {
    /// Locks the data folder, and creates an empty database to restore into.
    ///
    /// # Errors
    /// [`OpenError::Locked`] while another process holds the folder; otherwise the error of the
    /// folder or the database.
    pub async fn begin(folder: &Path) -> Result<Self, OpenError> {
        let lock = FolderLock::take(folder)?;
        let new = folder.join(NEW);
        // The remains of an unfinished restore.
        remove(&new).map_err(failed(&new))?;
        let store = SurrealStore::open_to_restore(&new).await?;
        Ok(Self { folder: folder.to_owned(), store, _lock: lock })
    }

    /// The new database.
    #[must_use]
    pub const fn store(&self) -> &SurrealStore {
        &self.store
    }

    /// Replaces the old database with the new one. Returns the new paths of the old database.
    ///
    /// # Errors
    /// The error of the database or the folder.
    pub async fn finish(self, now: Timestamp) -> Result<Vec<PathBuf>, OpenError> {
        let Self { folder, store, _lock } = self;
        // Ids that the old database assigned are not assigned again, including those after the
        // backup.
        store.keep_ids_above(embedded::last_recorded(&folder)).await?;
        store.close().await;
        let new = folder.join(NEW);
        swap(&folder, &new, now).map_err(failed(&folder))
    }
}

/// Returns an error if the folder has an unfinished replacement.
pub(super) fn check(folder: &Path) -> Result<(), OpenError> {
    match folder.join(MARK).try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(OpenError::HalfReplaced),
        Err(error) => Err(failed(folder)(error)),
    }
}

fn swap(folder: &Path, new: &Path, now: Timestamp) -> io::Result<Vec<PathBuf>> {
    let mark = folder.join(MARK);
    let is_repeated = mark.try_exists()?;
    File::create(&mark)?.sync_all()?;
    sync(folder)?;
    let mut moves = 0;
    let aside = match move_files(folder, new, now, &mut moves) {
        Ok(aside) => aside,
        Err(error) => {
            // The first folder could not be renamed, for example because it is a mount point:
            // nothing has changed.
            if moves == 0 && !is_repeated {
                std::fs::remove_file(&mark)?;
            }
            return Err(error);
        }
    };
    sync(folder)?;
    std::fs::remove_file(&mark)?;
    sync(folder)?;
    remove(new)?;
    Ok(aside)
}

fn move_files(folder: &Path, new: &Path, now: Timestamp, moves: &mut usize) -> io::Result<Vec<PathBuf>> {
    let mut aside = Vec::new();
    let mut rename = |from: &Path, to: &Path| match std::fs::rename(from, to) {
        Ok(()) => {
            *moves += 1;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    for name in OF_DATABASE {
        let place = folder.join(name);
        let other = free_name(folder, &format!("{name}.replaced-{}", now.strftime("%Y%m%dT%H%M%SZ")));
        if rename(&place, &other)? {
            aside.push(other);
        }
        rename(&new.join(name), &place)?;
    }
    Ok(aside)
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn failed(folder: &Path) -> impl Fn(io::Error) -> OpenError {
    let folder = folder.to_owned();
    move |source| OpenError::Folder { folder: folder.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn make(folder: &Path, name: &str, text: &str) {
        std::fs::create_dir_all(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join("file"), text).unwrap();
    }

    #[test]
    fn the_old_database_is_renamed_with_its_high_water_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        make(path, "database", "old");
        make(path, "database.replaced-19700101T000000Z", "older");
        std::fs::write(path.join("high-water"), "old").unwrap();
        make(path, "results", "kept");
        make(&path.join(NEW), "database", "new");
        std::fs::write(path.join(NEW).join("kastrel.lock"), "1").unwrap();
        let aside = swap(path, &path.join(NEW), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            aside,
            [path.join("database.replaced-19700101T000000Z-2"), path.join("high-water.replaced-19700101T000000Z")]
        );
        assert_eq!(
            names(path),
            [
                "database",
                "database.replaced-19700101T000000Z",
                "database.replaced-19700101T000000Z-2",
                "high-water.replaced-19700101T000000Z",
                "results"
            ]
        );
        assert_eq!(std::fs::read_to_string(path.join("database/file")).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(aside[0].join("file")).unwrap(), "old");
        check(path).unwrap();
    }

    /// A replacement that stopped after the old database was renamed. Opening would create an empty
    /// database.
    #[tokio::test]
    async fn an_unfinished_replacement_is_not_opened_and_can_be_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::write(path.join(MARK), "").unwrap();
        make(path, "database.replaced-19700101T000000Z", "old");
        make(path, NEW, "whatever");
        for opened in [SurrealStore::open(path).await, SurrealStore::open_to_restore(path).await] {
            assert!(matches!(opened, Err(OpenError::HalfReplaced)), "{opened:?}");
        }
        assert!(!path.join("database").exists());
        let replacement = Replacement::begin(path).await.unwrap();
        assert!(
            matches!(SurrealStore::open(path).await, Err(OpenError::Locked { .. })),
            "the folder is held meanwhile"
        );
        assert!(replacement.finish(Timestamp::UNIX_EPOCH).await.unwrap().is_empty());
        SurrealStore::open(path).await.unwrap();
        assert!(!path.join(NEW).exists() && path.join("database.replaced-19700101T000000Z").exists());
    }
}
