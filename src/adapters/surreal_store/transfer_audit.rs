//! Exports and imports the entries of the audit log: their part of backup and restore. Their seals
//! are exported apart ([`transfer_chain`](super::transfer_chain)).

use kastrel_actors::ports::StoreError;
use serde::{Deserialize, Serialize};
use surrealdb::types::{Array, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue};

use super::calls;
use super::row::at_most;
use super::store::SurrealStore;
use super::transfer::{Import, ImportError, refused};

/// The first schema with an audit log.
const FIRST_SCHEMA: i64 = 12;

/// A row of the audit log as it is stored, so that entries of any version pass through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, SurrealValue)]
pub struct ExportedEntry {
    /// When it was committed, in nanoseconds since 1970.
    pub at: i64,
    /// The part of its key that makes it unique.
    pub nonce: String,
    /// Who did it.
    pub principal: String,
    /// The scan, if it happened to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<i64>,
    /// What happened, as JSON text.
    pub event: String,
    /// The number of its seal, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<i64>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Page {
    range: RecordId,
    limit: i64,
}

#[derive(Debug, SurrealValue)]
struct Entries {
    entries: Vec<ExportedEntry>,
}

#[derive(Debug, Clone, SurrealValue)]
struct ImportEntries {
    run: String,
    entries: Vec<ExportedEntry>,
}

const EXPORT: &str = "
    RETURN { entries: (SELECT at, record::id(id)[1] AS nonce, principal, scan, event, seal FROM $range LIMIT $limit) };";

const IMPORT: &str = "
    BEGIN;
    IF (SELECT VALUE run FROM ONLY restore:running FOR UPDATE) != $run { THROW 'another restore has begun' };
    FOR $entry IN $entries {
        UPSERT type::record('audit', [-$entry.at, $entry.nonce]) SET
            at = $entry.at, principal = $entry.principal, scan = $entry.scan, event = $entry.event, seal = $entry.seal RETURN NONE;
    };
    COMMIT;";

impl SurrealStore {
    /// Returns up to `limit` entries of the audit log that follow `after`, newest first. A database
    /// of a schema without an audit log has none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn export_audit(
        &self,
        schema: i64,
        after: Option<&ExportedEntry>,
        limit: usize,
    ) -> Result<Vec<ExportedEntry>, StoreError> {
        if schema < FIRST_SCHEMA {
            return Ok(Vec::new());
        }
        let key = |parts: Vec<surrealdb::types::Value>| RecordIdKey::Array(Array::from(parts));
        let first = match after {
            None => key(vec![i64::MIN.into_value()]),
            // All nonces have the same length, so no other entry lies between.
            Some(after) => key(vec![(-after.at).into_value(), format!("{}!", after.nonce).into_value()]),
        };
        let range = RecordIdKeyRange::from(first..key(vec![i64::MAX.into_value()]));
        let page = Page { range: RecordId::new("audit", range), limit: at_most(limit) };
        let Entries { entries } = calls::call_again(&self.inner.db, EXPORT, page).await?;
        Ok(entries)
    }
}

impl Import<'_> {
    /// Imports entries of the audit log.
    ///
    /// # Errors
    /// Another restore has started, or the database failed.
    pub async fn add_audit(&self, entries: &[ExportedEntry]) -> Result<(), ImportError> {
        let entries = ImportEntries { run: self.run.clone(), entries: entries.to_vec() };
        calls::execute_again(&self.store.inner.db, IMPORT, entries).await.map_err(refused)
    }
}
