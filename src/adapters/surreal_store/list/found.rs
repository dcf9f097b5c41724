//! Rows as a list finds them: one that cannot be read hides only itself.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use kastrel_actors::model::{ScanId, ScanRecord};
use kastrel_actors::ports::StoreError;
use surrealdb::types::Value;

use crate::adapters::surreal_store::error::CallError;
use crate::adapters::surreal_store::row::{Keyed, keyed};

/// How many unreadable rows are remembered as logged.
const REMEMBERED: usize = 1_000;

/// A row, or what stands in its stead.
#[derive(Debug)]
pub(super) struct Found {
    /// The number that the row has in the indexes.
    pub(super) number: i64,
    /// The record, or the scan whose row cannot be read.
    pub(super) record: Result<Box<ScanRecord>, ScanId>,
}

/// The unreadable rows that the log names already: a list that is polled names each once.
#[derive(Debug, Default)]
pub(in crate::adapters::surreal_store) struct Unreadable(Mutex<BTreeSet<u64>>);

impl Unreadable {
    fn report(&self, id: ScanId, error: &StoreError) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < REMEMBERED && known.insert(id.0) {
            tracing::error!(
                scan.id = id.0,
                error = error as &dyn std::error::Error,
                "the row of a scan cannot be read; lists and exports go on without it"
            );
        }
    }

    /// Reads rows, each by itself.
    pub(super) fn read(&self, rows: Vec<Value>) -> Result<Vec<Found>, CallError> {
        rows.into_iter().map(|row| self.read_one(row)).collect()
    }

    fn read_one(&self, row: Value) -> Result<Found, CallError> {
        let Keyed { id, number, record } = keyed(row)?;
        let record = match record {
            Ok(record) => Ok(Box::new(record)),
            Err(error) => {
                self.report(id, &error);
                Err(id)
            }
        };
        Ok(Found { number, record })
    }
}
