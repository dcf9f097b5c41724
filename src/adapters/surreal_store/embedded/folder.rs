//! What stands in the database's folder, judged before an engine opens it: an engine that finds no
//! `CURRENT` makes an empty database there, and deletes what it does not know.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::wal::{self, LogState};

/// The folder of the engine's files in the data folder.
pub(in super::super) const DATABASE_FOLDER: &str = "database";
/// The high-water record in the data folder.
pub(in super::super) const HIGH_WATER_FILE: &str = "high-water";

/// The files that say which engine a folder belongs to.
const ROCKSDB_MARK: &str = "CURRENT";
/// SurrealKV's folders.
const SURREALKV_MARKS: &[&str] = &["manifest", "sstables", "wal"];

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Content {
    /// Nothing, or no folder.
    Nothing,
    /// A database of RocksDB.
    RocksDb,
    /// A database of SurrealKV, the engine of earlier versions.
    SurrealKv,
    /// Files of RocksDB without the one that says which of them count.
    Headless,
    /// Something else.
    Foreign,
}

/// Why a database cannot be opened as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The folder is gone or empty, although a database was there.
    Missing,
    /// The file `CURRENT` is missing.
    Headless,
    /// What stands in the folder belongs to no engine that this program knows.
    Foreign,
    /// A write-ahead log is damaged before its end.
    Log {
        /// Which.
        file: PathBuf,
        /// Where, in bytes.
        at: usize,
    },
    /// A part of the files cannot be read.
    Unreadable {
        /// What the engine says.
        why: String,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("its folder is gone or empty"),
            Self::Headless => f.write_str("its file CURRENT is missing"),
            Self::Foreign => f.write_str("the folder holds files that are no database of Kastrel"),
            Self::Log { file, at } => {
                write!(f, "the write-ahead log {} cannot be read at byte {at}, and more follows", file.display())
            }
            Self::Unreadable { why } => write!(f, "a part of it cannot be read ({why})"),
        }
    }
}

/// Which engine the names in a folder belong to.
fn content_of<'a>(names: impl Iterator<Item = &'a str>) -> Content {
    let names: Vec<&str> = names.collect();
    let is_table =
        |name: &&str| name.starts_with("MANIFEST-") || has_extension(name, "sst") || has_extension(name, "log");
    if names.is_empty() {
        Content::Nothing
    } else if names.contains(&ROCKSDB_MARK) {
        Content::RocksDb
    } else if SURREALKV_MARKS.iter().all(|mark| names.contains(mark)) {
        Content::SurrealKv
    } else if names.iter().any(is_table) {
        Content::Headless
    } else if names.iter().all(|name| matches!(*name, "LOCK" | "LOG" | "IDENTITY")) {
        // An engine was stopped while it made its first files.
        Content::Nothing
    } else {
        Content::Foreign
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// What `folder` holds.
pub(super) fn content(folder: &Path) -> io::Result<Content> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Nothing),
        Err(error) => return Err(error),
    };
    let names: Vec<String> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    Ok(content_of(names.iter().map(String::as_str)))
}

/// The bytes of all files in `folder`, as far as they can be seen.
pub(super) fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Tells this folder from another one that takes its place under the same name.
pub(super) fn identity(folder: &Path) -> io::Result<u64> {
    let metadata = std::fs::metadata(folder)?;
    Ok(metadata.ino() ^ metadata.dev().rotate_left(32))
}

/// Looks for damage that the engine would pass over in silence. Reads the write-ahead logs, and
/// changes nothing.
pub(super) fn check(folder: &Path) -> io::Result<Result<(), Damage>> {
    match content(folder)? {
        Content::Nothing => return Ok(Ok(())),
        Content::Headless => return Ok(Err(Damage::Headless)),
        Content::Foreign | Content::SurrealKv => return Ok(Err(Damage::Foreign)),
        Content::RocksDb => {}
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log")
            && let LogState::Damaged { at } = wal::check(&std::fs::read(&path)?)
        {
            return Ok(Err(Damage::Log { file: path, at }));
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_known_by_its_names() {
        for (names, expected) in [
            ("", Content::Nothing),
            ("LOCK", Content::Nothing),
            ("CURRENT IDENTITY LOCK LOG MANIFEST-000005 OPTIONS-000007 000008.log 000009.sst", Content::RocksDb),
            ("IDENTITY LOCK LOG MANIFEST-000005 OPTIONS-000007 000008.log", Content::Headless),
            ("000009.sst", Content::Headless),
            ("LOCK manifest sstables wal vlog discard_stats", Content::SurrealKv),
            ("notes.txt", Content::Foreign),
        ] {
            assert_eq!(content_of(names.split_whitespace()), expected, "{names}");
        }
    }
}
