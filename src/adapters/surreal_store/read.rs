//! Reads the row of a scan.

use jiff::Timestamp;
use kastrel_actors::model::{PluginResult, ScanId, ScanRecord};
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
    /// True if the row was leased and not written since: the plugins of the record are those that
    /// the lease brings from the attempt before, and the running attempt has no rows yet.
    pub(super) is_only_leased: bool,
}

impl Read {
    /// The plugins that the running or last attempt has in rows.
    pub(super) fn stored_plugins(&self) -> &[PluginResult] {
        if self.is_only_leased { &[] } else { &self.record.plugins }
    }
}

#[derive(Debug, Clone, SurrealValue)]
struct CarriedArguments {
    scan: i64,
    attempt: i64,
}

#[derive(Debug, SurrealValue)]
struct CarriedAnswer {
    plugins: Vec<String>,
}

/// The plugins of an attempt that has ended.
const READ_CARRIED: &str = "RETURN {
    plugins: (SELECT VALUE result FROM plugin_result:[$scan, $attempt]..[$scan, $attempt + 1]),
};";

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
        let is_only_leased = stored.granted_at.is_some();
        Ok(Some(Read { record: self.complete(stored).await?, now: row::timestamp(answer.now)?, is_only_leased }))
    }

    /// Builds the record of a row, and reads the plugins that a lease brings into a retry. Only a
    /// retry that was leased and not written since needs this second statement.
    pub(super) async fn complete(&self, mut stored: StoredScan) -> Result<ScanRecord, StoreError> {
        if let Some(attempt) = stored.carries()? {
            let arguments = CarriedArguments { scan: stored.number, attempt };
            let answer: CarriedAnswer = calls::call_again(&self.db, READ_CARRIED, arguments).await?;
            stored.plugins = answer.plugins;
        }
        stored.into_record()
    }
}
