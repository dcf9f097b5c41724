//! What is done between opening an existing embedded database and changing its schema.

use async_trait::async_trait;

use super::calls::Database;
use super::error::OpenError;
use super::migrate;
use super::store::SurrealStore;

/// Runs before the schema of an existing database changes, such as to back it up.
#[async_trait]
pub trait BeforeMigration: Send + Sync {
    /// `store` has the schema of an earlier program: only [`stock`](SurrealStore::stock) and
    /// [`export`](SurrealStore::export) may be called.
    ///
    /// # Errors
    /// The schema must not change.
    async fn run(&self, store: &SurrealStore, schema: i64) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Whether the database has the schema of an earlier program, which is about to change; `before`
/// has run then.
pub(super) async fn run(db: &Database, before: Option<&dyn BeforeMigration>) -> Result<bool, OpenError> {
    let Some(schema) = migrate::outdated(db).await? else { return Ok(false) };
    let Some(before) = before else { return Ok(true) };
    let store = SurrealStore::from_database(db.clone(), None);
    before.run(&store, schema).await.map_err(|source| OpenError::BeforeMigration { schema, source })?;
    Ok(true)
}
