//! Why a backup was not written, or not restored.

use kastrel_actors::ports::StoreError;

use super::format::FORMAT;
use crate::adapters::surreal_store::ImportError;

/// Why a backup was not written, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database could not be read.
    #[error("failed to read the database")]
    Export(#[source] StoreError),
    /// The file could not be written.
    #[error("failed to write the backup")]
    Write(#[source] std::io::Error),
    /// The file could not be read.
    #[error("failed to read the backup")]
    Read(#[source] std::io::Error),
    /// The first line is no header of a backup.
    #[error("the file is not a backup of Kastrel: {0}")]
    NotABackup(String),
    /// Another program wrote it.
    #[error(
        "the backup has format {found}, but this program reads format {FORMAT}: it was written by Kastrel {version}"
    )]
    Format {
        /// The format's version.
        found: u32,
        /// The program's version.
        version: String,
    },
    /// A newer program wrote it.
    #[error(
        "the backup was made of a database with schema version {found}, but this program knows versions up to {known}: it was written by Kastrel {version}"
    )]
    TooNew {
        /// The database's version.
        found: i64,
        /// The last version that this program knows.
        known: i64,
        /// The program's version.
        version: String,
    },
    /// It ends before its footer.
    #[error("the backup is cut off after line {line}: its last line is missing")]
    CutOff {
        /// The last line that is there.
        line: u64,
    },
    /// A line is not what it should be.
    #[error("line {line} of the backup is damaged: {why}")]
    Damaged {
        /// Which.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// The lines are not those that were written.
    #[error("the backup is damaged: its lines do not have the checksum that its last line gives")]
    Checksum,
    /// The database does not take it.
    #[error("failed to restore into the database")]
    Import(#[from] ImportError),
}
