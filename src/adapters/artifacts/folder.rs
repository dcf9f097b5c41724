//! Reads the files of attempts from the results folder of this machine.
//!
//! The store reads through a directory handle (cap-std) and does not use object_store's
//! `LocalFileSystem`. That type resolves paths and follows symbolic links, but here a scanner, or
//! an attacker who controls its output, chooses the content of the folder. With the handle, a link
//! to `/etc/passwd` is neither listed nor opened.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_util::io::ReaderStream;

use super::dir::{self, AttemptDir, REACH, Reach};
use super::path::ArtifactPath;
use super::store::MAX_LISTED;
use super::{ArtifactError, ArtifactStore, AttemptKey, ByteRange, Listing, LogTail, OpenArtifact, ScanFolder};
use crate::ports::{FileStream, LOG_NAME, Walked, resolve};

/// A list shows nested folders up to this depth.
const LISTED: Reach = Reach { depth: 4, files: MAX_LISTED };
/// The walk reads at most this many files ahead of its consumer.
const WALKED_AHEAD: usize = 64;
/// The chunk size of a stream, in bytes.
const CHUNK: usize = 64 * 1024;

/// An [`ArtifactStore`] over a local folder. See the module docs.
#[derive(Debug, Clone)]
pub struct FolderArtifacts {
    results: Arc<Path>,
}

impl FolderArtifacts {
    /// Creates a store over a results folder, which need not exist yet.
    #[must_use]
    pub fn new(results: &Path) -> Self {
        Self { results: results.into() }
    }

    /// Runs `work` on an attempt's folder, on a thread that may block on disk I/O.
    async fn with<T: Send + 'static>(
        &self,
        key: &AttemptKey,
        work: impl FnOnce(&AttemptDir) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ArtifactError> {
        let (results, key) = (Arc::clone(&self.results), key.clone());
        blocking(move || AttemptDir::open(&results, &key).and_then(|dir| work(&dir))).await
    }

    /// Returns true if this machine has the attempt's folder.
    pub(super) async fn holds(&self, key: &AttemptKey) -> bool {
        self.with(key, |_| Ok(())).await.is_ok()
    }

    fn path_of(&self, key: &AttemptKey) -> PathBuf {
        self.results.join(key.scan.as_str()).join(key.attempt_folder())
    }
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ArtifactError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(broken) => Err(ArtifactError::Broken(broken.into())),
    }
}

/// Reads the end of the log in a folder.
pub(super) fn tail(dir: &AttemptDir, max_bytes: u64) -> io::Result<LogTail> {
    let log = ArtifactPath::parse(LOG_NAME).map_err(io::Error::other)?;
    let (mut file, metadata) = dir.file(log)?;
    let skip = metadata.len().saturating_sub(max_bytes);
    file.seek(SeekFrom::Start(skip))?;
    let mut bytes = Vec::new();
    file.take(max_bytes).read_to_end(&mut bytes)?;
    Ok(LogTail { bytes, cut: skip > 0 })
}

#[async_trait]
impl ArtifactStore for FolderArtifacts {
    async fn list(&self, attempt: &AttemptKey) -> Result<Listing, ArtifactError> {
        let walk = self.with(attempt, |dir| Ok(dir.walk(LISTED))).await?;
        Ok(Listing { total: walk.files.len() + walk.beyond, files: walk.files, partial: false })
    }

    async fn walk(&self, attempt: &AttemptKey) -> Result<FileStream, ArtifactError> {
        let (results, key) = (Arc::clone(&self.results), attempt.clone());
        let dir = blocking(move || AttemptDir::open(&results, &key)).await?;
        let (sender, receiver) = mpsc::channel(WALKED_AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut is_heard = true;
            let passed = dir.visit(REACH.depth, |file| {
                is_heard = sender.blocking_send(Ok(Walked::File(file))).is_ok();
                if is_heard { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            if is_heard && passed.left_out > 0 {
                // The last message. A send error means that the receiver was dropped.
                let _ = sender.blocking_send(Ok(Walked::LeftOut(passed.left_out)));
            }
        });
        Ok(futures_util::stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|walked| (walked, receiver))
        })
        .boxed())
    }

    async fn open(
        &self,
        attempt: &AttemptKey,
        path: &str,
        range: Option<ByteRange>,
    ) -> Result<OpenArtifact, ArtifactError> {
        ArtifactPath::parse(path)?;
        let path = path.to_owned();
        let (file, metadata) =
            self.with(attempt, move |dir| dir.file(ArtifactPath::parse(&path).map_err(io::Error::other)?)).await?;
        let (size, modified) = (metadata.len(), dir::modified(&metadata));
        let range = resolve(range, size)?;
        let start = range.start;
        let file = blocking(move || {
            let mut file = file;
            file.seek(SeekFrom::Start(start)).map(|_| file)
        })
        .await?;
        // Reads no more than the size at opening, so that the stream of a growing log ends.
        let bytes =
            ReaderStream::with_capacity(tokio::fs::File::from_std(file).take(range.end - range.start), CHUNK).boxed();
        Ok(OpenArtifact { size, range, modified, bytes })
    }

    async fn log_tail(&self, attempt: &AttemptKey, max_bytes: u64) -> Result<LogTail, ArtifactError> {
        self.with(attempt, move |dir| tail(dir, max_bytes)).await
    }

    async fn locate(&self, attempt: &AttemptKey, path: &str) -> Result<String, ArtifactError> {
        ArtifactPath::parse(path)?;
        let name = path.to_owned();
        self.with(attempt, move |dir| dir.file(ArtifactPath::parse(&name).map_err(io::Error::other)?).map(drop))
            .await?;
        Ok(self.path_of(attempt).join(path).display().to_string())
    }

    async fn delete(&self, scan: &ScanFolder) -> Result<(), ArtifactError> {
        let (results, scan) = (Arc::clone(&self.results), scan.clone());
        let deleted = blocking(move || {
            let results = dir::open_results(&results)?;
            // A symbolic link is removed itself; its target stays.
            if results.symlink_metadata(scan.as_str())?.is_dir() {
                results.remove_dir_all(scan.as_str())
            } else {
                results.remove_file(scan.as_str())
            }
        })
        .await;
        match deleted {
            Err(ArtifactError::NotFound) => Ok(()),
            other => other,
        }
    }
}
