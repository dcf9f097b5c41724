//! Restores a backup file into an empty store.

use tokio::io::AsyncRead;

use super::error::BackupError;
use super::format::Summary;
use super::reader::{Item, Reader};
use crate::adapters::surreal_store::{
    ExportedAccess, ExportedChain, ExportedEntry, ExportedScan, Import, SurrealStore,
};

/// The limits of one transaction: the number of scans or other rows, and their approximate size in
/// bytes.
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
    let (mut batch, mut before, mut pruned) = (Batch::default(), 0, Pruned::default());
    while let Some(item) = reader.next().await? {
        pruned.note(&item);
        let read = reader.summary().bytes;
        batch.push(item, usize::try_from(read - std::mem::replace(&mut before, read)).unwrap_or(usize::MAX));
        if batch.is_full() {
            batch.write(&import).await?;
        }
    }
    batch.write(&import).await?;
    if let Some(through) = pruned.with_entries() {
        import.drop_pruned(through).await?;
    }
    let summary = reader.summary();
    import.end(&reader.metadata(), summary.scans).await?;
    Ok(summary)
}

/// Finds seals of the audit log that were pruned during the backup, after some of their entries
/// were in it.
#[derive(Default)]
struct Pruned {
    /// The first seal that an entry has.
    first: Option<i64>,
    /// The last seal that is pruned.
    last: Option<i64>,
}

impl Pruned {
    fn note(&mut self, item: &Item) {
        match item {
            Item::Audit(entry) => {
                self.first = self.first.into_iter().chain(entry.seal).min();
            }
            Item::Chain(ExportedChain::Seal(seal)) if seal.pruned_at.is_some() => self.last = Some(seal.number),
            Item::Chain(_) | Item::Scan(_) | Item::Access(_) => {}
        }
    }

    /// The last pruned seal, if any of the pruned ones may have entries.
    fn with_entries(&self) -> Option<i64> {
        self.last.filter(|last| self.first.is_some_and(|first| first <= *last))
    }
}

/// What the next transactions write.
#[derive(Default)]
struct Batch {
    scans: Vec<ExportedScan>,
    entries: Vec<ExportedEntry>,
    access: Vec<ExportedAccess>,
    chain: Vec<ExportedChain>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, item: Item, bytes: usize) {
        match item {
            Item::Scan(scan) => self.scans.push(*scan),
            Item::Audit(entry) => self.entries.push(entry),
            Item::Access(row) => self.access.push(row),
            Item::Chain(row) => self.chain.push(row),
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn is_full(&self) -> bool {
        let rows = self.scans.len() + self.entries.len() + self.access.len() + self.chain.len();
        rows >= BATCH || self.bytes >= BATCH_BYTES
    }

    async fn write(&mut self, import: &Import<'_>) -> Result<(), BackupError> {
        if !self.scans.is_empty() {
            import.add(&self.scans).await?;
        }
        if !self.entries.is_empty() {
            import.add_audit(&self.entries).await?;
        }
        if !self.access.is_empty() {
            import.add_access(&self.access).await?;
        }
        if !self.chain.is_empty() {
            import.add_chain(&self.chain).await?;
        }
        *self = Self::default();
        Ok(())
    }
}
