//! The database of a store: embedded, or on a server.

use std::sync::Arc;

use async_trait::async_trait;
use surrealdb::types::Value;

use super::embedded::{EmbeddedDatabase, Engine, RefusedBatch};
use super::error::CallError;
use super::executor::Executor;
use super::reconnecting_client::ReconnectingClient;

/// The database of a store.
#[derive(Debug, Clone)]
pub(super) enum Database {
    /// An embedded database on disk.
    Embedded(EmbeddedDatabase),
    /// A single embedded engine: in memory, or before a migration.
    Engine(Arc<Engine>),
    /// A database server, through the current connection.
    Remote(ReconnectingClient),
}

#[async_trait]
impl Executor for Database {
    async fn query(&self, sql: String, variables: Value) -> Result<Vec<surrealdb::Result<Value>>, CallError> {
        match self {
            Self::Embedded(database) => database.query(sql, variables).await,
            Self::Engine(engine) => engine.query(sql, variables).await,
            Self::Remote(client) => client.query(sql, variables).await,
        }
    }

    async fn select(&self, namespace: &str, database: &str) -> Result<(), CallError> {
        match self {
            Self::Engine(engine) => engine.select(namespace, database).await,
            // Their connections have already selected the database.
            Self::Remote(_) | Self::Embedded(_) => Ok(()),
        }
    }
}

impl Database {
    /// Returns an error if calls are known to fail, without making one.
    pub(super) fn check(&self) -> Result<(), CallError> {
        match self {
            Self::Remote(client) => client.check(),
            Self::Embedded(database) => database.check(),
            Self::Engine(_) => Ok(()),
        }
    }

    /// Returns an error if submissions are known to fail, without a call.
    pub(super) fn check_submission(&self) -> Result<(), CallError> {
        match self {
            Self::Embedded(database) => database.check_submission(),
            Self::Remote(_) | Self::Engine(_) => Ok(()),
        }
    }

    /// Records that a restore is complete. From now on the loss of data is detected.
    pub(super) async fn restored(&self) {
        if let Self::Embedded(database) = self {
            database.restored().await;
        }
    }

    /// Makes sure that a batch of submissions whose caller got an error is not committed later. On
    /// a server, [`settle`](super::submit) has already done that if it reached the server.
    pub(super) async fn refuse(&self, batch: RefusedBatch) {
        if let Self::Embedded(database) = self {
            database.refuse(batch).await;
        }
    }
}
