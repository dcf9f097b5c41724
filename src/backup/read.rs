//! Restores a backup file into an empty store.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::{DomainEvent, OutboxKey, ScanId};
use kastrel_actors::policy::events::key_of;
use tokio::io::AsyncRead;

use super::error::BackupError;
use super::format::{Header, Summary};
use super::reader::{Item, Reader};
use crate::adapters::surreal_store::{
    ExportedAccess, ExportedChain, ExportedEntry, ExportedFindings, ExportedScan, Import, Metadata, SurrealStore,
};

/// The limits of one transaction: the number of scans or other rows, and their approximate size in
/// bytes.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 2 << 20;

/// The first schema with findings.
const FIRST_WITH_FINDINGS: i64 = 25;
/// The longest time for which an entry of the outbox waits, with a margin.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(48);

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
    // A scan that was submitted during the backup is not part of it, but findings may name it.
    let mut named = ScanId(0);
    let mut waiting = Waiting::of(reader.header());
    while let Some(item) = reader.next().await? {
        pruned.note(&item);
        waiting.note(&item);
        if let Item::Findings(row) = &item {
            named = named.max(ScanId(row.newest_scan().unwrap_or_default()));
        }
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
    for entries in waiting.entries().chunks(BATCH) {
        import.add_entries(entries).await?;
    }
    let summary = reader.summary();
    let metadata = reader.metadata();
    let metadata = Metadata { last: metadata.last.max(named), ..metadata };
    import.end(&metadata, summary.scans).await?;
    Ok(summary)
}

/// Finds scans that had ended and were not in the findings yet: their entries of the outbox are not
/// part of a backup.
///
/// An entry waits for little more than a day before it is given up. So an older scan without a
/// result never had one, as those from before there were findings, and is left to a rebuild.
struct Waiting {
    /// The scans that ended after this time; none in a backup of a schema without findings.
    since: Option<Timestamp>,
    events: BTreeMap<ScanId, (OutboxKey, DomainEvent)>,
}

impl Waiting {
    fn of(header: &Header) -> Self {
        let since = header.written_at.checked_sub(LONGEST_WAIT).unwrap_or(Timestamp::MIN);
        Self { since: (header.schema() >= FIRST_WITH_FINDINGS).then_some(since), events: BTreeMap::new() }
    }

    fn note(&mut self, item: &Item) {
        match (item, self.since) {
            (Item::Scan(scan), Some(since)) => {
                let record = &scan.record;
                if let Some(at) = record.ended_at().filter(|at| *at >= since && record.last_attempt().is_some()) {
                    let event = DomainEvent::ScanEnded { status: record.status(), at, project: record.project.clone() };
                    self.events.insert(record.id, (key_of(record), event));
                }
            }
            (Item::Findings(row), _) => {
                if let Some(scan) = row.result_of() {
                    self.events.remove(&scan);
                }
            }
            _ => {}
        }
    }

    fn entries(self) -> Vec<(OutboxKey, DomainEvent)> {
        self.events.into_values().collect()
    }
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
            Item::Chain(_) | Item::Scan(_) | Item::Access(_) | Item::Findings(_) => {}
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
    findings: Vec<ExportedFindings>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, item: Item, bytes: usize) {
        match item {
            Item::Scan(scan) => self.scans.push(*scan),
            Item::Audit(entry) => self.entries.push(entry),
            Item::Access(row) => self.access.push(row),
            Item::Chain(row) => self.chain.push(row),
            Item::Findings(row) => self.findings.push(row),
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn is_full(&self) -> bool {
        let rows = self.scans.len() + self.entries.len() + self.access.len() + self.chain.len() + self.findings.len();
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
        if !self.findings.is_empty() {
            import.add_findings(&self.findings).await?;
        }
        *self = Self::default();
        Ok(())
    }
}
