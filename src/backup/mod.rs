//! Backup and restore: everything that the store keeps, as one file of JSON lines.
//!
//! - The first line is a header: the format's version, and what there is besides the scans. Then
//!   one line a scan, in the order of ids. The last line is a footer with the number of scans and a
//!   checksum of all lines before it, so that a file that was cut off or changed is not taken for a
//!   whole one.
//! - [`write()`] reads the store page by page, while it is in use: the set of scans is that of the
//!   beginning, each scan is as it was when it was read.
//! - [`read()`] wants an empty database, opened with
//!   [`SurrealStore::open_to_restore`](crate::adapters::surreal_store::SurrealStore::open_to_restore)
//!   or [`connect_to_restore`](crate::adapters::surreal_store::SurrealStore::connect_to_restore).
//!   Whoever opens a database in which a restore has failed is told so; another restore clears it.
//! - [`copy()`] passes a backup on and [`check`] only looks at it; both say whether it is whole.
//! - A scan that cannot be read is left out of a backup; its number and the reason stand in its
//!   place, and [`Summary::missing`] names it on every way.
//! - [`AutomaticBackups`] makes them by itself into a [`BackupFolder`], which is also how one is
//!   made before a migration.
//! - All of them hold a few megabytes, however many scans there are.
//! - **Never** part of it: results and reports, which are files, and nodes, whose leases are over.

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
mod write;

pub use automatic::{AutomaticBackups, BackupFailure, BackupStatus, RunningBackups};
pub use copy::{check, copy};
pub use error::BackupError;
pub use folder::{BackupFile, BackupFolder, MakeError};
pub use format::{FORMAT, Summary};
pub use read::read;
pub use source::BackupSource;
pub use write::write;
