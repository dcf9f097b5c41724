//! Decodes the rows of a list. An unreadable row affects only itself.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use kastrel_actors::model::{ScanId, ScanRecord};
use kastrel_actors::ports::StoreError;
use surrealdb::types::Value;

use super::error::CallError;
use super::row::{Keyed, keyed_listed};

/// How many unreadable rows are remembered as already logged.
const REMEMBERED: usize = 1_000;

/// A row, or the id of an unreadable one.
#[derive(Debug)]
pub(super) struct Found {
    /// The number of the row in the indexes.
    pub(super) number: i64,
    /// The record, or the scan id of an unreadable row.
    pub(super) record: Result<Box<ScanRecord>, ScanId>,
}

/// The unreadable rows that were already logged, so that a polled list logs each only once.
#[derive(Debug, Default)]
pub(super) struct Unreadable(Mutex<BTreeSet<u64>>);

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

    /// Decodes rows, each separately.
    pub(super) fn read(&self, rows: Vec<Value>) -> Result<Vec<Found>, CallError> {
        rows.into_iter().map(|row| self.read_one(row)).collect()
    }

    fn read_one(&self, row: Value) -> Result<Found, CallError> {
        let Keyed { id, number, record } = keyed_listed(row)?;
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
