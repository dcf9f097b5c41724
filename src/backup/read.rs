//! From a file into an empty store.

use kastrel_actors::model::{ScanId, ScanRecord};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::error::BackupError;
use super::format::{Header, Line, MAX_LINE, Summary, Tally};
use crate::adapters::surreal_store::SurrealStore;

/// So many scans, or about so many bytes of them, are written in one transaction.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 2 << 20;

/// Restores a backup into `store`, which must be empty.
///
/// The database counts as restored only when the last line was read and everything is there; until then it is marked as unfinished.
///
/// # Errors
/// The file is not a whole backup that this program can read, the database is not empty or in use, or it failed.
pub async fn read(store: &SurrealStore, from: impl AsyncRead + Unpin) -> Result<Summary, BackupError> {
    let mut lines = Lines { from: BufReader::with_capacity(1 << 16, from), number: 0, line: Vec::new() };
    let mut tally = Tally::default();
    if !lines.next().await? {
        return Err(BackupError::NotABackup("it is empty".into()));
    }
    let header = Header::parse(&lines.line)?;
    tally.add(&lines.line);
    store.begin_import().await?;
    let mut batch = Batch::default();
    let (mut scans, mut last) = (0, ScanId(0));
    let footer = loop {
        if !lines.next().await? {
            return Err(BackupError::CutOff { line: lines.number });
        }
        match serde_json::from_slice(&lines.line).map_err(|error| lines.damaged(error))? {
            Line::End(footer) => break footer,
            Line::Scan(record) => {
                if record.id <= last || record.id > header.stock().last {
                    return Err(lines.damaged(format!("scan {} comes after scan {last} of {}", record.id, header.stock().last)));
                }
                last = record.id;
                scans += 1;
                tally.add(&lines.line);
                batch.push(*record, lines.line.len());
                if batch.is_full() {
                    batch.write(store).await?;
                }
            }
        }
    };
    let bytes = tally.bytes + lines.line.len() as u64;
    if lines.next().await? {
        return Err(lines.damaged("it follows the last line"));
    }
    if footer != tally.footer(scans) {
        return Err(BackupError::Checksum);
    }
    batch.write(store).await?;
    store.end_import(&header.stock(), scans).await?;
    Ok(header.summary(scans, bytes))
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

    async fn write(&mut self, store: &SurrealStore) -> Result<(), BackupError> {
        if !self.scans.is_empty() {
            store.import(&self.scans).await?;
        }
        *self = Self::default();
        Ok(())
    }
}

/// One line after the other, none of them larger than a line may be.
struct Lines<R> {
    from: R,
    number: u64,
    line: Vec<u8>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Reads the next line, with its end, into `line`. `false`: there is none.
    async fn next(&mut self) -> Result<bool, BackupError> {
        self.line.clear();
        let most = MAX_LINE as u64 + 1;
        let read = (&mut self.from).take(most).read_until(b'\n', &mut self.line).await.map_err(BackupError::Read)?;
        if read == 0 {
            return Ok(false);
        }
        if self.line.last() != Some(&b'\n') {
            self.number += 1;
            // The last line of a file that was cut off, or no line at all.
            return Err(match self.number {
                1 => BackupError::NotABackup("its first line has no end".into()),
                _ if read as u64 == most => self.damaged("it is too long"),
                line => BackupError::CutOff { line: line - 1 },
            });
        }
        self.number += 1;
        Ok(true)
    }

    fn damaged(&self, why: impl ToString) -> BackupError {
        BackupError::Damaged { line: self.number, why: why.to_string() }
    }
}
