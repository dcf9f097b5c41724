//! Moves the plugins of a row of schema 10 or earlier, which holds them in one document, to rows of
//! their own. [`upgrade`](super::upgrade) calls it for each old row.
//!
//! A move is one transaction for each row and its plugins, and it applies only to a row that still
//! has its document. So several processes may move the same rows, and an interruption leaves each
//! row either old or moved.

use kastrel_actors::model::{ScanId, ScanRecord};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::calls;
use super::error::Failure;
use super::executor::Executor;
use super::results::{Results, write_results};
use super::row::{self, Columns, set_columns};

/// The approximate number of bytes of one transaction, which is held in memory.
const MOST_BYTES: usize = 2 << 20;

#[derive(Debug, Clone, SurrealValue)]
struct Moved {
    rows: Vec<MovedRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct MovedRow {
    key: RecordId,
    columns: Columns,
    results: Results,
}

#[derive(Debug, Clone, SurrealValue)]
struct Unreadable {
    key: RecordId,
}

#[derive(Debug, SurrealValue)]
struct Left {
    left: i64,
}

/// Returns the number of rows that are still old because they changed since they were read.
const MOVE: &str = concat!(
    "BEGIN;
    FOR $row IN $rows {
        LET $columns = $row.columns;
        LET $moved = UPDATE $row.key SET ",
    set_columns!(),
    ", document = NONE, leased_at = NONE, lease = NONE, project = 'default' WHERE document != NONE AND version = $columns.version RETURN VALUE version;
        LET $results = $row.results;
        IF array::len($moved) > 0 {",
    write_results!(),
    "};
    };
    LET $keys = $rows.key;
    LET $left = SELECT VALUE number FROM $keys WHERE document != NONE;
    RETURN { left: array::len($left) };
    COMMIT;"
);

/// Keeps the text of a row that cannot be read.
const MOVE_UNREADABLE: &str = "
    BEGIN;
    UPDATE $key SET body = document, granted_at = leased_at, attempt = attempt ?? 0, project = 'default', document = NONE, leased_at = NONE
        WHERE document != NONE RETURN NONE;
    COMMIT;";

/// The moves of a chunk of rows, in transactions of limited size.
pub(super) struct Moves<'a> {
    db: &'a dyn Executor,
    batch: Vec<MovedRow>,
    bytes: usize,
    left: i64,
}

impl<'a> Moves<'a> {
    pub(super) fn new(db: &'a dyn Executor) -> Self {
        Self { db, batch: Vec::new(), bytes: 0, left: 0 }
    }

    /// Adds an old row. One that cannot be stored as columns keeps its text.
    pub(super) async fn add(&mut self, record: &ScanRecord) -> Result<(), StoreError> {
        let key = RecordId::new("scan", row::signed(record.id.0)?);
        let (columns, results) = match Columns::of(record).and_then(|columns| Ok((columns, Results::of(record)?))) {
            Ok(moved) => moved,
            Err(error) => {
                tracing::error!(
                    scan.id = record.id.0,
                    error = &error as &dyn std::error::Error,
                    "the plugins of a scan cannot have rows of their own; its row keeps them"
                );
                return self.keep_text(record.id).await;
            }
        };
        self.bytes += columns.body.len() + results.bytes();
        self.batch.push(MovedRow { key, columns, results });
        if self.bytes >= MOST_BYTES { self.write().await } else { Ok(()) }
    }

    /// Keeps the text of an old row as it is.
    pub(super) async fn keep_text(&self, id: ScanId) -> Result<(), StoreError> {
        let key = RecordId::new("scan", row::signed(id.0)?);
        match calls::execute_again(self.db, MOVE_UNREADABLE, Unreadable { key }).await {
            // The text has another type.
            Err(error) if error.failure() == Failure::Unknown => {
                tracing::warn!(
                    scan.id = id.0,
                    error = &error as &dyn std::error::Error,
                    "the unreadable row of a scan keeps its old shape"
                );
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Writes what is left to write. Returns `false` if a row changed since it was read, and so is
    /// still old.
    pub(super) async fn finish(mut self) -> Result<bool, StoreError> {
        self.write().await?;
        Ok(self.left == 0)
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.batch);
        let Left { left } = calls::call_again(self.db, MOVE, Moved { rows }).await?;
        self.left += left;
        self.bytes = 0;
        Ok(())
    }
}
