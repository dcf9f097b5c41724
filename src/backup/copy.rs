//! From one place to another, looked at on the way: a backup that did not arrive whole must not be
//! taken for one.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::error::BackupError;
use super::format::Summary;
use super::reader::Reader;

/// Passes a backup on, and flushes it.
///
/// # Errors
/// It is not a whole backup that this program can read, or it could not be written. What was
/// written then is not a whole backup.
pub async fn copy(from: impl AsyncRead + Unpin, mut into: impl AsyncWrite + Unpin) -> Result<Summary, BackupError> {
    let mut reader = Reader::open(from).await?;
    into.write_all(reader.line()).await.map_err(BackupError::Write)?;
    loop {
        let next = reader.next().await?;
        into.write_all(reader.line()).await.map_err(BackupError::Write)?;
        if next.is_none() {
            break;
        }
    }
    into.flush().await.map_err(BackupError::Write)?;
    Ok(reader.summary())
}

/// Looks whether a file is a whole backup that this program can restore.
///
/// # Errors
/// It is not.
pub async fn check(from: impl AsyncRead + Unpin) -> Result<Summary, BackupError> {
    copy(from, tokio::io::sink()).await
}
