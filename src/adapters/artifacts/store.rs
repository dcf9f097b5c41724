//! The seam: what the application may ask of the files of attempts, wherever they are.

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

/// At most so many files are listed of an attempt.
pub(super) const MAX_LISTED: usize = 1000;
/// A list counts no further than this.
pub(super) const MAX_COUNTED: usize = 100_000;

/// The files that are kept of many: those that a person looks for, then the first ones that come.
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

    /// Takes one more; breaks when there are more than anybody counts.
    pub(super) fn push(&mut self, file: Artifact) -> ControlFlow<()> {
        self.total += 1;
        let kept = if is_important(&file.path) { &mut self.important } else { &mut self.others };
        if kept.len() < self.most {
            kept.push(file);
        }
        if self.total > self.most.max(MAX_COUNTED) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The files by their paths, and how many there are.
    pub(super) fn finish(mut self) -> (Vec<Artifact>, usize) {
        self.others.truncate(self.most - self.important.len());
        self.important.append(&mut self.others);
        self.important.sort_by(|a, b| a.path.cmp(&b.path));
        (self.important, self.total)
    }
}

/// What the scanner and its plugins write for people and for us.
fn is_important(path: &str) -> bool {
    const NAMES: [&str; 6] =
        ["kast_report.html", "kast_report.pdf", "kast_style.css", "kast_info.json", "kast.log", "command.sh"];
    !path.contains('/') && (NAMES.contains(&path) || path.ends_with("_processed.json"))
}

/// A file in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Relative to the attempt's folder, with `/` between. The scanner chose it: it may hold
    /// anything but a NUL, a backslash or a hidden part.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// When it was last written, where that is known.
    pub modified: Option<Timestamp>,
}

/// The files of an attempt, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The files, or as many of them as are listed: those of the top folder first.
    pub files: Vec<Artifact>,
    /// How many there are, as far as they are counted.
    pub total: usize,
    /// Whether files may be missing because the attempt's own machine has not handed all of them
    /// over yet, or never will.
    pub partial: bool,
}

impl Listing {
    /// A list of all there is.
    #[must_use]
    pub const fn whole(files: Vec<Artifact>, partial: bool) -> Self {
        Self { total: files.len(), files, partial }
    }

    /// What is to be said where the list is not all of them: `1,000 of 1,506 shown`.
    #[must_use]
    pub fn cut(&self) -> Option<String> {
        let (shown, total) =
            (grouped_count(self.files.len() as u64), grouped_count(self.total.min(MAX_COUNTED) as u64));
        let more = if self.total > MAX_COUNTED { "more than " } else { "" };
        (self.files.len() < self.total).then(|| format!("{shown} of {more}{total} shown"))
    }

    /// Whether a file is in the list. One that is not may be there all the same:
    /// [`ArtifactStore::has`].
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }
}

/// A file, or a part of it, about to be read.
pub struct OpenArtifact {
    /// The size of the whole file.
    pub size: u64,
    /// Which bytes the stream gives.
    pub range: Range<u64>,
    /// When it was last written, where that is known.
    pub modified: Option<Timestamp>,
    /// The bytes, in bounded pieces.
    pub bytes: BoxStream<'static, io::Result<Bytes>>,
}

impl fmt::Debug for OpenArtifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenArtifact").field("size", &self.size).field("range", &self.range).finish_non_exhaustive()
    }
}

/// What a walk through all files gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walked {
    /// A file.
    File(Artifact),
    /// At the end: so many files or folders were passed over, because they cannot be read, lie too
    /// deep, or have names that are no text.
    LeftOut(usize),
}

/// All files of an attempt, one after the other.
pub type FileStream = BoxStream<'static, Result<Walked, ArtifactError>>;

/// The end of an attempt's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTail {
    /// Its last bytes.
    pub bytes: Vec<u8>,
    /// Whether there is more before them, so that the first line is most likely not whole.
    pub cut: bool,
}

/// There is no such file, or not now.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Nothing is there.
    #[error("file not found")]
    NotFound,
    /// The path is none that a file of an attempt can have.
    #[error("the path does not name a file of an attempt")]
    Refused,
    /// The file is shorter than the range wants.
    #[error("the file has only {size} bytes")]
    OutOfRange {
        /// The size of the file.
        size: u64,
    },
    /// The store does not answer; another try may help.
    #[error("failed to reach the store of the scans' files")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// What is kept of this attempt cannot be read or changed. Another try does not help, and other
    /// attempts are not concerned.
    #[error("failed to work with the files of this attempt")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

/// Whether a file could not be worked with because of the moment: the same file may do later, and
/// another one would not do now.
pub(super) fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const PASSING: [Errno; 7] =
        [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR, Errno::AGAIN, Errno::STALE, Errno::TIMEDOUT];
    error.raw_os_error().is_some_and(|code| PASSING.iter().any(|errno| errno.raw_os_error() == code))
}

impl From<io::Error> for ArtifactError {
    fn from(error: io::Error) -> Self {
        // Links that lead out of the folder come as refused permissions or as loops, files in place
        // of folders by their own kind: all of them name nothing.
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

/// Reads the files of attempts, and deletes those of scans. The memory of each call is bounded,
/// whatever the size of a file.
#[async_trait]
pub trait ArtifactStore: Send + Sync + fmt::Debug + 'static {
    /// The visible regular files of an attempt, at most a thousand. `NotFound` where nothing of the
    /// attempt is left, or not yet there.
    async fn list(&self, attempt: &AttemptKey) -> Result<Listing, ArtifactError>;

    /// All visible regular files of an attempt, however many there are, in no order. `NotFound` as
    /// for a list.
    async fn walk(&self, attempt: &AttemptKey) -> Result<FileStream, ArtifactError> {
        let files = self.list(attempt).await?.files;
        Ok(futures_util::stream::iter(files.into_iter().map(|file| Ok(Walked::File(file)))).boxed())
    }

    /// Whether a file is there, whatever a list shows.
    async fn has(&self, attempt: &AttemptKey, path: &str) -> Result<bool, ArtifactError> {
        match self.open(attempt, path, None).await {
            Ok(_) => Ok(true),
            Err(ArtifactError::NotFound | ArtifactError::Refused) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens a file, or a part of it. A file that grows is read as far as it went when it was
    /// opened.
    async fn open(
        &self,
        attempt: &AttemptKey,
        path: &str,
        range: Option<ByteRange>,
    ) -> Result<OpenArtifact, ArtifactError>;

    /// The last bytes of the scanner's output, also while it runs.
    async fn log_tail(&self, attempt: &AttemptKey, max_bytes: u64) -> Result<LogTail, ArtifactError>;

    /// Where a person finds a file: its path on this machine, or its address.
    async fn locate(&self, attempt: &AttemptKey, path: &str) -> Result<String, ArtifactError>;

    /// Deletes everything of a scan, which must have ended. No error if nothing is there.
    async fn delete(&self, scan: &ScanFolder) -> Result<(), ArtifactError>;
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn errors_of_one_file_are_told_from_those_of_the_moment() {
        for (errno, expected) in [
            (Errno::NOENT, "file not found"),
            (Errno::ACCESS, "file not found"),
            (Errno::LOOP, "file not found"),
            (Errno::MFILE, "failed to reach the store of the scans' files"),
            (Errno::NOMEM, "failed to reach the store of the scans' files"),
            (Errno::IO, "failed to work with the files of this attempt"),
            (Errno::NOSPC, "failed to work with the files of this attempt"),
        ] {
            assert_eq!(ArtifactError::from(io::Error::from(errno)).to_string(), expected, "{errno:?}");
        }
    }
}
