//! The interface between the application and the store of the attempts' files.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::{ControlFlow, Range};

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use kastrel_actors::model::grouped_count;
use tokio_util::bytes::Bytes;

use super::{AttemptKey, ByteRange, ScanFolder};

/// The maximum number of files in a list of an attempt.
pub(super) const MAX_LISTED: usize = 1000;
/// A list stops to count at this number of files.
pub(super) const MAX_COUNTED: usize = 100_000;

/// A bounded selection of files: the important files first, then the others in the order of
/// arrival.
#[derive(Debug)]
pub(super) struct Kept {
    most: usize,
    important: Vec<Artifact>,
    others: Vec<Artifact>,
    total: usize,
}

impl Kept {
    pub(super) const fn new(most: usize) -> Self {
        Self { most, important: Vec::new(), others: Vec::new(), total: 0 }
    }

    /// Adds a file. Breaks when the count exceeds [`MAX_COUNTED`].
    pub(super) fn push(&mut self, file: Artifact) -> ControlFlow<()> {
        self.total += 1;
        let kept = if is_important(&file.path) { &mut self.important } else { &mut self.others };
        if kept.len() < self.most {
            kept.push(file);
        }
        if self.total > self.most.max(MAX_COUNTED) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Returns the selected files, sorted by path, and the number of all files.
    pub(super) fn finish(mut self) -> (Vec<Artifact>, usize) {
        self.others.truncate(self.most - self.important.len());
        self.important.append(&mut self.others);
        self.important.sort_by(|a, b| a.path.cmp(&b.path));
        (self.important, self.total)
    }
}

/// True for the files that people read and that Kastrel itself reads.
fn is_important(path: &str) -> bool {
    const NAMES: [&str; 6] =
        ["kast_report.html", "kast_report.pdf", "kast_style.css", "kast_info.json", "kast.log", "command.sh"];
    !path.contains('/') && (NAMES.contains(&path) || path.ends_with("_processed.json"))
}

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

/// A failed access to the files of an attempt.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The file does not exist.
    #[error("there is no such file")]
    NotFound,
    /// The path is not valid for a file of an attempt.
    #[error("the path does not name a file of an attempt")]
    Refused,
    /// The requested range starts beyond the end of the file, or is empty.
    #[error("the file has only {size} bytes")]
    OutOfRange {
        /// The size of the file.
        size: u64,
    },
    /// The store does not respond. A retry may succeed.
    #[error("failed to reach the store of the scans' files")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The files of this attempt cannot be read or changed. A retry does not help. Other attempts
    /// are not affected.
    #[error("failed to work with the files of this attempt")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

/// True for transient errors: a retry with the same file may succeed, and an access to another file
/// would fail now too.
pub(super) fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const PASSING: [Errno; 7] =
        [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR, Errno::AGAIN, Errno::STALE, Errno::TIMEDOUT];
    error.raw_os_error().is_some_and(|code| PASSING.iter().any(|errno| errno.raw_os_error() == code))
}

impl From<io::Error> for ArtifactError {
    fn from(error: io::Error) -> Self {
        // A link that leads out of the folder gives a permission error or a loop, and a file in
        // place of a folder has an error kind of its own. All of them mean: no such file.
        let is_link = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidFilename => Self::NotFound,
            _ if is_link => Self::NotFound,
            _ if is_passing(&error) => Self::Unavailable(error.into()),
            _ => Self::Broken(error.into()),
        }
    }
}

impl From<object_store::Error> for ArtifactError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound,
            error => Self::Unavailable(error.into()),
        }
    }
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

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn transient_errors_are_unavailable_and_others_are_not() {
        for (errno, expected) in [
            (Errno::NOENT, "there is no such file"),
            (Errno::ACCESS, "there is no such file"),
            (Errno::LOOP, "there is no such file"),
            (Errno::MFILE, "failed to reach the store of the scans' files"),
            (Errno::NOMEM, "failed to reach the store of the scans' files"),
            (Errno::IO, "failed to work with the files of this attempt"),
            (Errno::NOSPC, "failed to work with the files of this attempt"),
        ] {
            assert_eq!(ArtifactError::from(io::Error::from(errno)).to_string(), expected, "{errno:?}");
        }
    }
}
