//! Writes a backup of the store to a file.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::error::BackupError;
use super::format::{Checksum, Counts, Header, Line, MissingScan, Summary, earlier_line, line, lines};
use super::version::FIRST_FORMAT;
use crate::adapters::surreal_store::{Exported, ExportedChain, ExportedEntry, ExportedFindings, SurrealStore};

/// The approximate number of bytes that are read from the database at once.
const PAGE_BYTES: u64 = 2 << 20;
const MAX_PAGE: u64 = 500;
const FIRST_PAGE: u64 = 16;
/// The number of entries of the audit log, or rows of accounts, that are read at once.
const ENTRIES: usize = 1000;
/// The maximum length of the reason why a scan is missing, in characters.
const MAX_REASON: usize = 200;

/// Writes a backup of `store`, and flushes it. `now` is the time in the header.
///
/// An unreadable scan is left out, and the backup contains its id instead.
///
/// # Errors
/// The store or the file failed. In that case the written part is not a complete backup, and
/// [`read()`](super::read()) refuses it.
pub async fn write(
    store: &SurrealStore,
    into: impl AsyncWrite + Unpin,
    now: Timestamp,
) -> Result<Summary, BackupError> {
    write_of_schema(store, SurrealStore::schema_version(), into, now).await
}

/// Works like [`write()`], for a database with the schema of an earlier version.
///
/// # Errors
/// As for [`write()`].
pub(super) async fn write_of_schema(
    store: &SurrealStore,
    schema: i64,
    mut into: impl AsyncWrite + Unpin,
    now: Timestamp,
) -> Result<Summary, BackupError> {
    // Read before the last scan id, so that each sealed entry is about a scan of the backup.
    let head = store.export_chain_head(schema).await.map_err(BackupError::Export)?;
    let metadata = store.metadata().await.map_err(BackupError::Export)?;
    let last = metadata.last.0;
    let header = Header::new(metadata, schema, now);
    let mut checksum = Checksum::default();
    put(&mut into, &mut checksum, &line(&header)?).await?;
    let (mut counts, mut missing, mut first, mut page) = (Counts::default(), Vec::new(), 1, FIRST_PAGE);
    let mut scans = BTreeSet::new();
    while first <= last {
        let end = last.min(first + page - 1);
        let before = checksum.bytes;
        for exported in store.export(ScanId(first), ScanId(end)).await.map_err(BackupError::Export)? {
            let next = match exported {
                Exported::Scan(mut scan) => {
                    counts.scans += 1;
                    scans.insert(scan.record.id.0);
                    scan.record.request.leave_out_clear_secrets();
                    if header.format() == FIRST_FORMAT {
                        vec![line(&earlier_line(&scan.record)?)?]
                    } else {
                        counts.results += (scan.earlier.len() + scan.record.plugins.len()) as u64;
                        lines(*scan)?
                    }
                }
                Exported::Unreadable { id, why } => {
                    tracing::warn!(scan.id = id.0, why, "a backup leaves out a scan that cannot be read");
                    missing.push(id);
                    counts.missing += 1;
                    vec![line(&Line::Missing(MissingScan { id, why: why.chars().take(MAX_REASON).collect() }))?]
                }
            };
            for line in next {
                put(&mut into, &mut checksum, &line).await?;
            }
        }
        page = next_page(page, checksum.bytes - before);
        first = end + 1;
    }
    if let Some(head) = &head {
        counts.chain += 1;
        put(&mut into, &mut checksum, &line(&Line::Chain(ExportedChain::Head(head.clone())))?).await?;
    }
    // A scan that was submitted meanwhile is not part of the backup, and its number is free. Its
    // entries are not sealed by then.
    let is_part =
        |entry: &ExportedEntry| entry.scan.is_none_or(|scan| u64::try_from(scan).is_ok_and(|scan| scan <= last));
    let mut entries = store.export_audit(header.schema(), None, ENTRIES).await.map_err(BackupError::Export)?;
    let newest = entries.first().cloned();
    while let Some(oldest) = entries.last().cloned() {
        for entry in entries.into_iter().filter(is_part) {
            counts.audit += 1;
            put(&mut into, &mut checksum, &line(&Line::Audit(entry))?).await?;
        }
        entries = store.export_audit(header.schema(), Some(&oldest), ENTRIES).await.map_err(BackupError::Export)?;
    }
    if let Some(head) = &head {
        let mut seals = store.export_seals(head, 0, ENTRIES).await.map_err(BackupError::Export)?;
        while let Some(last) = seals.last().map(|seal| seal.number) {
            for seal in seals {
                counts.chain += 1;
                put(&mut into, &mut checksum, &line(&Line::Chain(ExportedChain::Seal(seal)))?).await?;
            }
            seals = store.export_seals(head, last, ENTRIES).await.map_err(BackupError::Export)?;
        }
        for key in store.export_seal_keys().await.map_err(BackupError::Export)? {
            counts.chain += 1;
            put(&mut into, &mut checksum, &line(&Line::Chain(ExportedChain::Key(key)))?).await?;
        }
        // If seals were pruned meanwhile, one of the newer entries says so.
        for entry in newer_entries(store, header.schema(), newest.as_ref()).await?.into_iter().filter(is_part) {
            counts.audit += 1;
            put(&mut into, &mut checksum, &line(&Line::Audit(entry))?).await?;
        }
    }
    let mut rows = store.export_access(header.schema(), None, ENTRIES).await.map_err(BackupError::Export)?;
    while let Some(last) = rows.last().cloned() {
        for row in rows {
            counts.access += 1;
            put(&mut into, &mut checksum, &line(&Line::Access(row))?).await?;
        }
        rows = store.export_access(header.schema(), Some(&last), ENTRIES).await.map_err(BackupError::Export)?;
    }
    let mut rows = store.export_findings(header.schema(), None, ENTRIES).await.map_err(BackupError::Export)?;
    let is_part = |row: &ExportedFindings| {
        row.scan().is_none_or(|scan| u64::try_from(scan).is_ok_and(|scan| scans.contains(&scan)))
    };
    while let Some(after) = rows.last().cloned() {
        for row in rows.into_iter().filter(is_part) {
            counts.findings += 1;
            put(&mut into, &mut checksum, &line(&Line::Findings(row))?).await?;
        }
        rows = store.export_findings(header.schema(), Some(&after), ENTRIES).await.map_err(BackupError::Export)?;
    }
    let footer = line(&Line::End(checksum.footer(counts)))?;
    into.write_all(&footer).await.map_err(BackupError::Write)?;
    into.flush().await.map_err(BackupError::Write)?;
    Ok(header.summary(counts.scans, missing, checksum.bytes + footer.len() as u64))
}

/// Returns the entries of the audit log that are newer than this one, newest first.
async fn newer_entries(
    store: &SurrealStore,
    schema: i64,
    than: Option<&ExportedEntry>,
) -> Result<Vec<ExportedEntry>, BackupError> {
    let is_newer = |entry: &ExportedEntry| than.is_none_or(|than| (than.at, &entry.nonce) < (entry.at, &than.nonce));
    let mut newer: Vec<ExportedEntry> = Vec::new();
    loop {
        let page = store.export_audit(schema, newer.last(), ENTRIES).await.map_err(BackupError::Export)?;
        let before = newer.len();
        newer.extend(page.into_iter().take_while(is_newer));
        if newer.len() - before < ENTRIES {
            return Ok(newer);
        }
    }
}

async fn put(into: &mut (impl AsyncWrite + Unpin), checksum: &mut Checksum, line: &[u8]) -> Result<(), BackupError> {
    checksum.add(line);
    into.write_all(line).await.map_err(BackupError::Write)
}

/// The number of rows to read next, after `rows` rows with `bytes` bytes. At most twice as many,
/// because the next rows may be larger.
fn next_page(rows: u64, bytes: u64) -> u64 {
    let fitting = (PAGE_BYTES * rows).checked_div(bytes).unwrap_or(MAX_PAGE);
    fitting.clamp(1, MAX_PAGE.min(rows * 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_size_of_their_rows() {
        for (rows, bytes, expected) in [
            (16, 0, 32),
            (16, 16 * 1000, 32),
            (400, 400 * 1000, 500),
            (500, 500 * 100_000, 20),
            (500, 500 * 8_000_000, 1),
            (1, 8_000_000, 1),
            (1, 1000, 2),
        ] {
            assert_eq!(next_page(rows, bytes), expected, "{rows} rows of {bytes} bytes");
        }
    }
}
