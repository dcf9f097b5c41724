//! Backup and restore: all data of the store as one file of JSON lines.
//!
//! - The first line is a header with the format version and the metadata of the database. Each of
//!   the next lines is a row, with the name of its table: a scan, in the order of ids, and after it
//!   its plugins, then the audit log, then the accounts and projects, then targets and findings
//!   with the results of scans. The last line is a footer with the number of lines and a checksum
//!   of all lines before it, so that a truncated or modified file is detected.
//! - In the first format, of versions up to 0.1.0, a scan is one line with its plugins.
//! - [`write()`] reads the store page by page, while it is in use. It writes the scans that existed
//!   at the beginning, each in its state when it was read.
//! - [`read()`] needs an empty database, opened with
//!   [`SurrealStore::open_to_restore`](crate::adapters::surreal_store::SurrealStore::open_to_restore)
//!   or [`connect_to_restore`](crate::adapters::surreal_store::SurrealStore::connect_to_restore).
//!   Opening a database with a failed restore returns an error; another restore clears it.
//! - [`copy()`] copies a backup and [`check`] only reads it. Both verify that it is complete.
//! - An unreadable scan is left out of a backup. The backup contains its id and the reason instead,
//!   and every [`Summary::missing`] lists it.
//! - [`AutomaticBackups`] makes backups periodically in a [`BackupFolder`], which also makes the
//!   backup before a migration.
//! - All operations use a few megabytes of memory, independent of the number of scans.
//! - It contains the hashes of passwords and the digests of API tokens, so it is confidential.
//! - **Never** contains results and reports, which are files; nodes, whose leases are over; or
//!   sessions and one-time links: everybody signs in again after a restore.

mod automatic;
mod before_migration;
mod copy;
mod error;
mod folder;
mod format;
mod read;
mod reader;
mod room;
mod source;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod version;
mod write;

pub use automatic::{AutomaticBackups, BackupFailure, BackupStatus, RunningBackups};
pub use copy::{check, copy};
pub use error::BackupError;
pub use folder::{BackupFile, BackupFolder, MakeError};
pub use format::Summary;
pub use read::read;
pub use source::BackupSource;
pub use version::FORMAT;
pub use write::write;
