//! Stores scans, nodes and accounts in SurrealDB: the store ports of the application.
//!
//! - **Owns** the tables `scan`, `plugin_result`, `counter`, `idempotency`, `submitter`, `aim`,
//!   `ended`, `found`, `day`, `outbox`, `dead_letter`, `audit`, `node`, `pause`, `backfill`,
//!   `restore`, `high_water`, `storage_event`, `account`, `membership`, `project`, `session`,
//!   `token`, `one_time_link`, `clearance`, `audit_open`, `audit_seal`, `audit_key`, `audit_head`,
//!   `second_factor`, `recovery_code`, `pending_sign_in`, `public_link`, `share`, `mail_request`,
//!   `passkey`, `passkey_owner`, `signed_challenge`, `provider_identity`, `provider_subject`,
//!   `provider_sign_in`, `device_login`, `target`, `finding`, `scan_result`, `scan_observed`,
//!   `target_assets`, `scan_notes`, `scan_tag`, `sla_policy`, `saved_filter` and `migration` of one
//!   database: embedded, with the lock of the data folder, or on a server, with one connection.
//! - **The content of a scan** is JSON: the row of `scan` has the
//!   [`ScanRecord`](kastrel_actors::model::ScanRecord) without its plugins, and each plugin of an
//!   attempt has a row of its own in `plugin_result`. serde's defaults let a newer version read old
//!   rows, and any text survives (JSON escapes NUL). The columns beside it serve the queries. One
//!   read and one transaction cover a scan and its plugins.
//! - **"Now"** is the database's clock, read in the same statement as the row.
//! - **When the server is unreachable**, calls wait some seconds for the connection, and afterwards
//!   new calls fail immediately. After a reconnect, a write whose response was lost is looked up,
//!   so that callers get the true result and nothing is written twice.
//! - **One writer wins**: a row is written only if its version is unchanged since the read. Changes
//!   that belong together are one transaction. Only transaction conflicts and lost races are
//!   retried here.
//! - **A newer program** may migrate the schema while this one is connected. Each write transaction
//!   checks that (`steps`), and fails with `StoreError::Outdated`.
//! - **Never** decides how a command changes a row (`policy::transition` does), never uses LIVE
//!   queries, never waits longer than [`CALL_TIMEOUT`] for one call.
//!
//! The parser of the embedded SurrealDB recurses deeply: run it on threads with stacks of 8 MiB,
//! not with tokio's default of 2 MiB.

mod access;
mod apply;
mod audit_log;
mod backfill;
mod before_migration;
mod calls;
mod chain;
mod clearances;
mod database;
mod delete;
mod directives;
mod embedded;
mod ended;
mod error;
mod event;
mod executor;
mod findings;
mod folders;
mod found;
mod indexes;
mod inner;
mod lease;
mod list;
mod lock;
mod migrate;
mod nodes;
mod open;
mod outbox;
mod public_links;
mod read;
mod reconnecting_client;
mod replace;
mod results;
mod row;
mod server_engine;
mod shares;
mod split;
mod steps;
mod store;
mod submit;
mod target_index;
#[cfg(test)]
mod tests;
mod transfer;
mod transfer_access;
mod transfer_audit;
mod transfer_chain;
mod transfer_findings;
mod upgrade;
mod waiting;
mod ws_connection;

pub use before_migration::BeforeMigration;
pub use calls::CALL_TIMEOUT;
pub use embedded::{Damage, Loss};
pub use error::{ConnectError, OpenError};
pub use lock::FolderLock;
pub use open::ENGINE_VERSION;
pub use replace::Replacement;
pub use store::SurrealStore;
pub use transfer::{AttemptPlugin, Exported, ExportedScan, Import, ImportError, Metadata};
pub use transfer_access::{
    ExportedAccess, ExportedAccount, ExportedClearance, ExportedIdentity, ExportedMembership, ExportedPasskey,
    ExportedProject, ExportedPublicLink, ExportedRecoveryCode, ExportedSecondFactor, ExportedShare, ExportedToken,
};
pub use transfer_audit::ExportedEntry;
pub use transfer_chain::{ExportedChain, ExportedHead, ExportedSeal, ExportedSealKey};
pub use transfer_findings::{
    ExportedAssets, ExportedFilter, ExportedFinding, ExportedFindings, ExportedNotes, ExportedObserved, ExportedPolicy,
    ExportedResult, ExportedTarget,
};
