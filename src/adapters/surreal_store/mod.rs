//! Keeps scans and nodes in SurrealDB: the [`ScanStore`](kastrel_actors::ports::ScanStore) of the
//! application.
//!
//! - **Owns** the tables `scan`, `counter`, `idempotency`, `submitter`, `aim`, `ended`, `found`,
//!   `day`, `node`, `pause`, `backfill`, `restore`, `high_water`, `storage_event` and `migration`
//!   of one database: embedded, with the data folder's lock, or on a server, with one connection.
//! - **The truth of a row** is one JSON document, the whole
//!   [`ScanRecord`](kastrel_actors::model::ScanRecord): serde's defaults let a newer program read
//!   old rows, text with any character in it survives (JSON escapes NUL), and it is written and
//!   read in one go. Beside it stand the few columns that queries need.
//! - **"Now"** is the database's clock, read in the same statement as the row.
//! - **When the server goes away**, calls wait for its return for some seconds and then fail at
//!   once; a write whose answer was lost is looked for when it is back, so that callers hear the
//!   truth and nothing is written twice.
//! - **One writer wins**: a row is written only where its version is still the one that was read;
//!   everything that must hold together is one transaction. Transaction conflicts and lost races
//!   are retried here, and nothing else is.
//! - **Never** decides what a command does to a row (that is `policy::transition`), never uses LIVE
//!   queries, never waits longer than [`CALL_TIMEOUT`] for one call.
//!
//! The parser of the embedded SurrealDB recurses deeply: run it on threads with stacks of 8 MiB,
//! not on tokio's default of 2 MiB.

mod address;
mod apply;
mod backfill;
mod before_migration;
mod calls;
mod delete;
mod directives;
mod embedded;
mod ended;
mod error;
mod folders;
mod lease;
mod list;
mod lock;
mod migrate;
mod nodes;
mod open;
mod reconnecting_client;
mod replace;
mod row;
mod server_engine;
mod store;
mod submit;
mod target_index;
#[cfg(test)]
mod tests;
mod transfer;
mod waiting;
mod ws_connection;

pub use address::{AddressError, AuthLevel, RemoteDatabase};
pub use before_migration::BeforeMigration;
pub use calls::CALL_TIMEOUT;
pub use embedded::{Damage, Loss};
pub use error::{ConnectError, OpenError};
pub use lock::FolderLock;
pub use open::ENGINE_VERSION;
pub use replace::Replacement;
pub use store::SurrealStore;
pub use transfer::{Exported, Import, ImportError, Metadata};
