//! The format of a backup file: its lines.

use jiff::Timestamp;
use kastrel_actors::model::{QueuePause, ScanId, ScanRecord};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::BackupError;
use super::version::FORMAT;
use crate::adapters::surreal_store::{Metadata, SurrealStore};

/// The longest line, in bytes: the largest row of a scan plus the enclosing JSON.
pub(super) const MAX_LINE: usize = 16 << 20;

/// A summary of a written or read backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The number of scans.
    pub scans: u64,
    /// The last assigned scan id.
    pub last: ScanId,
    /// True if the queue was paused.
    pub paused: bool,
    /// The scans that were unreadable when the backup was written. They are not part of it.
    pub missing: Vec<ScanId>,
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// The time of the backup.
    pub written_at: Timestamp,
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    kastrel_backup: u32,
    schema: i64,
    version: String,
    pub(super) written_at: Timestamp,
    last_scan: ScanId,
    pause: Option<QueuePause>,
}

/// Any other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// A scan.
    Scan(Box<ScanRecord>),
    /// An unreadable scan.
    Missing(MissingScan),
    /// The last line.
    End(Footer),
}

/// A scan that was unreadable when the backup was written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MissingScan {
    pub(super) id: ScanId,
    pub(super) why: String,
}

/// The last line of a complete file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Footer {
    pub(super) scans: u64,
    /// Omitted if no scan is missing, so that a version without this field can read the file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) missing: u64,
    pub(super) sha256: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Header {
    pub(super) fn new(metadata: Metadata, schema: i64, now: Timestamp) -> Self {
        Self {
            kastrel_backup: FORMAT,
            schema,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            written_at: now,
            last_scan: metadata.last,
            pause: metadata.pause,
        }
    }

    /// Parses a header. Checks the format version first, because another format may have different
    /// fields.
    pub(super) fn parse(line: &[u8]) -> Result<Self, BackupError> {
        #[derive(Deserialize)]
        struct Version {
            kastrel_backup: u32,
            #[serde(default)]
            version: String,
        }
        let not_a_backup = |error: serde_json::Error| BackupError::NotABackup(error.to_string());
        let Version { kastrel_backup: found, version } = serde_json::from_slice(line).map_err(not_a_backup)?;
        if found != FORMAT {
            return Err(BackupError::Format { found, version });
        }
        let header: Self = serde_json::from_slice(line).map_err(not_a_backup)?;
        let known = SurrealStore::schema_version();
        if header.schema > known {
            return Err(BackupError::TooNew { found: header.schema, known, version });
        }
        Ok(header)
    }

    pub(super) fn metadata(&self) -> Metadata {
        Metadata { last: self.last_scan, pause: self.pause.clone() }
    }

    pub(super) fn summary(&self, scans: u64, missing: Vec<ScanId>, bytes: u64) -> Summary {
        Summary {
            scans,
            last: self.last_scan,
            paused: self.pause.is_some(),
            missing,
            bytes,
            written_at: self.written_at,
        }
    }
}

/// The number of bytes so far and their checksum, including line ends.
#[derive(Default)]
pub(super) struct Checksum {
    pub(super) bytes: u64,
    hash: Sha256,
}

impl Checksum {
    pub(super) fn add(&mut self, line: &[u8]) {
        self.bytes += line.len() as u64;
        self.hash.update(line);
    }

    pub(super) fn footer(&self, scans: u64, missing: u64) -> Footer {
        Footer { scans, missing, sha256: format!("{:x}", self.hash.clone().finalize()) }
    }
}

/// Serializes a value as a line.
pub(super) fn line(value: &impl Serialize) -> Result<Vec<u8>, BackupError> {
    let mut line = serde_json::to_vec(value).map_err(|error| BackupError::Write(error.into()))?;
    line.push(b'\n');
    Ok(line)
}
