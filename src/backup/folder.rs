//! The folder of automatic backups: file names, creation and removal of backups.
//!
//! - **A file name** contains everything that is needed to choose a file:
//!   `kastrel-000012-20261128T052000Z.backup`. The number increases with each backup, so names sort
//!   in the order of creation, independent of the clock. `-schema-5` marks a backup from before the
//!   migration of schema 5, `-missing-3` one without 3 unreadable scans.
//! - **A file** gets its name after it is synced to disk, read back and found complete. Only the
//!   owner can read it.
//! - **Never** removes a file with another kind of name.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kastrel_actors::policy::backups::{BackupMark, surplus};
use kastrel_actors::ports::Clock;
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::BufWriter;

use super::copy::check;
use super::error::BackupError;
use super::format::Summary;
use super::room::Room;
use super::source::BackupSource;

const PREFIX: &str = "kastrel-";
const SUFFIX: &str = ".backup";
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// The prefix of an unfinished file. The next backup removes it, because there is only one backup
/// at a time.
const UNFINISHED: &str = ".unfinished-backup-";

/// An automatic backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The size in bytes.
    pub bytes: u64,
    /// The data in the file name.
    pub mark: BackupMark,
}

impl BackupFile {
    /// The name of the file.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// The reason why a backup failed.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// An I/O error of the folder or a file in it.
    #[error("failed to keep backups in {}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The backup could not be written.
    #[error(transparent)]
    Write(BackupError),
    /// The written backup could not be read back.
    #[error("the backup that was just written cannot be used")]
    Check(#[source] BackupError),
}

/// The folder of automatic backups; see the module docs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFolder {
    path: PathBuf,
    keep: usize,
}

impl BackupFolder {
    /// The folder at `path`, which need not exist yet. `keep` is the number of backups to keep.
    #[must_use]
    pub const fn new(path: PathBuf, keep: usize) -> Self {
        Self { path, keep }
    }

    /// The path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The backups, newest first. Empty if the folder does not exist.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> io::Result<Vec<BackupFile>> {
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Some(mark) = entry.file_name().to_str().and_then(parse) else { continue };
            match entry.metadata() {
                Ok(found) if found.is_file() => files.push(BackupFile { path: entry.path(), bytes: found.len(), mark }),
                // A link or a folder is not a backup; and a file may have been removed in the
                // meantime.
                Ok(_) | Err(_) => {}
            }
        }
        files.sort_unstable_by_key(|file| std::cmp::Reverse(file.mark.sequence));
        Ok(files)
    }

    /// Reads like [`list`](Self::list), without blocking the async task.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn read(&self) -> Result<Vec<BackupFile>, MakeError> {
        self.blocking(Self::list).await.map_err(|source| MakeError::Folder { folder: self.path.clone(), source })
    }

    /// Makes a backup, and removes old ones. Returns `None` if the database has never had a scan,
    /// so there is nothing to back up.
    ///
    /// # Errors
    /// The backup could not be written or read back. The old backups stay in that case.
    pub async fn make(
        &self,
        source: &dyn BackupSource,
        before_migration_of: Option<i64>,
        clock: &dyn Clock,
    ) -> Result<Option<BackupFile>, MakeError> {
        let failed = |source| MakeError::Folder { folder: self.path.clone(), source };
        let (unfinished, file) = self.blocking(Self::begin).await.map_err(failed)?;
        let to_sync = file.try_clone().map_err(failed)?;
        let room = Room::new(BufWriter::with_capacity(1 << 16, File::from_std(file)), self.path.clone());
        let written = source.write(Box::new(room), clock.now()).await.map_err(MakeError::Write)?;
        File::from_std(to_sync).sync_all().await.map_err(failed)?;
        let read = check(File::open(&unfinished).await.map_err(failed)?).await.map_err(MakeError::Check)?;
        if read != written {
            return Err(MakeError::Check(BackupError::Checksum));
        }
        if written.last.0 == 0 {
            return Ok(None);
        }
        let finish = move |folder: &Self| {
            let made = folder.finish(unfinished, &written, before_migration_of)?;
            folder.remove_surplus()?;
            Ok(made)
        };
        self.blocking(finish).await.map(Some).map_err(failed)
    }

    /// Runs `work` on a blocking thread, because file system calls may wait for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let folder = self.clone();
        tokio::task::spawn_blocking(move || work(&folder)).await.map_err(io::Error::other)?
    }

    /// Creates the folder and a file in it, and removes unfinished files of earlier processes.
    fn begin(&self) -> io::Result<(TempPath, std::fs::File)> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        let (file, path) = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path)?.into_parts();
        Ok((path, file))
    }

    fn finish(
        &self,
        unfinished: TempPath,
        written: &Summary,
        before_migration_of: Option<i64>,
    ) -> io::Result<BackupFile> {
        let sequence = self.list()?.first().map_or(0, |newest| newest.mark.sequence) + 1;
        let mark = BackupMark {
            sequence,
            made_at: written.written_at,
            before_migration_of,
            missing: written.missing.len() as u64,
        };
        let path = self.path.join(name(&mark));
        unfinished.persist_noclobber(&path)?;
        std::fs::File::open(&self.path)?.sync_all()?;
        Ok(BackupFile { path, bytes: written.bytes, mark })
    }

    fn remove_surplus(&self) -> io::Result<()> {
        let files = self.list()?;
        let marks: Vec<BackupMark> = files.iter().map(|file| file.mark).collect();
        let surplus = surplus(&marks, self.keep);
        for file in files.iter().filter(|file| surplus.contains(&file.mark.sequence)) {
            std::fs::remove_file(&file.path)?;
        }
        Ok(())
    }
}

fn name(mark: &BackupMark) -> String {
    let mut name = format!("{PREFIX}{:06}-{}", mark.sequence, mark.made_at.strftime(TIME));
    if let Some(schema) = mark.before_migration_of {
        name.push_str(&format!("-schema-{schema}"));
    }
    if mark.missing > 0 {
        name.push_str(&format!("-missing-{}", mark.missing));
    }
    name + SUFFIX
}

fn parse(name: &str) -> Option<BackupMark> {
    let mut parts = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split('-');
    let (sequence, time) = (parts.next()?, parts.next()?);
    let made_at = Timestamp::strptime("%Y%m%dT%H%M%S%z", format!("{}+0000", time.strip_suffix('Z')?)).ok()?;
    let mut mark = BackupMark { sequence: sequence.parse().ok()?, made_at, before_migration_of: None, missing: 0 };
    while let Some(part) = parts.next() {
        let number = parts.next()?;
        match part {
            "schema" => mark.before_migration_of = Some(number.parse().ok()?),
            "missing" => mark.missing = number.parse().ok()?,
            _ => return None,
        }
    }
    Some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_contain_the_backup_mark() {
        let mark = |sequence, before_migration_of, missing| BackupMark {
            sequence,
            made_at: Timestamp::from_second(1_800_000_000).unwrap(),
            before_migration_of,
            missing,
        };
        for (mark, expected) in [
            (mark(1, None, 0), "kastrel-000001-20270115T080000Z.backup"),
            (mark(12, Some(5), 0), "kastrel-000012-20270115T080000Z-schema-5.backup"),
            (mark(1_234_567, None, 3), "kastrel-1234567-20270115T080000Z-missing-3.backup"),
            (mark(999_999, Some(5), 3), "kastrel-999999-20270115T080000Z-schema-5-missing-3.backup"),
        ] {
            assert_eq!(name(&mark), expected);
            assert_eq!(parse(expected), Some(mark), "{expected}");
        }
        for other in [
            "kastrel.backup",
            "kastrel-20270115T080000Z.ndjson",
            "kastrel-x-20270115T080000Z.backup",
            "kastrel-000001-yesterday.backup",
            "kastrel-000001-20270115T080000Z-schema.backup",
            "kastrel-000001-20270115T080000Z-mine-1.backup",
            ".unfinished-backup-abc",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
