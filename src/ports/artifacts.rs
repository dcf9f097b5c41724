//! The store of the attempts' files: reports, logs and raw results.

use std::fmt;
use std::io;
use std::ops::Range;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use kastrel_actors::model::grouped_count;
use tokio_util::bytes::Bytes;

use super::{ArtifactError, AttemptKey, ByteRange, ScanFolder};

/// A list stops to count at this number of files.
pub(crate) const MAX_COUNTED: usize = 100_000;

/// One file of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The path relative to the attempt's folder, with `/` as separator. The scanner chose it: it
    /// may contain any character except NUL and backslash, and no part of it is hidden.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// The time of the last write, if known.
    pub modified: Option<Timestamp>,
}

/// The files of an attempt, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The files of the list; if there are too many, those of the top folder come first.
    pub files: Vec<Artifact>,
    /// The number of all files, as far as they were counted.
    pub total: usize,
    /// True if files may be missing because the attempt's machine has not uploaded all of them yet,
    /// or never will.
    pub partial: bool,
}

impl Listing {
    /// Creates a complete list.
    #[must_use]
    pub const fn whole(files: Vec<Artifact>, partial: bool) -> Self {
        Self { total: files.len(), files, partial }
    }

    /// Returns a note if the list is incomplete: `1,000 of 1,506 shown`.
    #[must_use]
    pub fn cut(&self) -> Option<String> {
        let (shown, total) =
            (grouped_count(self.files.len() as u64), grouped_count(self.total.min(MAX_COUNTED) as u64));
        let more = if self.total > MAX_COUNTED { "more than " } else { "" };
        (self.files.len() < self.total).then(|| format!("{shown} of {more}{total} shown"))
    }

    /// Returns true if the list contains the file. A file that is not listed may still exist: see
    /// [`ArtifactStore::has`].
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }
}

/// An open file, or an open part of one.
pub struct OpenArtifact {
    /// The size of the complete file.
    pub size: u64,
    /// The bytes that the stream yields.
    pub range: Range<u64>,
    /// The time of the last write, if known.
    pub modified: Option<Timestamp>,
    /// The bytes, in chunks of bounded size.
    pub bytes: BoxStream<'static, io::Result<Bytes>>,
}

impl fmt::Debug for OpenArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenArtifact").field("size", &self.size).field("range", &self.range).finish_non_exhaustive()
    }
}

/// An item of a walk through all files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walked {
    /// A file.
    File(Artifact),
    /// The last item: the number of files and folders that were skipped because they cannot be
    /// read, are too deep, or have names that are not UTF-8.
    LeftOut(usize),
}

/// All files of an attempt, one after the other.
pub type FileStream = BoxStream<'static, Result<Walked, ArtifactError>>;

/// The end of an attempt's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTail {
    /// Its last bytes.
    pub bytes: Vec<u8>,
    /// True if the log has more bytes before these, so the first line is probably incomplete.
    pub cut: bool,
}

/// Reads the files of attempts and deletes the files of scans. The memory of each call is bounded
/// and does not depend on the size of a file.
#[async_trait]
pub trait ArtifactStore: Send + Sync + fmt::Debug + 'static {
    /// Returns the visible regular files of an attempt, at most a thousand. Fails with `NotFound`
    /// if the attempt has no files, or none yet.
    async fn list(&self, attempt: &AttemptKey) -> Result<Listing, ArtifactError>;

    /// Returns all visible regular files of an attempt, in no particular order and without a limit
    /// on their number. Fails with `NotFound` like [`list`](Self::list).
    async fn walk(&self, attempt: &AttemptKey) -> Result<FileStream, ArtifactError> {
        let files = self.list(attempt).await?.files;
        Ok(futures_util::stream::iter(files.into_iter().map(|file| Ok(Walked::File(file)))).boxed())
    }

    /// Returns true if the file exists, even if a list does not show it.
    async fn has(&self, attempt: &AttemptKey, path: &str) -> Result<bool, ArtifactError> {
        match self.open(attempt, path, None).await {
            Ok(_) => Ok(true),
            Err(ArtifactError::NotFound | ArtifactError::Refused) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens a file, or a part of it. The stream of a growing file ends at the size that the file
    /// had when it was opened.
    async fn open(
        &self,
        attempt: &AttemptKey,
        path: &str,
        range: Option<ByteRange>,
    ) -> Result<OpenArtifact, ArtifactError>;

    /// Returns the last bytes of the scanner's output, also while the scanner runs.
    async fn log_tail(&self, attempt: &AttemptKey, max_bytes: u64) -> Result<LogTail, ArtifactError>;

    /// Returns the location of a file for people: its path on this machine, or its URL.
    async fn locate(&self, attempt: &AttemptKey, path: &str) -> Result<String, ArtifactError>;

    /// Deletes all files of a scan. The scan must have ended. Succeeds if there are no files.
    async fn delete(&self, scan: &ScanFolder) -> Result<(), ArtifactError>;
}
