//! Checks the database folder before an engine opens it. An engine that finds no `CURRENT` file
//! creates an empty database and deletes unknown files.

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::wal::{self, LogState};

/// The folder of the engine's files, within the data folder.
pub(in super::super) const DATABASE_FOLDER: &str = "database";
/// The file of the high-water record, within the data folder.
pub(in super::super) const HIGH_WATER_FILE: &str = "high-water";

/// The file that identifies a RocksDB folder.
const ROCKSDB_MARK: &str = "CURRENT";
/// The folders that identify a SurrealKV database.
const SURREALKV_MARKS: &[&str] = &["manifest", "sstables", "wal"];

/// The content of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Content {
    /// Empty, or no folder.
    Nothing,
    /// A RocksDB database.
    RocksDb,
    /// A SurrealKV database; the engine of earlier versions.
    SurrealKv,
    /// RocksDB files without `CURRENT`, which identifies the valid ones.
    Headless,
    /// Other files.
    Foreign,
}

/// The reason why a database cannot be opened as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The folder is missing or empty, although it held a database.
    Missing,
    /// The file `CURRENT` is missing.
    Headless,
    /// The files belong to no engine that this program supports.
    Foreign,
    /// A write-ahead log is damaged before its end.
    Log {
        /// The log file.
        file: PathBuf,
        /// The position, in bytes.
        at: usize,
    },
    /// A part of the files cannot be read.
    Unreadable {
        /// The error of the engine.
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

/// Determines the engine from the names in a folder.
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
        // An engine was stopped while it created its first files.
        Content::Nothing
    } else {
        Content::Foreign
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// The content of `folder`.
pub(super) fn content(folder: &Path) -> io::Result<Content> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::Nothing),
        Err(error) => return Err(error),
    };
    let names: Vec<String> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    Ok(content_of(names.iter().map(String::as_str)))
}

/// The total bytes of all readable files in `folder`.
pub(super) fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// A number that distinguishes this folder from another one with the same name.
pub(super) fn identity(folder: &Path) -> io::Result<u64> {
    let metadata = std::fs::metadata(folder)?;
    Ok(metadata.ino() ^ metadata.dev().rotate_left(32))
}

/// Checks for damage that the engine would ignore silently. Reads the write-ahead logs, and changes
/// nothing.
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
    fn file_names_identify_the_engine() {
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
