//! The lines of a backup.

use jiff::Timestamp;
use kastrel_actors::model::{QueuePause, ScanId, ScanRecord};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::BackupError;
use crate::adapters::surreal_store::{Metadata, SurrealStore};

/// The version of the format that this program writes and reads.
pub const FORMAT: u32 = 1;

/// The longest line: a scan's largest row, and room for what stands around it.
pub(super) const MAX_LINE: usize = 16 << 20;

/// What was written or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many scans.
    pub scans: u64,
    /// The last id that was given out.
    pub last: ScanId,
    /// Whether the queue was paused.
    pub paused: bool,
    /// The scans that could not be read when the backup was written, and are not part of it.
    pub missing: Vec<ScanId>,
    /// How many bytes the file has.
    pub bytes: u64,
    /// When the backup was written.
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

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// A scan.
    Scan(Box<ScanRecord>),
    /// A scan that could not be read.
    Missing(MissingScan),
    /// The last line.
    End(Footer),
}

/// A scan that could not be read when the backup was written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MissingScan {
    pub(super) id: ScanId,
    pub(super) why: String,
}

/// How a whole file ends.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Footer {
    pub(super) scans: u64,
    /// Left out where nothing is missing, so that a program that does not know it can read the
    /// file.
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

    /// The version is looked at before all else: another format may have other fields.
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

/// The lines so far: how many bytes, and their checksum. Line ends are part of both.
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

/// A value as a line of the file.
pub(super) fn line(value: &impl Serialize) -> Result<Vec<u8>, BackupError> {
    let mut line = serde_json::to_vec(value).map_err(|error| BackupError::Write(error.into()))?;
    line.push(b'\n');
    Ok(line)
}
