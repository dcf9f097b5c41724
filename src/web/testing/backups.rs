//! A backup source with a given number of lines, which can fail midway.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use kastrel_actors::policy::backups::BackupMark;
use kastrel_actors::ports::StoreError;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::backup::{BackupError, BackupFailure, BackupFile, BackupSource, BackupStatus, Summary};

/// A line of the backup.
pub(crate) const LINE: &[u8] = b"{\"line\":\"of a backup\"}\n";

/// A scripted backup source. See the module documentation.
pub(crate) struct ScriptedBackup {
    /// The number of lines.
    pub(crate) lines: AtomicU64,
    /// After how many lines the backup fails.
    pub(crate) fails_after: AtomicU64,
    /// How many lines the reader has taken.
    pub(crate) taken: AtomicU64,
}

impl Default for ScriptedBackup {
    fn default() -> Self {
        Self { lines: AtomicU64::new(3), fails_after: AtomicU64::new(u64::MAX), taken: AtomicU64::new(0) }
    }
}

#[async_trait]
impl BackupSource for ScriptedBackup {
    async fn write(
        &self,
        mut into: Box<dyn AsyncWrite + Send + Unpin>,
        now: Timestamp,
    ) -> Result<Summary, BackupError> {
        let lines = self.lines.load(Ordering::SeqCst);
        for number in 0..lines {
            if number == self.fails_after.load(Ordering::SeqCst) {
                return Err(BackupError::Export(StoreError::Unavailable("secret-host is down".into())));
            }
            into.write_all(LINE).await.map_err(BackupError::Write)?;
            self.taken.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Summary {
            scans: lines,
            last: ScanId(lines),
            paused: false,
            missing: Vec::new(),
            bytes: lines * LINE.len() as u64,
            written_at: now,
        })
    }
}

/// Returns two automatic backups and one failure.
pub(crate) fn backup_status() -> BackupStatus {
    let made_at = Timestamp::from_second(1_767_225_600).unwrap();
    let mark = |sequence, before_migration_of, missing| BackupMark { sequence, made_at, before_migration_of, missing };
    let file = |name: &str, mark| BackupFile { path: format!("backups/{name}").into(), bytes: 4096, mark };
    BackupStatus {
        files: vec![
            file("kastrel-000002-20260101T000000Z-missing-3.backup", mark(2, None, 3)),
            file("kastrel-000001-20260101T000000Z-schema-5.backup", mark(1, Some(5), 0)),
        ],
        failure: Some(BackupFailure { at: made_at, why: "no space <left>".into(), failures: 2 }),
    }
}
