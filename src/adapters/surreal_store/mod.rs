//! Keeps scans and nodes in SurrealDB: the [`ScanStore`](kastrel_actors::ports::ScanStore) of the application.
//!
//! - **Owns** the tables `scan`, `counter`, `idempotency`, `aim`, `ended`, `found`, `day`, `node`, `pause`, `backfill` and `migration` of one database, and, when embedded, the data folder's lock.
//! - **The truth of a row** is one JSON document, the whole [`ScanRecord`](kastrel_actors::model::ScanRecord): serde's defaults let a newer program read old rows, text with any
//!   character in it survives (JSON escapes NUL), and it is written and read in one go. Beside it stand the few columns that queries need.
//! - **"Now"** is the database's clock, read in the same statement as the row.
//! - **One writer wins**: a row is written only where its version is still the one that was read; everything that must hold together is one transaction. Transaction conflicts
//!   and lost races are retried here, and nothing else is.
//! - **Never** decides what a command does to a row (that is `policy::transition`), never uses LIVE queries, never waits longer than [`CALL_TIMEOUT`] for one call.
//!
//! SurrealDB's parser recurses deeply: run this on threads with stacks of 8 MiB, not on tokio's default of 2 MiB.

mod aims;
mod apply;
mod backfill;
mod calls;
mod delete;
mod ended;
mod error;
mod list;
mod lock;
mod migrate;
mod nodes;
mod open;
mod orders;
mod row;
mod store;
mod submit;
#[cfg(test)]
mod tests;

pub use calls::CALL_TIMEOUT;
pub use error::OpenError;
pub use store::SurrealStore;
