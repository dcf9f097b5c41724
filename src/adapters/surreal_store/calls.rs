//! One way to ask the database: with a time-out, with the most telling of its errors, and with one typed answer.

use std::time::Duration;

use surrealdb::engine::any::Any;
use surrealdb::engine::local::Db;
use surrealdb::types::{SurrealValue, Value};
use surrealdb::{IndexedResults, Surreal};

use super::error::{CallError, Failure};

/// The longest that one call of the database may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a call that lost against other writers is made again.
pub(super) const MAX_TRIES: u32 = 30;

/// A connection. The embedded engine is a kind of its own because only there its caches can be bounded.
#[derive(Debug, Clone)]
pub(super) enum Database {
    /// In this process.
    Embedded(Surreal<Db>),
    /// Anywhere.
    Any(Surreal<Any>),
}

impl Database {
    pub(super) async fn query(&self, sql: impl Into<String>, variables: Value) -> surrealdb::Result<IndexedResults> {
        match self {
            Self::Embedded(db) => db.query(sql.into()).bind(variables).await,
            Self::Any(db) => db.query(sql.into()).bind(variables).await,
        }
    }

    pub(super) async fn select(&self, namespace: &str, database: &str) -> surrealdb::Result<()> {
        match self {
            Self::Embedded(db) => db.use_ns(namespace).use_db(database).await.map(drop),
            Self::Any(db) => db.use_ns(namespace).use_db(database).await.map(drop),
        }
    }
}

/// Runs `sql`, whose last statement that gives a value is its answer.
///
/// Answers are objects, so that "no row" is a field of the answer and not the answer's absence; statements that only do something give nothing.
pub(super) async fn call<T: SurrealValue>(db: &Database, sql: &'static str, variables: impl SurrealValue + 'static) -> Result<T, CallError> {
    let answer = run(db, sql, variables.into_value()).await?.ok_or_else(|| CallError::Shape("no answer".into()))?;
    T::from_value(answer).map_err(|error| CallError::Shape(error.to_string()))
}

/// As [`call`], made again when it collided with other writers: for what is the same whenever it is made.
pub(super) async fn call_again<T: SurrealValue>(db: &Database, sql: &'static str, variables: impl SurrealValue + Clone + 'static) -> Result<T, CallError> {
    for tried in 0..MAX_TRIES {
        match call(db, sql, variables.clone()).await {
            Err(error) if error.failure() == Failure::Conflict => back_off(tried).await,
            answer => return answer,
        }
    }
    Err(CallError::Contended(MAX_TRIES))
}

/// As [`execute`], made again when it collided with other writers.
pub(super) async fn execute_again(db: &Database, sql: &str, variables: impl SurrealValue + Clone + 'static) -> Result<(), CallError> {
    for tried in 0..MAX_TRIES {
        match execute(db, sql, variables.clone()).await {
            Err(error) if error.failure() == Failure::Conflict => back_off(tried).await,
            answer => return answer,
        }
    }
    Err(CallError::Contended(MAX_TRIES))
}

/// Runs `sql` for its effect.
pub(super) async fn execute(db: &Database, sql: impl Into<String>, variables: impl SurrealValue + 'static) -> Result<(), CallError> {
    run(db, sql, variables.into_value()).await.map(drop)
}

async fn run(db: &Database, sql: impl Into<String>, variables: Value) -> Result<Option<Value>, CallError> {
    let query = db.query(sql, variables);
    let mut response = tokio::time::timeout(CALL_TIMEOUT, query).await.map_err(|_| CallError::TimedOut(CALL_TIMEOUT))?.map_err(CallError::Failed)?;
    let errors = response.take_errors().into_values().map(CallError::Failed);
    if let Some(error) = errors.min_by_key(telling) {
        return Err(error);
    }
    let mut answer = None;
    for statement in 0..response.num_statements() {
        match response.take::<Value>(statement).map_err(CallError::Failed)? {
            Value::None => {}
            Value::Array(rows) if rows.is_empty() => {}
            value => answer = Some(value),
        }
    }
    Ok(answer)
}

/// When a transaction fails, each of its statements reports an error, most of them only that another one failed. Lower is more telling.
fn telling(error: &CallError) -> u8 {
    match (error.failure(), error) {
        (Failure::Thrown | Failure::Exists, _) => 0,
        (Failure::Conflict, _) => 1,
        (Failure::Unknown, CallError::Failed(error)) if error.query_details().is_none() => 2,
        (Failure::Unknown, _) => 3,
    }
}

/// Lets others finish before try number `tried + 1`: at once at first, then with pauses that grow to 50 ms and differ from writer to writer.
pub(super) async fn back_off(tried: u32) {
    if tried == 0 {
        return tokio::task::yield_now().await;
    }
    let longest = 1_u64 << tried.min(6);
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..=longest.min(50)))).await;
}
