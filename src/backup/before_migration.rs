//! Makes a backup before a newer version changes the schema of an existing database.

use std::error::Error;

use async_trait::async_trait;
use kastrel_actors::ports::SystemClock;
use tracing::info;

use super::folder::BackupFolder;
use super::source::OldSchema;
use crate::adapters::surreal_store::{BeforeMigration, SurrealStore};

#[async_trait]
impl BeforeMigration for BackupFolder {
    async fn run(&self, store: &SurrealStore, schema: i64) -> Result<(), Box<dyn Error + Send + Sync>> {
        info!(schema, "backing the database up before its schema changes");
        let source = OldSchema { store, schema };
        if let Some(made) = self.make(&source, Some(schema), &SystemClock).await? {
            info!(file = %made.path.display(), "made a backup before the migration");
        }
        Ok(())
    }
}
