//! The format of a backup file: its lines.

use jiff::Timestamp;
use kastrel_actors::model::{AttemptEnd, AttemptNumber, PluginResult, QueuePause, ScanId, ScanRecord, ScanState};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::BackupError;
use super::version::{FIRST_FORMAT, FORMAT, LAST_OF_FIRST_FORMAT};
use crate::adapters::surreal_store::{
    AttemptPlugin, ExportedAccess, ExportedChain, ExportedEntry, ExportedFindings, ExportedScan, Metadata, SurrealStore,
};

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

/// Any other line: one kind for each table.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// A scan. In the first format it has its plugins.
    Scan(Box<ScanRecord>),
    /// A plugin of the scan before it.
    PluginResult(PluginLine),
    /// An unreadable scan.
    Missing(MissingScan),
    /// An entry of the audit log. All of them follow the scans, newest first.
    Audit(ExportedEntry),
    /// A row of accounts or projects. All of them follow the scans.
    Access(ExportedAccess),
    /// A row of the chain of the audit log: its end before the entries, the others after them.
    Chain(ExportedChain),
    /// A row of targets, findings or results. All of them follow the scans.
    Findings(ExportedFindings),
    /// The last line.
    End(Footer),
}

/// A plugin of an attempt.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginLine {
    pub(super) scan: ScanId,
    pub(super) attempt: AttemptNumber,
    pub(super) ordinal: u32,
    pub(super) result: PluginResult,
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
    /// The number of plugins; omitted if it is 0, as in the first format.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) results: u64,
    /// Omitted if no scan is missing, so that a version without this field can read the file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) missing: u64,
    /// The number of entries of the audit log; omitted if it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) audit: u64,
    /// The number of rows of accounts and projects; omitted if it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) access: u64,
    /// The number of rows of the chain of the audit log; omitted if it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) chain: u64,
    /// The number of rows of targets, findings and results; omitted if it is 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) findings: u64,
    pub(super) sha256: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Header {
    pub(super) fn new(metadata: Metadata, schema: i64, now: Timestamp) -> Self {
        Self {
            kastrel_backup: if schema <= LAST_OF_FIRST_FORMAT { FIRST_FORMAT } else { FORMAT },
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
        if !(FIRST_FORMAT..=FORMAT).contains(&found) {
            return Err(BackupError::Format { found, version });
        }
        let header: Self = serde_json::from_slice(line).map_err(not_a_backup)?;
        let known = SurrealStore::schema_version();
        if header.schema > known {
            return Err(BackupError::TooNew { found: header.schema, known, version });
        }
        Ok(header)
    }

    pub(super) const fn schema(&self) -> i64 {
        self.schema
    }

    pub(super) const fn format(&self) -> u32 {
        self.kastrel_backup
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

/// The numbers of lines of each kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) scans: u64,
    pub(super) results: u64,
    pub(super) missing: u64,
    pub(super) audit: u64,
    pub(super) access: u64,
    pub(super) chain: u64,
    pub(super) findings: u64,
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

    pub(super) fn footer(&self, counts: Counts) -> Footer {
        let Counts { scans, results, missing, audit, access, chain, findings } = counts;
        let sha256 = format!("{:x}", self.hash.clone().finalize());
        Footer { scans, results, missing, audit, access, chain, findings, sha256 }
    }
}

/// Serializes a value as a line.
pub(super) fn line(value: &impl Serialize) -> Result<Vec<u8>, BackupError> {
    let mut line = serde_json::to_vec(value).map_err(|error| BackupError::Write(error.into()))?;
    line.push(b'\n');
    Ok(line)
}

/// The lines of a scan and its plugins.
pub(super) fn lines(scan: ExportedScan) -> Result<Vec<Vec<u8>>, BackupError> {
    let ExportedScan { mut record, earlier } = scan;
    let last = record.last_attempt().map(|attempt| attempt.number).unwrap_or_default();
    let plugins = std::mem::take(&mut record.plugins);
    let id = record.id;
    let of_last = (0..).zip(plugins).map(|(ordinal, result)| AttemptPlugin { attempt: last, ordinal, result });
    let results = earlier.into_iter().chain(of_last).map(|plugin| {
        let AttemptPlugin { attempt, ordinal, result } = plugin;
        line(&Line::PluginResult(PluginLine { scan: id, attempt, ordinal, result }))
    });
    std::iter::once(line(&Line::Scan(Box::new(record)))).chain(results).collect()
}

/// The line of a scan in the first format. A completed scan has its plugins three times there.
pub(super) fn earlier_line(record: &ScanRecord) -> Result<serde_json::Value, BackupError> {
    let not_written = |error: serde_json::Error| BackupError::Write(error.into());
    let mut scan = serde_json::to_value(record).map_err(not_written)?;
    let verdict = |dry_run: bool| serde_json::json!({ "plugins": record.plugins, "dry_run": dry_run });
    if let ScanState::Completed { summary, .. } = &record.state
        && let Some(state) = scan["state"].as_object_mut()
    {
        state.remove("summary");
        state.insert("verdict".into(), verdict(summary.dry_run));
    }
    for (at, attempt) in record.attempts.iter().enumerate() {
        if let Some(AttemptEnd::Completed(summary)) = &attempt.end {
            scan["attempts"][at]["end"] = verdict(summary.dry_run);
            scan["attempts"][at]["end"]["end"] = "completed".into();
        }
    }
    Ok(serde_json::json!({ "scan": scan }))
}
