//! Errors of writing and restoring backups.

use kastrel_actors::ports::StoreError;

use super::version::FORMAT;
use crate::adapters::surreal_store::ImportError;

/// The reason why a backup was not written or not restored.
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
    /// The first line is not a backup header.
    #[error("the file is not a backup of Kastrel: {0}")]
    NotABackup(String),
    /// The backup has an unsupported format.
    #[error(
        "the backup has format {found}, but this program reads formats up to {FORMAT}: it was written by Kastrel {version}"
    )]
    Format {
        /// The format version.
        found: u32,
        /// The program version that wrote the backup.
        version: String,
    },
    /// A newer version wrote the backup.
    #[error(
        "the backup was made of a database with schema version {found}, but this program knows versions up to {known}: it was written by Kastrel {version}"
    )]
    TooNew {
        /// The schema version of the backup.
        found: i64,
        /// The newest schema version that this program supports.
        known: i64,
        /// The program version that wrote the backup.
        version: String,
    },
    /// The backup ends before its footer.
    #[error("the backup is cut off after line {line}: its last line is missing")]
    CutOff {
        /// The last complete line.
        line: u64,
    },
    /// A line is invalid.
    #[error("line {line} of the backup is damaged: {why}")]
    Damaged {
        /// The line number.
        line: u64,
        /// The reason.
        why: String,
    },
    /// The checksum in the footer does not match the lines.
    #[error("the backup is damaged: its lines do not have the checksum that its last line gives")]
    Checksum,
    /// The import into the database failed.
    #[error("failed to restore into the database")]
    Import(#[from] ImportError),
}
