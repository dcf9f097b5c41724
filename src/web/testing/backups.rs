//! A backup of as many bytes as a test wants, which may fail in the middle.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use kastrel_actors::ports::StoreError;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::backup::{BackupError, BackupSource, Summary};

/// A line of it.
pub(crate) const LINE: &[u8] = b"{\"line\":\"of a backup\"}\n";

/// See the module.
pub(crate) struct ScriptedBackup {
    /// How many lines there are.
    pub(crate) lines: AtomicU64,
    /// After how many of them it fails.
    pub(crate) fails_after: AtomicU64,
    /// How many were taken by the reader so far.
    pub(crate) taken: AtomicU64,
}

impl Default for ScriptedBackup {
    fn default() -> Self {
        Self { lines: AtomicU64::new(3), fails_after: AtomicU64::new(u64::MAX), taken: AtomicU64::new(0) }
    }
}

#[async_trait]
impl BackupSource for ScriptedBackup {
    async fn write(&self, mut into: Box<dyn AsyncWrite + Send + Unpin>, now: Timestamp) -> Result<Summary, BackupError> {
        let lines = self.lines.load(Ordering::SeqCst);
        for number in 0..lines {
            if number == self.fails_after.load(Ordering::SeqCst) {
                return Err(BackupError::Export(StoreError::Unavailable("secret-host is down".into())));
            }
            into.write_all(LINE).await.map_err(BackupError::Write)?;
            self.taken.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Summary { scans: lines, last: ScanId(lines), paused: false, bytes: lines * LINE.len() as u64, written_at: now })
    }
}
