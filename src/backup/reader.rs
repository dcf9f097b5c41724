//! Reads the lines of a backup, one scan at a time, and verifies them against the footer.

use kastrel_actors::model::{ScanId, ScanRecord};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::error::BackupError;
use super::format::{Checksum, Header, Line, MAX_LINE, Summary};
use crate::adapters::surreal_store::Metadata;

/// A line between the header and the footer.
pub(super) enum Entry {
    /// A scan.
    Scan(Box<ScanRecord>),
    /// A scan that is not in the backup.
    Missing,
}

/// The reader of a backup; see the module docs.
pub(super) struct Reader<R> {
    lines: Lines<R>,
    header: Header,
    checksum: Checksum,
    scans: u64,
    missing: Vec<ScanId>,
    last: ScanId,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads the header.
    pub(super) async fn open(from: R) -> Result<Self, BackupError> {
        let mut lines = Lines { from: BufReader::with_capacity(1 << 16, from), number: 0, line: Vec::new() };
        let mut checksum = Checksum::default();
        if !lines.next().await? {
            return Err(BackupError::NotABackup("it is empty".into()));
        }
        let header = Header::parse(&lines.line)?;
        checksum.add(&lines.line);
        Ok(Self { lines, header, checksum, scans: 0, missing: Vec::new(), last: ScanId(0) })
    }

    /// Reads the next line. Returns `None` after the footer, if the backup is complete.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, BackupError> {
        if !self.lines.next().await? {
            return Err(BackupError::CutOff { line: self.lines.number });
        }
        match serde_json::from_slice(&self.lines.line).map_err(|error| self.lines.damaged(error))? {
            Line::Scan(record) => {
                self.in_order(record.id)?;
                self.scans += 1;
                Ok(Some(Entry::Scan(record)))
            }
            Line::Missing(missing) => {
                self.in_order(missing.id)?;
                self.missing.push(missing.id);
                Ok(Some(Entry::Missing))
            }
            Line::End(footer) => {
                let expected = self.checksum.footer(self.scans, self.missing.len() as u64);
                let line = std::mem::take(&mut self.lines.line);
                if self.lines.next().await? {
                    return Err(self.lines.damaged("it follows the last line"));
                }
                if footer != expected {
                    return Err(BackupError::Checksum);
                }
                self.checksum.bytes += line.len() as u64;
                self.lines.line = line;
                Ok(None)
            }
        }
    }

    /// Adds the line to the checksum, if its scan id follows the previous one.
    fn in_order(&mut self, id: ScanId) -> Result<(), BackupError> {
        let most = self.header.metadata().last;
        if id <= self.last || id > most {
            return Err(self.lines.damaged(format!("scan {id} comes after scan {} of {most}", self.last)));
        }
        self.last = id;
        self.checksum.add(&self.lines.line);
        Ok(())
    }

    /// The last line, including its line end.
    pub(super) fn line(&self) -> &[u8] {
        &self.lines.line
    }

    /// The metadata of the database.
    pub(super) fn metadata(&self) -> Metadata {
        self.header.metadata()
    }

    /// The summary of the lines read so far.
    pub(super) fn summary(&self) -> Summary {
        self.header.summary(self.scans, self.missing.clone(), self.checksum.bytes)
    }
}

/// A reader of lines up to a maximum length.
struct Lines<R> {
    from: BufReader<R>,
    number: u64,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads the next line, including its line end, into `line`. Returns `false` at the end of the
    /// file.
    async fn next(&mut self) -> Result<bool, BackupError> {
        self.line.clear();
        let most = MAX_LINE as u64 + 1;
        let read = (&mut self.from).take(most).read_until(b'\n', &mut self.line).await.map_err(BackupError::Read)?;
        if read == 0 {
            return Ok(false);
        }
        if self.line.last() != Some(&b'\n') {
            self.number += 1;
            // The last line of a truncated file, or not a line at all.
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
