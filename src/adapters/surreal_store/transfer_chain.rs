//! Exports and imports the seals of the audit log and their keys: their part of backup and restore.
//! The private keys are files and no part of a backup.
//!
//! - **A backup has** the seals up to the end that the chain has when the backup begins. The end is
//!   exported first, then the entries, then the seals. An entry of a later seal is one that waits.
//! - **The restored chain** continues after that end, with the key of the server that seals next.
//! - **A seal is exported after its entries**, as pruned if its entries are deleted in between. The
//!   import deletes such entries, also those of earlier seals that were exported before that. The
//!   entry that says so is exported after the seals.

use kastrel_actors::ports::StoreError;
use serde::{Deserialize, Serialize};
use surrealdb::types::{RecordId, RecordIdKeyRange, SurrealValue};

use super::calls::{self, Nothing};
use super::row::at_most;
use super::store::SurrealStore;
use super::transfer::{Import, ImportError, refused};

/// The first schema with seals.
const FIRST_SCHEMA: i64 = 16;

/// A row of the chain as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportedChain {
    /// The end of the chain.
    Head(ExportedHead),
    /// A seal.
    Seal(ExportedSeal),
    /// A public key.
    Key(ExportedSealKey),
}

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedHead {
    /// The number of the last seal.
    pub number: i64,
}

/// The row of a seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedSeal {
    /// Its place in the chain.
    pub number: i64,
    at: i64,
    amount: i64,
    newest: i64,
    list: String,
    previous: String,
    digest: String,
    signer: String,
    signature: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entries: Option<String>,
    /// When its entries were deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned_at: Option<i64>,
}

/// The row of a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
#[serde(deny_unknown_fields)]
pub struct ExportedSealKey {
    name: String,
    public: String,
    since: i64,
}

#[derive(Debug, SurrealValue)]
struct Head {
    number: Option<i64>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Page {
    range: RecordId,
    limit: i64,
}

#[derive(Debug, SurrealValue)]
struct Rows<T: SurrealValue> {
    rows: Vec<T>,
}

#[derive(Debug, Clone, SurrealValue)]
struct ImportRows {
    run: String,
    seals: Vec<ExportedSeal>,
    keys: Vec<ExportedSealKey>,
}

#[derive(Debug, Clone, SurrealValue)]
struct DropArguments {
    run: String,
    seals: RecordId,
    last: RecordId,
    through: i64,
}

const HEAD: &str = "RETURN { number: (SELECT VALUE number FROM ONLY audit_head:chain) };";

const SEALS: &str = "
    RETURN { rows: (SELECT record::id(id) AS number, at, amount, newest, list, previous, digest, signer, signature, entries, pruned_at
        FROM $range LIMIT $limit) };";

const KEYS: &str = "RETURN { rows: (SELECT record::id(id)[0] AS name, public, since FROM audit_key) };";

/// The seals come in their order, so the last one leaves the end of the chain.
const IMPORT: &str = "
    BEGIN;
    IF (SELECT VALUE run FROM ONLY restore:running FOR UPDATE) != $run { THROW 'another restore has begun' };
    FOR $row IN $seals {
        UPSERT type::record('audit_seal', $row.number) SET
            at = $row.at, amount = $row.amount, newest = $row.newest, list = $row.list, previous = $row.previous, digest = $row.digest,
            signer = $row.signer, signature = $row.signature, entries = $row.entries, pruned_at = $row.pruned_at
            RETURN NONE;
        UPDATE audit_head:chain SET number = $row.number, digest = $row.digest RETURN NONE;
        IF $row.pruned_at != NONE { UPDATE audit_head:chain SET pruned = $row.number RETURN NONE; };
    };
    FOR $row IN $keys {
        UPSERT type::record('audit_key', [$row.name]) SET public = $row.public, since = $row.since RETURN NONE;
    };
    COMMIT;";

const DROP: &str = "
    BEGIN;
    IF (SELECT VALUE run FROM ONLY restore:running FOR UPDATE) != $run { THROW 'another restore has begun' };
    LET $at = SELECT VALUE pruned_at FROM ONLY $last;
    UPDATE $seals SET entries = NONE, pruned_at = pruned_at ?? $at RETURN NONE;
    DELETE audit WHERE seal != NONE AND seal <= $through RETURN NONE;
    COMMIT;";

impl SurrealStore {
    /// Returns the end of the chain. A database without seals has none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn export_chain_head(&self, schema: i64) -> Result<Option<ExportedHead>, StoreError> {
        if schema < FIRST_SCHEMA {
            return Ok(None);
        }
        let Head { number } = calls::call_again(&self.inner.db, HEAD, Nothing {}).await?;
        Ok(number.filter(|number| *number > 0).map(|number| ExportedHead { number }))
    }

    /// Returns up to `limit` seals after this one, up to the end `head`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn export_seals(
        &self,
        head: &ExportedHead,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ExportedSeal>, StoreError> {
        let range = RecordIdKeyRange::from(after.saturating_add(1)..=head.number);
        if after >= head.number {
            return Ok(Vec::new());
        }
        let page = Page { range: RecordId::new("audit_seal", range), limit: at_most(limit) };
        let Rows { rows } = calls::call_again(&self.inner.db, SEALS, page).await?;
        Ok(rows)
    }

    /// Returns the public keys that signed seals.
    ///
    /// # Errors
    /// The database failed.
    pub async fn export_seal_keys(&self) -> Result<Vec<ExportedSealKey>, StoreError> {
        let Rows { rows } = calls::call_again(&self.inner.db, KEYS, Nothing {}).await?;
        Ok(rows)
    }
}

impl Import<'_> {
    /// Imports seals, in their order, and keys. The end of the chain follows from the seals.
    ///
    /// # Errors
    /// Another restore has started, or the database failed.
    pub async fn add_chain(&self, rows: &[ExportedChain]) -> Result<(), ImportError> {
        let mut all = ImportRows { run: self.run.clone(), seals: Vec::new(), keys: Vec::new() };
        for row in rows.iter().cloned() {
            match row {
                ExportedChain::Head(_) => {}
                ExportedChain::Seal(row) => all.seals.push(row),
                ExportedChain::Key(row) => all.keys.push(row),
            }
        }
        calls::execute_again(&self.store.inner.db, IMPORT, all).await.map_err(refused)
    }

    /// Deletes the imported entries of the seals up to this one, which is pruned.
    ///
    /// # Errors
    /// Another restore has started, or the database failed.
    pub async fn drop_pruned(&self, through: i64) -> Result<(), ImportError> {
        let seals = RecordId::new("audit_seal", RecordIdKeyRange::from(1..=through));
        let last = RecordId::new("audit_seal", through);
        let arguments = DropArguments { run: self.run.clone(), seals, last, through };
        calls::execute_again(&self.store.inner.db, DROP, arguments).await.map_err(refused)
    }
}
