//! Writes a file atomically: it appears completely or not at all.
//!
//! The file is written under a temporary name in the same folder, readable for its owner only. It
//! gets its final name when all data is on the disk. If the command ends before that, nothing
//! remains.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempPath;
use tokio::fs::File;

use super::error::CliError;

/// A file that is being written. See the module documentation.
pub(super) struct NewFile {
    path: PathBuf,
    replace: bool,
    unfinished: TempPath,
    /// The open file to write to.
    pub(super) file: File,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to write {}", path.display())]
struct WriteError {
    path: PathBuf,
    source: io::Error,
}

impl NewFile {
    /// Begins a file for `path`. `replace`: an existing file may be replaced, if it is a regular
    /// file.
    pub(super) fn begin(path: &Path, replace: bool) -> Result<Self, CliError> {
        match path.symlink_metadata() {
            Ok(found) if !found.is_file() => {
                return Err(CliError::Usage(format!("{} exists and is not a file", path.display())));
            }
            Ok(_) if !replace => return Err(exists(path)),
            Ok(_) | Err(_) => {}
        }
        let failed = |source| failed(path, source);
        let unfinished =
            tempfile::Builder::new().prefix(".kastrel-unfinished-").tempfile_in(folder(path)).map_err(failed)?;
        let (file, unfinished) = unfinished.into_parts();
        Ok(Self { path: path.to_owned(), replace, unfinished, file: File::from_std(file) })
    }

    /// Moves the written and flushed file to its final name.
    pub(super) async fn finish(self) -> Result<(), CliError> {
        let Self { path, replace, unfinished, file } = self;
        file.sync_all().await.map_err(|source| failed(&path, source))?;
        let placed = if replace { unfinished.persist(&path) } else { unfinished.persist_noclobber(&path) };
        match placed {
            Ok(()) => {}
            // Another process created the file in the meantime.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(&path)),
            Err(error) => return Err(failed(&path, error.error)),
        }
        // The name is durable only when the folder is synced.
        let folder = File::open(folder(&path)).await.map_err(|source| failed(&path, source))?;
        folder.sync_all().await.map_err(|source| failed(&path, source))
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn exists(path: &Path) -> CliError {
    CliError::Usage(format!("{} exists; `--force` replaces it", path.display()))
}

fn failed(path: &Path, source: io::Error) -> CliError {
    CliError::App(Box::new(WriteError { path: path.to_owned(), source }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::cli::error::chain;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    async fn write(path: &Path, replace: bool, text: &str) -> Result<(), CliError> {
        let mut new = NewFile::begin(path, replace)?;
        new.file.write_all(text.as_bytes()).await.unwrap();
        new.file.flush().await.unwrap();
        new.finish().await
    }

    #[tokio::test]
    async fn new_file_appears_completely_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.backup");
        write(&path, false, "whole").await.unwrap();
        assert_eq!(
            (std::fs::read_to_string(&path).unwrap(), names(folder.path())),
            ("whole".into(), vec!["a.backup".into()])
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let error = write(&path, false, "other").await.unwrap_err();
        assert!(error.to_string().ends_with("a.backup exists; `--force` replaces it"), "{error}");
        assert_eq!(error.exit().code(), 2);
        write(&path, true, "other").await.unwrap();
        assert_eq!(
            (std::fs::read_to_string(&path).unwrap(), names(folder.path())),
            ("other".into(), vec!["a.backup".into()])
        );
    }

    #[tokio::test]
    async fn unfinished_file_leaves_nothing_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.backup");
        drop(NewFile::begin(&path, false).unwrap());
        assert_eq!(names(folder.path()), Vec::<String>::new());
        let mut late = NewFile::begin(&path, false).unwrap();
        late.file.write_all(b"late").await.unwrap();
        write(&path, false, "first").await.unwrap();
        assert!(late.finish().await.unwrap_err().to_string().contains("--force"));
        assert_eq!((std::fs::read_to_string(&path).unwrap(), names(folder.path()).len()), ("first".into(), 1));
    }

    #[tokio::test]
    async fn only_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        symlink("nowhere", folder.path().join("link")).unwrap();
        for path in [folder.path().to_owned(), folder.path().join("link"), PathBuf::from("/dev/null")] {
            let error = NewFile::begin(&path, true).err().unwrap();
            assert!(error.to_string().ends_with("exists and is not a file"), "{error}");
        }
        let error = NewFile::begin(&folder.path().join("no/such/folder"), false).err().unwrap();
        assert!(chain(&error).contains("No such file or directory"), "{}", chain(&error));
    }
}
