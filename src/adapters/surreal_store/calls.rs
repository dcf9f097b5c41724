//! Sends queries to the database, with a timeout, typed responses, error selection and retries.

use std::time::Duration;

use surrealdb::types::{SurrealValue, Value};
use tokio::time::Instant;

use super::error::{CallError, Failure};
use super::executor::Executor;
use super::steps::fenced;

/// The timeout of one database call, including the wait for a connection.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one operation of the store is retried. One more call may start just before the limit.
pub(super) const OPERATION_LIMIT: Duration = Duration::from_secs(12);

/// How many lost responses one operation tolerates.
const MAX_LOST: u32 = 3;

/// The variables of a query that has none.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct Nothing {}

/// Runs `sql` and returns the value of the last statement that has one.
///
/// Responses are objects, so that "no row" is a field of the response and not its absence.
/// Statements that only have an effect return nothing.
pub(super) async fn call<T: SurrealValue>(
    db: &dyn Executor,
    sql: &'static str,
    variables: impl SurrealValue + 'static,
) -> Result<T, CallError> {
    call_text(db, sql.to_owned(), variables).await
}

/// Works like [`call`], for a text that is not constant.
pub(super) async fn call_text<T: SurrealValue>(
    db: &dyn Executor,
    sql: String,
    variables: impl SurrealValue + 'static,
) -> Result<T, CallError> {
    let answer = run(db, sql, variables.into_value()).await?.ok_or_else(|| CallError::Shape("no answer".into()))?;
    T::from_value(answer).map_err(|error| CallError::Shape(error.to_string()))
}

/// Runs [`call`] and retries it after a conflict or a lost response. For idempotent calls.
pub(super) async fn call_again<T: SurrealValue>(
    db: &dyn Executor,
    sql: &'static str,
    variables: impl SurrealValue + Clone + 'static,
) -> Result<T, CallError> {
    call_text_again(db, sql, variables).await
}

/// Works like [`call_again`], for a text that is not constant.
pub(super) async fn call_text_again<T: SurrealValue>(
    db: &dyn Executor,
    sql: &str,
    variables: impl SurrealValue + Clone + 'static,
) -> Result<T, CallError> {
    let mut tries = Tries::default();
    loop {
        match call_text(db, sql.to_owned(), variables.clone()).await {
            Err(error) => tries.after(error).await?,
            answer => return answer,
        }
    }
}

/// Works like [`call_again`], and also returns whether a response was lost before. For deletions: a
/// row that was there before the first call, and is missing in the last one, was then deleted by
/// this operation.
pub(super) async fn call_again_noting_loss<T: SurrealValue>(
    db: &dyn Executor,
    sql: &'static str,
    variables: impl SurrealValue + Clone + 'static,
) -> Result<(T, bool), CallError> {
    let (mut tries, mut is_unanswered) = (Tries::default(), false);
    loop {
        match call(db, sql, variables.clone()).await {
            Ok(answer) => return Ok((answer, is_unanswered)),
            Err(error) => {
                is_unanswered |= error.failure() == Failure::Lost;
                tries.after(error).await?;
            }
        }
    }
}

/// Runs [`call`] and retries it only after a conflict. For calls that must not run twice.
pub(super) async fn call_once<T: SurrealValue>(
    db: &dyn Executor,
    sql: &'static str,
    variables: impl SurrealValue + Clone + 'static,
) -> Result<T, CallError> {
    let mut tries = Tries::default();
    loop {
        match call(db, sql, variables.clone()).await {
            Err(error) if error.failure() == Failure::Conflict => tries.after(error).await?,
            answer => return answer,
        }
    }
}

/// Runs [`execute`] and retries it after a conflict or a lost response.
pub(super) async fn execute_again(
    db: &dyn Executor,
    sql: &str,
    variables: impl SurrealValue + Clone + 'static,
) -> Result<(), CallError> {
    let mut tries = Tries::default();
    loop {
        match execute(db, sql, variables.clone()).await {
            Err(error) => tries.after(error).await?,
            answer => return answer,
        }
    }
}

/// Runs `sql` and discards the response.
pub(super) async fn execute(
    db: &dyn Executor,
    sql: impl Into<String>,
    variables: impl SurrealValue + 'static,
) -> Result<(), CallError> {
    run(db, sql.into(), variables.into_value()).await.map(drop)
}

/// Runs [`execute`] without a timeout.
pub(super) async fn execute_to_its_end(
    db: &dyn Executor,
    sql: String,
    variables: impl SurrealValue + 'static,
) -> Result<(), CallError> {
    answer_of(db.query(sql, variables.into_value()).await?).map(drop)
}

async fn run(db: &dyn Executor, sql: String, variables: Value) -> Result<Option<Value>, CallError> {
    let query = db.query(fenced(sql), variables);
    answer_of(tokio::time::timeout(CALL_TIMEOUT, query).await.map_err(|_| CallError::TimedOut(CALL_TIMEOUT))??)
}

/// The last value of the statements, or the most specific error.
fn answer_of(results: Vec<surrealdb::Result<Value>>) -> Result<Option<Value>, CallError> {
    let (mut answer, mut worst) = (None, None::<CallError>);
    for result in results {
        match result {
            Ok(Value::None) => {}
            Ok(Value::Array(rows)) if rows.is_empty() => {}
            Ok(value) => answer = Some(value),
            Err(error) => {
                let error = CallError::Failed(error);
                if worst.as_ref().is_none_or(|worst| telling(&error) < telling(worst)) {
                    worst = Some(error);
                }
            }
        }
    }
    worst.map_or(Ok(answer), Err)
}

/// Ranks errors; lower is more specific. When a transaction fails, each statement reports an error,
/// and most of these only mean that another statement failed.
fn telling(error: &CallError) -> u8 {
    match (error.failure(), error) {
        (Failure::Thrown | Failure::Outdated | Failure::Exists, _) => 0,
        (Failure::Conflict, _) => 1,
        (_, CallError::Failed(error)) if error.query_details().is_none() => 2,
        (_, _) => 3,
    }
}

/// The retry state of one operation.
#[derive(Debug)]
pub(super) struct Tries {
    since: Instant,
    collided: u32,
    lost: u32,
}

impl Default for Tries {
    fn default() -> Self {
        Self { since: Instant::now(), collided: 0, lost: 0 }
    }
}

/// The decision after a failed call.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
enum Next {
    /// Retry after a pause of up to this long.
    Again(Duration),
    /// Stop: concurrent writers always won.
    Contended,
    /// Stop and return the error.
    Fail,
}

impl Tries {
    /// Waits until the next retry, or returns the error if no retry is left.
    pub(super) async fn after(&mut self, error: CallError) -> Result<(), CallError> {
        let next = next(error.failure(), self.since.elapsed(), self.collided, self.lost);
        match error.failure() {
            Failure::Lost => self.lost += 1,
            _ => self.collided += 1,
        }
        match next {
            // Yields to other tasks before the first pause.
            Next::Again(Duration::ZERO) => tokio::task::yield_now().await,
            Next::Again(longest) => tokio::time::sleep(longest.mul_f64(rand::random_range(0.0..=1.0))).await,
            Next::Contended => return Err(CallError::Contended(OPERATION_LIMIT)),
            Next::Fail => return Err(error),
        }
        Ok(())
    }

    /// Works like [`after`](Self::after), for a conflict that was not an error: another writer
    /// changed or created the row first.
    pub(super) async fn after_collision(&mut self) -> Result<(), CallError> {
        match next(Failure::Conflict, self.since.elapsed(), self.collided, self.lost) {
            Next::Again(longest) => tokio::time::sleep(longest.mul_f64(rand::random_range(0.0..=1.0))).await,
            Next::Contended | Next::Fail => return Err(CallError::Contended(OPERATION_LIMIT)),
        }
        self.collided += 1;
        Ok(())
    }
}

/// Conflicts are retried immediately at first, then after pauses of up to 50 ms with jitter. Lost
/// responses are retried immediately; the call then waits for the new connection.
fn next(failure: Failure, elapsed: Duration, collided: u32, lost: u32) -> Next {
    let in_time = elapsed < OPERATION_LIMIT;
    match failure {
        Failure::Conflict if !in_time => Next::Contended,
        Failure::Conflict if collided == 0 => Next::Again(Duration::ZERO),
        Failure::Conflict => Next::Again(Duration::from_millis((1 << collided.min(6)).min(50))),
        Failure::Lost if in_time && lost < MAX_LOST => Next::Again(Duration::ZERO),
        Failure::Lost | Failure::Unsent | Failure::Thrown | Failure::Outdated | Failure::Exists | Failure::Unknown => {
            Next::Fail
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_collisions_and_lost_answers_are_tried_again() {
        let (soon, late) = (Duration::from_secs(1), OPERATION_LIMIT);
        let pause = |ms| Next::Again(Duration::from_millis(ms));
        for (failure, elapsed, collided, lost, expected) in [
            (Failure::Conflict, soon, 0, 0, pause(0)),
            (Failure::Conflict, soon, 1, 0, pause(2)),
            (Failure::Conflict, soon, 5, 0, pause(32)),
            (Failure::Conflict, soon, 1000, 0, pause(50)),
            (Failure::Conflict, late, 0, 0, Next::Contended),
            (Failure::Lost, soon, 0, 0, pause(0)),
            (Failure::Lost, soon, 0, MAX_LOST, Next::Fail),
            (Failure::Lost, late, 0, 0, Next::Fail),
            (Failure::Unsent, soon, 0, 0, Next::Fail),
            (Failure::Thrown, soon, 0, 0, Next::Fail),
            (Failure::Outdated, soon, 0, 0, Next::Fail),
            (Failure::Exists, soon, 0, 0, Next::Fail),
            (Failure::Unknown, soon, 0, 0, Next::Fail),
        ] {
            assert_eq!(
                next(failure, elapsed, collided, lost),
                expected,
                "{failure:?} after {elapsed:?}, {collided} collisions, {lost} lost answers"
            );
        }
    }
}
