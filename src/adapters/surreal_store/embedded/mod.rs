//! The embedded database: SurrealDB on RocksDB, in the data folder.
//!
//! - **Synced**: a commit returns when the write-ahead log is on disk.
//! - **A failed commit ends the engine**: after an I/O error in a write, the engine is closed and
//!   opened again. Until then every call fails immediately ([`engine`]).
//! - **A refused submission never runs**: a batch with an unknown outcome is recorded and withdrawn
//!   before the database is used again ([`withdraw`]).
//! - **No silent loss**: a record beside the database stores its progress. A database that is
//!   behind its record is refused ([`high_water`]), and so is one with unreadable files
//!   ([`folder`], [`verify`]).
//! - **Folders of earlier versions** are converted from SurrealKV at the first start ([`convert`]).

mod convert;
mod convert_plan;
mod database;
mod engine;
mod failure;
mod folder;
mod high_water;
mod marks;
mod opening;
mod options;
mod verify;
mod wal;
mod withdraw;

pub(super) use database::EmbeddedDatabase;
pub(super) use engine::Engine;
pub use folder::Damage;
pub(super) use folder::{DATABASE_FOLDER, HIGH_WATER_FILE};
pub use high_water::Loss;
pub(super) use high_water::RefusedBatch;
pub(super) use high_water::last_recorded;
pub(super) use marks::keep_ids_above;
pub(super) use opening::{BeforeChange, Opening};
