//! An in-memory cache of the distinct targets. A search for a part of a target runs on these,
//! because there are far fewer of them than scans, and they never change.
//!
//! The cache only contains committed targets. Each search first loads the targets newer than
//! `upto`, which costs one read at the end of an index.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kastrel_actors::policy::listing::target_contains;
use kastrel_actors::ports::StoreError;
use surrealdb::types::SurrealValue;

use super::calls;
use super::database::Database;

/// The maximum number of cached targets, about six megabytes.
const MOST: usize = 100_000;
const CHUNK: i64 = 5_000;

/// The cache; see the module docs.
#[derive(Debug, Default)]
pub(super) struct TargetIndex(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Sorted.
    targets: Vec<String>,
    /// The scan up to which the targets are loaded.
    upto: i64,
    /// True if there are more than [`MOST`] targets.
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
    /// The first `most` targets that contain `text`, sorted, starting at `from`. `None` if there
    /// are more targets than the cache holds.
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
