//! The source of backups, for code that only stores them.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::io::AsyncWrite;

use super::error::BackupError;
use super::format::Summary;
use super::write::write_of_schema;
use crate::adapters::surreal_store::SurrealStore;

/// Writes a backup of its data.
#[async_trait]
pub trait BackupSource: Send + Sync {
    /// Writes a backup like [`write`](super::write()).
    async fn write(&self, into: Box<dyn AsyncWrite + Send + Unpin>, now: Timestamp) -> Result<Summary, BackupError>;
}

#[async_trait]
impl BackupSource for SurrealStore {
    async fn write(&self, into: Box<dyn AsyncWrite + Send + Unpin>, now: Timestamp) -> Result<Summary, BackupError> {
        super::write(self, into, now).await
    }
}

/// A database with the schema of an earlier version.
pub(super) struct OldSchema<'a> {
    pub(super) store: &'a SurrealStore,
    pub(super) schema: i64,
}

#[async_trait]
impl BackupSource for OldSchema<'_> {
    async fn write(&self, into: Box<dyn AsyncWrite + Send + Unpin>, now: Timestamp) -> Result<Summary, BackupError> {
        write_of_schema(self.store, self.schema, into, now).await
    }
}
