//! The targets that were ever scanned, each once, in memory: a part of a target is looked for among
//! these, which are far fewer than scans and never change.
//!
//! What is here is only what the database says; what it does not know yet is read before each
//! search, which costs one look at the end of an index.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kastrel_actors::policy::listing::target_contains;
use kastrel_actors::ports::StoreError;
use surrealdb::types::SurrealValue;

use super::calls::{self, Database};

/// The most targets that are held; some six megabytes.
const MOST: usize = 100_000;
const CHUNK: i64 = 5_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct TargetIndex(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// In the order of the alphabet.
    targets: Vec<String>,
    /// The scans up to this one have their targets here.
    upto: i64,
    /// There are more than [`MOST`].
    overflowing: bool,
}

#[derive(Debug, Clone, SurrealValue)]
struct After {
    upto: i64,
    limit: i64,
}

#[derive(Debug, SurrealValue)]
struct Row {
    target: String,
    first: i64,
}

#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<Row>,
}

const NEW: &str = "RETURN { rows: (SELECT record::id(id)[0] AS target, first FROM aim WHERE first > $upto ORDER BY first LIMIT $limit) };";

impl TargetIndex {
    /// The targets that contain `text`, in the order of the alphabet and not before `from`, at most
    /// `most`. `None`: there are more targets than are held, so nobody knows.
    pub(super) async fn containing(
        &self,
        db: &Database,
        text: &str,
        from: &str,
        most: usize,
    ) -> Result<Option<Vec<String>>, StoreError> {
        self.catch_up(db).await?;
        let known = self.known();
        let begin = known.targets.partition_point(|target| target.as_str() < from);
        let found = || {
            known
                .targets
                .iter()
                .skip(begin)
                .filter(|target| target_contains(target, text))
                .take(most)
                .cloned()
                .collect()
        };
        Ok((!known.overflowing).then(found))
    }

    async fn catch_up(&self, db: &Database) -> Result<(), StoreError> {
        loop {
            let upto = self.known().upto;
            let Rows { rows } = calls::call_again(db, NEW, After { upto, limit: CHUNK }).await?;
            let is_last = rows.len() < usize::try_from(CHUNK).unwrap_or(usize::MAX);
            let mut known = self.known();
            known.add(rows);
            if is_last || known.overflowing {
                return Ok(());
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        for row in rows {
            self.upto = self.upto.max(row.first);
            self.targets.push(row.target);
        }
        self.targets.sort_unstable();
        self.targets.dedup();
        if self.targets.len() > MOST {
            *self = Self { targets: Vec::new(), upto: i64::MAX, overflowing: true };
        }
    }
}
