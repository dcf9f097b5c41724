//! Reads the row of a scan.

use jiff::Timestamp;
use kastrel_actors::model::{ScanId, ScanRecord};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{RecordId, SurrealValue};

use super::calls;
use super::inner::Inner;
use super::row::{self, StoredScan, stored};

/// A row and the database's time when it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) record: ScanRecord,
    pub(super) now: Timestamp,
}

#[derive(Debug, Clone, SurrealValue)]
struct ReadArguments {
    key: RecordId,
    offset: i64,
}

#[derive(Debug, SurrealValue)]
struct ReadAnswer {
    row: Option<StoredScan>,
    now: i64,
}

const READ: &str = concat!(
    "RETURN {
        row: (SELECT ",
    stored!(),
    " FROM ONLY $key),
        now: time::nano(time::now()) + $offset,
    };"
);

impl Inner {
    pub(super) async fn read(&self, id: ScanId) -> Result<Option<Read>, StoreError> {
        let Some(key) = row::scan_key(id) else { return Ok(None) };
        let answer: ReadAnswer =
            calls::call_again(&self.db, READ, ReadArguments { key, offset: self.offset() }).await?;
        let Some(stored) = answer.row else { return Ok(None) };
        Ok(Some(Read { record: stored.into_record()?, now: row::timestamp(answer.now)? }))
    }
}
