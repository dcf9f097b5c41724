//! Reads the lines of a backup, one scan or other row at a time, and verifies them against the
//! footer.

use kastrel_actors::model::{AttemptNumber, ScanId};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::error::BackupError;
use super::format::{Checksum, Counts, Header, Line, MAX_LINE, PluginLine, Summary};
use crate::adapters::surreal_store::{
    AttemptPlugin, ExportedAccess, ExportedChain, ExportedEntry, ExportedFindings, ExportedScan, Metadata,
};

/// What a backup contains.
pub(super) enum Item {
    /// A scan with its plugins.
    Scan(Box<ExportedScan>),
    /// An entry of the audit log.
    Audit(ExportedEntry),
    /// A row of accounts or projects.
    Access(ExportedAccess),
    /// A row of the chain of the audit log.
    Chain(ExportedChain),
    /// A row of targets, findings or results.
    Findings(ExportedFindings),
}

/// The reader of a backup; see the module docs.
pub(super) struct Reader<R> {
    lines: Lines<R>,
    header: Header,
    checksum: Checksum,
    counts: Counts,
    missing: Vec<ScanId>,
    last: ScanId,
    /// The number of the last seal of the audit log.
    sealed: i64,
    /// The last plugin of the last scan; `None` if that scan is missing.
    plugin: Option<(AttemptNumber, u32)>,
    /// The scan whose plugins follow.
    begun: Option<Box<ExportedScan>>,
    /// The first row that is no scan, which ended the last scan.
    after: Option<Item>,
    is_over: bool,
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
        Ok(Self {
            lines,
            header,
            checksum,
            counts: Counts::default(),
            missing: Vec::new(),
            last: ScanId(0),
            sealed: 0,
            plugin: None,
            begun: None,
            after: None,
            is_over: false,
        })
    }

    /// Reads the next scan with its plugins, or the next other row. Returns `None` after the
    /// footer, if the backup is complete.
    pub(super) async fn next(&mut self) -> Result<Option<Item>, BackupError> {
        if let Some(item) = self.after.take() {
            return Ok(Some(item));
        }
        while !self.is_over {
            let ended = match self.next_line().await? {
                Some(Line::Scan(record)) => self.begun.replace(Box::new((*record).into())),
                Some(Line::PluginResult(line)) => {
                    self.attach(line)?;
                    None
                }
                Some(Line::Audit(mut entry)) => {
                    // An entry that was sealed during the backup waits for its seal again.
                    entry.seal = entry.seal.filter(|seal| *seal <= self.sealed);
                    return Ok(Some(self.after_scan(Item::Audit(entry))));
                }
                Some(Line::Chain(row)) => {
                    if let ExportedChain::Head(head) = &row {
                        self.sealed = head.number;
                    }
                    return Ok(Some(self.after_scan(Item::Chain(row))));
                }
                Some(Line::Access(row)) => return Ok(Some(self.after_scan(Item::Access(row)))),
                Some(Line::Findings(row)) => return Ok(Some(self.after_scan(Item::Findings(row)))),
                Some(Line::Missing(_) | Line::End(_)) | None => self.begun.take(),
            };
            if let Some(ended) = ended {
                return Ok(Some(Item::Scan(ended)));
            }
        }
        Ok(None)
    }

    /// Returns the last scan, if this item ends it, and keeps the item for the next call.
    fn after_scan(&mut self, item: Item) -> Item {
        match self.begun.take() {
            None => item,
            Some(scan) => {
                self.after = Some(item);
                Item::Scan(scan)
            }
        }
    }

    /// Reads and verifies the next line. Returns `None` after the footer, if the backup is
    /// complete.
    pub(super) async fn next_line(&mut self) -> Result<Option<Line>, BackupError> {
        if !self.lines.next().await? {
            return Err(BackupError::CutOff { line: self.lines.number });
        }
        let line = serde_json::from_slice(&self.lines.line).map_err(|error| self.lines.damaged(error))?;
        match &line {
            Line::Scan(record) => {
                self.in_order(record.id)?;
                self.plugin = Some((AttemptNumber(0), 0));
                self.counts.scans += 1;
            }
            Line::PluginResult(plugin) => {
                self.follows(plugin)?;
                self.counts.results += 1;
            }
            Line::Missing(missing) => {
                self.in_order(missing.id)?;
                self.plugin = None;
                self.missing.push(missing.id);
                self.counts.missing += 1;
            }
            Line::Audit(_) => {
                self.plugin = None;
                self.counts.audit += 1;
                self.checksum.add(&self.lines.line);
            }
            Line::Access(_) => {
                self.plugin = None;
                self.counts.access += 1;
                self.checksum.add(&self.lines.line);
            }
            Line::Chain(_) => {
                self.plugin = None;
                self.counts.chain += 1;
                self.checksum.add(&self.lines.line);
            }
            Line::Findings(_) => {
                self.plugin = None;
                self.counts.findings += 1;
                self.checksum.add(&self.lines.line);
            }
            Line::End(footer) => {
                let expected = self.checksum.footer(self.counts);
                let line = std::mem::take(&mut self.lines.line);
                if self.lines.next().await? {
                    return Err(self.lines.damaged("it follows the last line"));
                }
                if *footer != expected {
                    return Err(BackupError::Checksum);
                }
                self.checksum.bytes += line.len() as u64;
                self.lines.line = line;
                self.is_over = true;
                return Ok(None);
            }
        }
        Ok(Some(line))
    }

    /// Adds the line to the checksum, if its scan id follows the previous one.
    fn in_order(&mut self, id: ScanId) -> Result<(), BackupError> {
        if self.counts.audit + self.counts.access + self.counts.chain + self.counts.findings > 0 {
            return Err(self.lines.damaged(format!("scan {id} comes after the rows that follow the scans")));
        }
        let most = self.header.metadata().last;
        if id <= self.last || id > most {
            return Err(self.lines.damaged(format!("scan {id} comes after scan {} of {most}", self.last)));
        }
        self.last = id;
        self.checksum.add(&self.lines.line);
        Ok(())
    }

    /// Adds the line of a plugin to the checksum, if it follows its scan or an earlier plugin.
    fn follows(&mut self, line: &PluginLine) -> Result<(), BackupError> {
        let here = (line.attempt, line.ordinal);
        let is_first_of_attempt = self.plugin.is_some_and(|(attempt, _)| attempt < line.attempt) && line.ordinal == 0;
        let is_next = self.plugin.is_some_and(|(attempt, ordinal)| (attempt, ordinal + 1) == here);
        if line.scan != self.last || !(is_first_of_attempt || is_next) {
            return Err(self.lines.damaged(format!("a plugin of scan {} is not in its place", line.scan)));
        }
        self.plugin = Some(here);
        self.checksum.add(&self.lines.line);
        Ok(())
    }

    /// Adds a plugin to the scan that it follows.
    fn attach(&mut self, line: PluginLine) -> Result<(), BackupError> {
        let Some(scan) = &mut self.begun else { return Err(self.lines.damaged("a plugin follows no scan")) };
        let PluginLine { attempt, ordinal, result, .. } = line;
        let last = scan.record.last_attempt().map(|attempt| attempt.number);
        match last {
            Some(last) if attempt == last => scan.record.plugins.push(result),
            Some(last) if attempt < last => scan.earlier.push(AttemptPlugin { attempt, ordinal, result }),
            _ => return Err(self.lines.damaged(format!("scan {} has no attempt {}", scan.record.id, attempt.0))),
        }
        Ok(())
    }

    /// The last line, including its line end.
    pub(super) fn line(&self) -> &[u8] {
        &self.lines.line
    }

    /// The header of the backup.
    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    /// The metadata of the database.
    pub(super) fn metadata(&self) -> Metadata {
        self.header.metadata()
    }

    /// The summary of the lines read so far.
    pub(super) fn summary(&self) -> Summary {
        self.header.summary(self.counts.scans, self.missing.clone(), self.checksum.bytes)
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
