//! Defines the indexes of lists, and waits until they are built.
//!
//! The engine builds an index in the background, because over many rows that takes longer than a
//! call may. Its state is read again and again until it is built.
//!
//! A process that is killed during a build leaves it behind. The engine would continue it after up
//! to 90 seconds; a build that does not advance at all is therefore removed and begun anew.

use std::time::Duration;

use kastrel_actors::ports::StoreError;
use surrealdb::types::SurrealValue;
use tokio::time::Instant;

use super::calls::{self, Nothing, Tries};
use super::error::Failure;
use super::executor::Executor;
use super::row;

/// One statement for each index.
const INDEXES: &str = include_str!("migrations/0011_then_indexes.surql");

/// The longest pause between two reads of an index's state.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long a build may stay as it was found before it counts as left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(10);
/// How often the build of an index is begun anew.
const MOST_BUILDS: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq, SurrealValue)]
struct Build {
    status: Option<String>,
    error: Option<String>,
    /// The number of rows that the build has read.
    initial: Option<i64>,
    /// The numbers of changes that it has to repeat, and that it has repeated.
    pending: Option<i64>,
    updated: Option<i64>,
}

/// How a wait for a build ended.
#[derive(Debug, PartialEq, Eq)]
enum Waited {
    Built,
    /// Nothing builds it.
    LeftBehind,
}

/// Defines the indexes. With `is_empty` there are no scans, so each is built at once; otherwise one
/// is built after the other.
pub(super) async fn define(db: &dyn Executor, is_empty: bool) -> Result<(), StoreError> {
    if is_empty {
        return run_definition(db, INDEXES).await;
    }
    for statement in INDEXES.lines().filter_map(|line| line.trim().strip_suffix(';')) {
        let mut words = statement.split_whitespace().skip_while(|word| *word != "EXISTS").skip(1);
        let (Some(name), Some("ON"), Some(table)) = (words.next(), words.next(), words.next()) else { continue };
        build(db, statement, name, table).await?;
    }
    Ok(())
}

/// Builds an index, anew if its build was left behind.
async fn build(db: &dyn Executor, statement: &str, name: &str, table: &str) -> Result<(), StoreError> {
    for _ in 0..MOST_BUILDS {
        run_definition(db, &format!("{statement} CONCURRENTLY;")).await?;
        if wait_until_built(db, name, table).await? == Waited::Built {
            return Ok(());
        }
        tracing::warn!(index = name, "the build of an index was left behind; it begins anew");
        run_definition(db, &format!("REMOVE INDEX IF EXISTS {name} ON {table};")).await?;
    }
    Err(row::corrupt(format!("the index {name} was not built: its build does not advance")))
}

/// Waits until an index is built: by this process or another one, also after an interruption.
async fn wait_until_built(db: &dyn Executor, name: &str, table: &str) -> Result<Waited, StoreError> {
    let look = format!(
        "LET $index = INFO FOR INDEX {name} ON {table};
        LET $build = $index.building;
        RETURN {{ status: $build.status, error: $build.error, initial: $build.initial, pending: $build.pending, updated: $build.updated }};"
    );
    let mut pause = Duration::from_millis(2);
    let (begun, mut first, mut advances) = (Instant::now(), None, false);
    loop {
        let build = read_build(db, &look).await?;
        match (build.status.as_deref(), &build.error) {
            (Some("ready"), _) => return Ok(Waited::Built),
            (Some("error" | "aborted"), error) | (_, error @ Some(_)) => {
                let why = error.as_deref().unwrap_or("its build ended");
                return Err(row::corrupt(format!("the index {name} was not built: {why}")));
            }
            _ => {}
        }
        advances |= *first.get_or_insert_with(|| build.clone()) != build;
        if !advances && begun.elapsed() >= LEFT_BEHIND {
            return Ok(Waited::LeftBehind);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Each read has the retries of a whole operation, however long the build takes.
async fn read_build(db: &dyn Executor, look: &str) -> Result<Build, StoreError> {
    let mut tries = Tries::default();
    loop {
        match calls::call_text(db, look.to_owned(), Nothing {}).await {
            Err(error) => tries.after(error).await?,
            Ok(build) => return Ok(build),
        }
    }
}

/// Runs definitions, again if another process runs the same ones.
async fn run_definition(db: &dyn Executor, sql: &str) -> Result<(), StoreError> {
    let mut tries = Tries::default();
    loop {
        match calls::execute(db, sql, Nothing {}).await {
            Err(error) if error.failure() == Failure::Exists => tries.after_collision().await?,
            Err(error) => tries.after(error).await?,
            Ok(()) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use async_trait::async_trait;
    use surrealdb::types::{Object, Value};

    use super::*;
    use crate::adapters::surreal_store::error::CallError;

    /// The answer to one read of an index's state.
    #[derive(Debug, Clone, Copy)]
    enum Look {
        Status(&'static str),
        /// The number of rows that were read.
        Indexing(i64),
        Failed(&'static str),
        Lost,
    }

    /// A database that plays the build of each index: the looks of one build, for each index anew.
    #[derive(Debug)]
    struct Scripted {
        looks: Vec<Look>,
        log: Mutex<Vec<String>>,
        next: Mutex<usize>,
    }

    impl Scripted {
        fn new(looks: Vec<Look>) -> Self {
            Self { looks, log: Mutex::default(), next: Mutex::default() }
        }

        fn log(&self) -> Vec<String> {
            self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }

        fn look(&self) -> Look {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let look = self.looks[*next];
            *next += 1;
            look
        }
    }

    #[async_trait]
    impl Executor for Scripted {
        async fn query(&self, sql: String, _: Value) -> Result<Vec<surrealdb::Result<Value>>, CallError> {
            let mut words = sql.split_whitespace();
            self.log.lock().unwrap_or_else(PoisonError::into_inner).push(match words.next() {
                Some("DEFINE") => words.nth(4).unwrap().to_owned(),
                Some("REMOVE") => format!("REMOVE {}", words.nth(3).unwrap()),
                _ => words.nth(5).unwrap().to_owned(),
            });
            if sql.starts_with("DEFINE") {
                assert!(sql.ends_with(" CONCURRENTLY;"), "{sql}");
                *self.next.lock().unwrap_or_else(PoisonError::into_inner) = 0;
                return Ok(vec![Ok(Value::None)]);
            }
            if sql.starts_with("REMOVE") {
                return Ok(vec![Ok(Value::None)]);
            }
            let (status, error, initial) = match self.look() {
                Look::Lost => return Err(CallError::Lost),
                Look::Status(status) => (Some(status), None, None),
                Look::Indexing(read) => (Some("indexing"), None, Some(read)),
                Look::Failed(why) => (None, Some(why), None),
            };
            let mut answer = Object::new();
            answer.insert("initial".to_owned(), initial.into_value());
            answer.insert("pending".to_owned(), Value::None);
            answer.insert("updated".to_owned(), Value::None);
            answer.insert("status".to_owned(), status.map(str::to_owned).into_value());
            answer.insert("error".to_owned(), error.map(str::to_owned).into_value());
            Ok(vec![Ok(Value::None), Ok(Value::None), Ok(Value::Object(answer))])
        }

        async fn select(&self, _: &str, _: &str) -> Result<(), CallError> {
            Ok(())
        }
    }

    fn names() -> Vec<&'static str> {
        INDEXES.lines().filter_map(|line| line.split_whitespace().nth(5)).filter(|word| word.contains('_')).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_build_may_take_longer_than_a_call_and_lose_answers() {
        // Answers are lost near the end, after more time than the retries of one operation have.
        let mut looks: Vec<Look> = (0..60).map(Look::Indexing).collect();
        looks.extend([Look::Lost, Look::Lost, Look::Indexing(60), Look::Lost, Look::Status("ready")]);
        let db = Scripted::new(looks.clone());
        let begun = Instant::now();
        define(&db, false).await.unwrap();
        let indexes = u32::try_from(names().len()).unwrap();
        assert!(begun.elapsed() > (calls::CALL_TIMEOUT * 2) * indexes, "{:?}", begun.elapsed());
        // Each index is looked at until it is built, and only then is the next one defined.
        let expected: Vec<&str> =
            names().into_iter().flat_map(|name| std::iter::repeat_n(name, 1 + looks.len())).collect();
        assert_eq!(db.log(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_build_that_fails_stops_the_upgrade_and_names_the_index() {
        for (last, why) in [
            (Look::Status("aborted"), "its build ended"),
            (Look::Status("error"), "its build ended"),
            (Look::Failed("no space"), "no space"),
        ] {
            let db = Scripted::new(vec![Look::Status("started"), Look::Status("indexing"), last]);
            let error = define(&db, false).await.unwrap_err();
            let text = crate::error_chain::chain(&error);
            assert!(text.contains(names()[0]) && text.contains(why), "{text}");
            assert_eq!(db.log(), [names()[0]; 4], "no other index is defined");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_build_that_was_left_behind_begins_anew() {
        // The same builder's count for longer than the limit, for each build.
        let db = Scripted::new(vec![Look::Indexing(16); 60]);
        let error = define(&db, false).await.unwrap_err();
        let text = crate::error_chain::chain(&error);
        assert!(text.contains(names()[0]) && text.contains("does not advance"), "{text}");
        let removed = format!("REMOVE {}", names()[0]);
        assert_eq!(db.log().iter().filter(|line| **line == removed).count(), MOST_BUILDS);
        assert!(db.log().iter().all(|line| line.ends_with(names()[0])), "no other index is defined");
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_whose_state_stays_unknown_is_an_error() {
        let db = Scripted::new(vec![Look::Lost; 9]);
        let error = define(&db, false).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
}
