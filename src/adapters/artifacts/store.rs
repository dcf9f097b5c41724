//! A bounded selection of an attempt's files, and the errors of file systems and buckets as errors
//! of the port.

use std::io;
use std::ops::ControlFlow;

use crate::ports::{Artifact, ArtifactError, MAX_COUNTED};

/// The maximum number of files in a list of an attempt.
pub(super) const MAX_LISTED: usize = 1000;

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

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn transient_errors_are_unavailable_and_others_are_not() {
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
