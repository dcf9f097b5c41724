//! The file of an exported audit log, which is verified without the database: JSON lines.
//!
//! 1. The head: `{"kastrel_audit":1,"version":…,"written_at":…,"seals":…,"keys":[…]}` with the
//!    number of the last seal and the public keys.
//! 2. For each seal, in the order of the chain, `{"seal":{…}}`, and then a line for each of its
//!    entries: `{"entry":{…}}`, or `{"missing":{…}}` for one that is gone. A pruned seal has none.
//! 3. `{"loose":{…}}` for each entry that no seal lists.
//! 4. The end: `{"end":{…}}` with the numbers of lines, and the SHA-256 digest of all bytes before
//!    it. It finds accidental changes; the signatures find the others.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::audit_chain::{ChainCheck, ChainFault, ChainReport, ChainTrust, SignatureCheck};
use crate::model::{ChainDigest, EntryKey, LooseEntry, Seal, SealContent, SealKey, SealedEntry, StoredEntry};

/// The version of the format.
pub const FORMAT: u32 = 1;

/// The longest line, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// Why a file cannot be verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFileError {
    /// It is another file.
    #[error("the file is not an exported audit log: {0}")]
    NotAnExport(String),
    /// It has another format.
    #[error("the file has format {found}, but this program reads format {FORMAT}")]
    Format {
        /// The format.
        found: u32,
    },
    /// A line cannot be read.
    #[error("line {line} of the file is damaged: {why}")]
    Damaged {
        /// The number of the line, from 1.
        line: u64,
        /// The reason.
        why: String,
    },
    /// The end is missing.
    #[error("the file is cut off after line {line}")]
    CutOff {
        /// The last line.
        line: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    kastrel_audit: u32,
    version: String,
    written_at: Timestamp,
    seals: u64,
    keys: Vec<SealKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Seal(Seal),
    Entry(EntryLine),
    Missing(MissingLine),
    Loose(LooseLine),
    End(End),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine {
    at: Timestamp,
    nonce: String,
    principal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scan: Option<i64>,
    event: String,
    digest: ChainDigest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MissingLine {
    at: Timestamp,
    nonce: String,
    digest: ChainDigest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LooseLine {
    at: Timestamp,
    nonce: String,
    principal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scan: Option<i64>,
    event: String,
    waits: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    seals: u64,
    entries: u64,
    loose: u64,
    sha256: String,
}

/// The numbers of lines so far, and the digest of their bytes.
#[derive(Default)]
struct Sums {
    end: End,
    hash: Sha256,
}

impl Sums {
    fn add(&mut self, line: &[u8], kind: Option<&Line>) {
        self.hash.update(line);
        match kind {
            Some(Line::Seal(_)) => self.end.seals += 1,
            Some(Line::Entry(_) | Line::Missing(_)) => self.end.entries += 1,
            Some(Line::Loose(_)) => self.end.loose += 1,
            Some(Line::End(_)) | None => {}
        }
    }

    fn end(&self) -> End {
        End { sha256: hex::encode(self.hash.clone().finalize()), ..self.end.clone() }
    }
}

/// Writes the lines of a file.
#[derive(Default)]
pub struct AuditFileWriter {
    sums: Sums,
}

impl AuditFileWriter {
    /// Returns the head of a file with the seals up to this number and with these keys.
    pub fn head(&mut self, written_at: Timestamp, seals: u64, keys: Vec<SealKey>) -> Vec<u8> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let line = text(&Head { kastrel_audit: FORMAT, version, written_at, seals, keys });
        self.sums.add(&line, None);
        line
    }

    /// Returns the lines of a seal and its entries.
    pub fn seal(&mut self, content: SealContent) -> Vec<u8> {
        let SealContent { seal, entries } = content;
        let mut lines = self.line(Line::Seal(seal));
        for (SealedEntry { key, digest }, stored) in entries {
            lines.extend(self.line(match stored {
                Some(StoredEntry { key: EntryKey { at, nonce }, principal, scan, event }) => {
                    Line::Entry(EntryLine { at, nonce, principal, scan, event, digest })
                }
                None => Line::Missing(MissingLine { at: key.at, nonce: key.nonce, digest }),
            }));
        }
        lines
    }

    /// Returns the line of an entry that no seal lists.
    pub fn loose(&mut self, loose: LooseEntry) -> Vec<u8> {
        let LooseEntry { entry: StoredEntry { key: EntryKey { at, nonce }, principal, scan, event }, waits } = loose;
        self.line(Line::Loose(LooseLine { at, nonce, principal, scan, event, waits }))
    }

    /// Returns the last line.
    #[must_use]
    pub fn end(self) -> Vec<u8> {
        text(&Line::End(self.sums.end()))
    }

    fn line(&mut self, line: Line) -> Vec<u8> {
        let bytes = text(&line);
        self.sums.add(&bytes, Some(&line));
        bytes
    }
}

/// The text of a line. A value of these types always has one.
fn text(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Verifies a file line by line.
pub struct AuditFileCheck {
    chain: ChainCheck,
    sums: Sums,
    lines: u64,
    head: Head,
    is_over: bool,
    is_changed: bool,
}

impl AuditFileCheck {
    /// Begins with the first line, including its line end.
    ///
    /// # Errors
    /// It is not the head of an exported audit log.
    pub fn begin(line: &[u8], check: SignatureCheck, trust: ChainTrust) -> Result<Self, AuditFileError> {
        #[derive(Deserialize)]
        struct Version {
            kastrel_audit: u32,
        }
        let other = |error: serde_json::Error| AuditFileError::NotAnExport(error.to_string());
        if line.last() != Some(&b'\n') {
            return Err(AuditFileError::NotAnExport("its first line has no end".into()));
        }
        let Version { kastrel_audit: found } = serde_json::from_slice(line).map_err(other)?;
        if found != FORMAT {
            return Err(AuditFileError::Format { found });
        }
        let head: Head = serde_json::from_slice(line).map_err(other)?;
        let mut sums = Sums::default();
        sums.add(line, None);
        let chain = ChainCheck::new(check, &head.keys, trust);
        Ok(Self { chain, sums, lines: 1, head, is_over: false, is_changed: false })
    }

    /// Returns the public keys in the head.
    #[must_use]
    pub fn keys(&self) -> &[SealKey] {
        &self.head.keys
    }

    /// Returns the time in the head.
    #[must_use]
    pub const fn written_at(&self) -> Timestamp {
        self.head.written_at
    }

    /// Checks the next line, including its line end.
    ///
    /// # Errors
    /// The line cannot be read, or follows the end.
    pub fn line(&mut self, line: &[u8]) -> Result<(), AuditFileError> {
        let before = self.lines;
        self.lines += 1;
        if self.is_over {
            return Err(self.damaged("it follows the last line"));
        }
        if line.len() > MAX_LINE {
            return Err(self.damaged("it is too long"));
        }
        if line.last() != Some(&b'\n') {
            return Err(AuditFileError::CutOff { line: before });
        }
        let read: Line = serde_json::from_slice(line).map_err(|error| self.damaged(error))?;
        if let Line::End(_) = &read {
            // The same numbers and digest have one text.
            self.is_changed = *line != *text(&Line::End(self.sums.end()));
            self.is_over = true;
            return Ok(());
        }
        self.sums.add(line, Some(&read));
        match read {
            Line::Seal(seal) => self.chain.seal(seal),
            Line::Entry(EntryLine { at, nonce, principal, scan, event, digest }) => {
                let key = EntryKey { at, nonce };
                let stored = StoredEntry { key: key.clone(), principal, scan, event };
                self.chain.entry(&SealedEntry { key, digest }, Some(&stored));
            }
            Line::Missing(MissingLine { at, nonce, digest }) => {
                self.chain.entry(&SealedEntry { key: EntryKey { at, nonce }, digest }, None);
            }
            Line::Loose(LooseLine { at, nonce, principal, scan, event, waits }) => {
                let entry = StoredEntry { key: EntryKey { at, nonce }, principal, scan, event };
                self.chain.loose(&LooseEntry { entry, waits });
            }
            Line::End(_) => {}
        }
        Ok(())
    }

    /// Ends the check.
    ///
    /// # Errors
    /// The end of the file is missing.
    pub fn finish(self) -> Result<ChainReport, AuditFileError> {
        if !self.is_over {
            return Err(AuditFileError::CutOff { line: self.lines });
        }
        let mut report = self.chain.finish(self.head.seals);
        if self.is_changed {
            report.fault(ChainFault::FileChanged);
        }
        Ok(report)
    }

    fn damaged(&self, why: impl ToString) -> AuditFileError {
        AuditFileError::Damaged { line: self.lines, why: why.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{ChainHead, SealSignature};
    use crate::policy::audit_chain::{seal_digest, seal_of};

    const KEY: SealKey = SealKey::new([7; 32]);

    fn sign(key: &SealKey, bytes: &[u8]) -> SealSignature {
        let digest: [u8; 32] = Sha256::new().chain_update(key.as_bytes()).chain_update(bytes).finalize().into();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&digest);
        SealSignature::new(signature)
    }

    fn check(key: &SealKey, bytes: &[u8], signature: &SealSignature) -> bool {
        sign(key, bytes) == *signature
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn entry(number: i64) -> StoredEntry {
        StoredEntry {
            key: EntryKey { at: at(number), nonce: format!("n{number}") },
            principal: "user:ana".into(),
            scan: Some(number),
            event: "{\"action\":\"queue_paused\",\"reason\":\"\u{2028}\\u0000 ü\"}".into(),
        }
    }

    /// A file with 5 seals of 2 entries, and one entry that waits.
    fn file() -> Vec<u8> {
        let mut writer = AuditFileWriter::default();
        let mut file = writer.head(at(50), 5, vec![KEY]);
        let mut head = ChainHead::default();
        for number in 0..5 {
            let entries = [entry(2 * number), entry(2 * number + 1)];
            let (seal, list) = seal_of(&head, &entries, at(100 + number), KEY.id(), |bytes| sign(&KEY, bytes)).unwrap();
            head = ChainHead { number: seal.number, digest: seal_digest(&seal), pruned: 0 };
            let entries = list.into_iter().zip(entries.map(Some)).collect();
            file.extend(writer.seal(SealContent { seal, entries }));
        }
        file.extend(writer.loose(LooseEntry { entry: entry(90), waits: true }));
        file.extend(writer.end());
        file
    }

    fn verify(file: &[u8]) -> Result<ChainReport, AuditFileError> {
        let mut lines = file.split_inclusive(|byte| *byte == b'\n');
        let mut checked = AuditFileCheck::begin(lines.next().unwrap_or_default(), check, ChainTrust::default())?;
        lines.try_for_each(|line| checked.line(line))?;
        checked.finish()
    }

    #[test]
    fn written_file_is_verified() {
        let report = verify(&file()).unwrap();
        assert!(report.is_verified(), "{report:?}");
        assert_eq!((report.seals, report.entries, report.waiting), (5, 10, 1));
    }

    #[test]
    fn file_that_is_cut_off_or_foreign_is_refused() {
        let file = file();
        let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(verify(&lines[..4].concat()), Err(AuditFileError::CutOff { line: 4 }));
        assert_eq!(
            verify(&file[..file.len() - 1]),
            Err(AuditFileError::CutOff { line: u64::try_from(lines.len()).unwrap() - 1 })
        );
        assert!(matches!(verify(b""), Err(AuditFileError::NotAnExport(_))));
        assert!(matches!(verify(b"{\"scans\":1}\n"), Err(AuditFileError::NotAnExport(_))));
        assert_eq!(verify(b"{\"kastrel_audit\":2}\n"), Err(AuditFileError::Format { found: 2 }));
        let twice = [&file[..], lines[1]].concat();
        assert!(matches!(verify(&twice), Err(AuditFileError::Damaged { why, .. }) if why.contains("last line")));
        let long = [lines[0], &b"x".repeat(MAX_LINE + 1), b"\n"].concat();
        assert!(matches!(verify(&long), Err(AuditFileError::Damaged { line: 2, why }) if why.contains("too long")));
    }

    /// A change may come with a new last line, which needs no key.
    #[test]
    fn entry_that_was_removed_from_a_file_with_a_new_end_is_found() {
        let file = file();
        let mut lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
        lines.remove(3);
        lines.pop();
        let mut sums = Sums::default();
        for (number, line) in lines.iter().enumerate() {
            let kind: Option<Line> = (number > 0).then(|| serde_json::from_slice(line).unwrap());
            sums.add(line, kind.as_ref());
        }
        let end = text(&Line::End(sums.end()));
        lines.push(&end);
        assert_eq!(verify(&lines.concat()).unwrap().faults, [ChainFault::EntriesDiffer { seal: 1 }]);
    }

    proptest! {
        #[test]
        fn each_change_of_a_byte_is_found_or_refused(place in 0usize..1_000_000, byte in any::<u8>()) {
            let mut file = file();
            let place = place % file.len();
            prop_assume!(file[place] != byte);
            file[place] = byte;
            if let Ok(report) = verify(&file) {
                prop_assert!(!report.is_verified(), "byte {place}");
            }
        }
    }
}
