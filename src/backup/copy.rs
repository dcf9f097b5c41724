//! Copies a backup and verifies it, so that an incomplete backup is detected.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::error::BackupError;
use super::format::Summary;
use super::reader::Reader;

/// Copies a backup to `into`, and flushes it.
///
/// # Errors
/// The backup is incomplete or unreadable for this program, or it could not be written. In that
/// case `into` does not hold a complete backup.
pub async fn copy(from: impl AsyncRead + Unpin, mut into: impl AsyncWrite + Unpin) -> Result<Summary, BackupError> {
    let mut reader = Reader::open(from).await?;
    into.write_all(reader.line()).await.map_err(BackupError::Write)?;
    loop {
        let next = reader.next_line().await?;
        into.write_all(reader.line()).await.map_err(BackupError::Write)?;
        if next.is_none() {
            break;
        }
    }
    into.flush().await.map_err(BackupError::Write)?;
    Ok(reader.summary())
}

/// Checks that a file is a complete backup that this program can restore.
///
/// # Errors
/// The file is not such a backup.
pub async fn check(from: impl AsyncRead + Unpin) -> Result<Summary, BackupError> {
    copy(from, tokio::io::sink()).await
}
