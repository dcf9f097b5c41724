//! Restores a backup file into an empty store.

use tokio::io::AsyncRead;

use super::error::BackupError;
use super::format::Summary;
use super::reader::Reader;
use crate::adapters::surreal_store::{ExportedScan, Import, SurrealStore};

/// The limits of one transaction: the number of scans, and their approximate size in bytes.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 2 << 20;

/// Restores a backup into `store`, which must be empty.
///
/// The database is marked as unfinished until the last line is read and every scan is stored.
///
/// # Errors
/// The file is not a complete backup that this program can read, the database is not empty or is in
/// use, or the database failed.
pub async fn read(store: &SurrealStore, from: impl AsyncRead + Unpin) -> Result<Summary, BackupError> {
    let mut reader = Reader::open(from).await?;
    let import = store.begin_import().await?;
    let (mut batch, mut before) = (Batch::default(), 0);
    while let Some(scan) = reader.next().await? {
        let read = reader.summary().bytes;
        batch.push(*scan, usize::try_from(read - std::mem::replace(&mut before, read)).unwrap_or(usize::MAX));
        if batch.is_full() {
            batch.write(&import).await?;
        }
    }
    batch.write(&import).await?;
    let summary = reader.summary();
    import.end(&reader.metadata(), summary.scans).await?;
    Ok(summary)
}

/// Scans of the next transaction.
#[derive(Default)]
struct Batch {
    scans: Vec<ExportedScan>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, scan: ExportedScan, bytes: usize) {
        self.scans.push(scan);
        self.bytes = self.bytes.saturating_add(bytes);
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
