//! From a file into an empty store.

use kastrel_actors::model::ScanRecord;
use tokio::io::AsyncRead;

use super::error::BackupError;
use super::format::Summary;
use super::reader::{Entry, Reader};
use crate::adapters::surreal_store::{Import, SurrealStore};

/// So many scans, or about so many bytes of them, are written in one transaction.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 2 << 20;

/// Restores a backup into `store`, which must be empty.
///
/// The database counts as restored only when the last line was read and everything is there; until
/// then it is marked as unfinished.
///
/// # Errors
/// The file is not a whole backup that this program can read, the database is not empty or in use,
/// or it failed.
pub async fn read(store: &SurrealStore, from: impl AsyncRead + Unpin) -> Result<Summary, BackupError> {
    let mut reader = Reader::open(from).await?;
    let import = store.begin_import().await?;
    let mut batch = Batch::default();
    while let Some(entry) = reader.next().await? {
        let Entry::Scan(record) = entry else { continue };
        batch.push(*record, reader.line().len());
        if batch.is_full() {
            batch.write(&import).await?;
        }
    }
    batch.write(&import).await?;
    let summary = reader.summary();
    import.end(&reader.metadata(), summary.scans).await?;
    Ok(summary)
}

/// Scans that wait to be written.
#[derive(Default)]
struct Batch {
    scans: Vec<ScanRecord>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, record: ScanRecord, bytes: usize) {
        self.scans.push(record);
        self.bytes += bytes;
    }

    fn is_full(&self) -> bool {
        self.scans.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    async fn write(&mut self, import: &Import<'_>) -> Result<(), BackupError> {
        if !self.scans.is_empty() {
            import.add(&self.scans).await?;
        }
        *self = Self::default();
        Ok(())
    }
}
