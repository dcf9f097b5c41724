//! A hook that runs between opening an existing embedded database and changing its schema.

use async_trait::async_trait;

use super::database::Database;
use super::error::OpenError;
use super::store::SurrealStore;

/// Runs before the schema of an existing database changes, for example to back it up.
#[async_trait]
pub trait BeforeMigration: Send + Sync {
    /// Runs on `store`, which has the schema of an earlier version. Only
    /// [`metadata`](SurrealStore::metadata) and [`export`](SurrealStore::export) may be called on
    /// it.
    ///
    /// # Errors
    /// An error stops the migration: the schema stays unchanged.
    async fn run(&self, store: &SurrealStore, schema: i64) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Runs `before` on the store of `db`, whose schema is `schema`.
pub(super) async fn run(db: Database, schema: i64, before: &dyn BeforeMigration) -> Result<(), OpenError> {
    let store = SurrealStore::from_database(db, None);
    before.run(&store, schema).await.map_err(|source| OpenError::BeforeMigration { schema, source })
}
