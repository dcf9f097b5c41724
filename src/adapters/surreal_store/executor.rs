//! The interface through which [`calls`](super::calls) and the migrations use a database: an
//! engine, one connection to a server, or the open database of a store.

use async_trait::async_trait;
use surrealdb::types::Value;

use super::error::CallError;

/// Executes queries.
#[async_trait]
pub(super) trait Executor: Send + Sync {
    /// Returns the result of each statement.
    async fn query(&self, sql: String, variables: Value) -> Result<Vec<surrealdb::Result<Value>>, CallError>;

    /// Selects the database for all later calls.
    async fn select(&self, namespace: &str, database: &str) -> Result<(), CallError>;
}
