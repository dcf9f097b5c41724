//! Limits a backup to the free disk space, because a full disk would stop the database that the
//! backup protects.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// The space that stays free, in bytes.
pub(super) const RESERVE: u64 = 100 << 20;
/// The number of bytes between two checks of the free space.
const STEP: u64 = 8 << 20;

/// A writer that fails before less than [`RESERVE`] is free on the disk of `folder`.
pub(super) struct Room<W> {
    into: W,
    folder: PathBuf,
    free: fn(&std::path::Path) -> io::Result<u64>,
    /// The number of bytes until the next check.
    left: u64,
}

impl<W> Room<W> {
    pub(super) const fn new(into: W, folder: PathBuf) -> Self {
        Self { into, folder, free, left: 0 }
    }

    fn look(&mut self) -> io::Result<()> {
        if self.left == 0 {
            let free = (self.free)(&self.folder)?;
            if free < RESERVE + STEP {
                let text = format!(
                    "only {} MiB are free, and a backup leaves {} MiB to the database",
                    free >> 20,
                    RESERVE >> 20
                );
                return Err(io::Error::new(io::ErrorKind::StorageFull, text));
            }
            self.left = STEP;
        }
        Ok(())
    }
}

fn free(folder: &std::path::Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Room<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.look()?;
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let polled = Pin::new(&mut self.into).poll_write(cx, &bytes[..most]);
        if let Poll::Ready(Ok(written)) = polled {
            self.left = self.left.saturating_sub(written as u64);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.into).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.into).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_backup_stops_before_the_disk_is_full() {
        // The writes here use no disk space, so this function reduces the free space itself.
        fn shrinking(_: &std::path::Path) -> io::Result<u64> {
            use std::sync::atomic::{AtomicU64, Ordering};
            static LOOKS: AtomicU64 = AtomicU64::new(0);
            Ok(RESERVE + STEP * 3_u64.saturating_sub(LOOKS.fetch_add(1, Ordering::SeqCst)))
        }
        let mut written = Vec::new();
        let mut room = Room { free: shrinking, ..Room::new(&mut written, PathBuf::new()) };
        let error = room.write_all(&vec![0; 5 * usize::try_from(STEP).unwrap()]).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::StorageFull, "only 100 MiB are free, and a backup leaves 100 MiB to the database")
        );
        assert_eq!(written.len() as u64, 3 * STEP);
    }
}
