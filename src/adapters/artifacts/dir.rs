//! Access to an attempt's folder through a directory handle (cap-std), so that neither `..` nor a
//! symbolic link can lead out of it.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions, OpenOptionsExt};
use jiff::Timestamp;
use rustix::fs::OFlags;

use super::path::ArtifactPath;
use super::store::Kept;
use super::{Artifact, AttemptKey};
use crate::ports::{OWN_NAMES, is_plain};

/// The limits of a walk through a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// The maximum depth of nested folders.
    pub(super) depth: usize,
    /// The maximum number of files.
    pub(super) files: usize,
}

/// The limits of an upload. Files beyond them stay in the folder.
pub(super) const REACH: Reach = Reach { depth: 32, files: 200_000 };

/// The maximum number of an attempt's folders that wait in the walk's queue.
const MOST_FOLDERS: usize = 100_000;

/// The result of a walk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// The visible regular files, sorted by path.
    pub(super) files: Vec<Artifact>,
    /// The number of further files, beyond the limit of files.
    pub(super) beyond: usize,
    /// The number of hidden files and folders. Programs keep their own state in them. They are
    /// never shown, so they are not part of the results.
    pub(super) hidden: usize,
    /// The number of other regular files and folders that were skipped: they are too deep or
    /// unreadable, or their name is not UTF-8 or not plain.
    pub(super) left_out: usize,
}

/// The handle of an attempt's folder.
#[derive(Debug)]
pub(super) struct AttemptDir(Dir);

/// Opens the results folder. It may be a symlink, because the operator chooses it.
pub(super) fn open_results(results: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(results, ambient_authority())
}

/// Opens a subfolder. Refuses a symbolic link.
pub(super) fn open_inner(dir: &Dir, name: &str) -> io::Result<Dir> {
    if dir.symlink_metadata(name)?.is_dir() { dir.open_dir(name) } else { Err(io::ErrorKind::NotFound.into()) }
}

impl AttemptDir {
    pub(super) fn open(results: &Path, key: &AttemptKey) -> io::Result<Self> {
        let scan = open_inner(&open_results(results)?, key.scan.as_str())?;
        open_inner(&scan, &key.attempt_folder()).map(Self)
    }

    /// Opens a regular file for reading.
    pub(super) fn file(&self, path: ArtifactPath<'_>) -> io::Result<(std::fs::File, Metadata)> {
        let (folders, name) = path.parts();
        let mut folder = self.0.try_clone()?;
        for part in folders {
            folder = open_inner(&folder, part)?;
        }
        if !folder.symlink_metadata(name)?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        // `NONBLOCK`, because the path may have become a pipe since the check above.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.union(OFlags::NOFOLLOW).bits().cast_signed());
        let file = folder.open_with(name, &options)?;
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok((file.into_std(), metadata)) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Calls `each` with every visible regular file, those of the top folder first, until `each`
    /// breaks. The memory does not grow with the number of files.
    pub(super) fn visit(&self, depth: usize, mut each: impl FnMut(Artifact) -> ControlFlow<()>) -> Passed {
        let mut passed = Passed::default();
        let mut folders = VecDeque::from([(String::new(), depth)]);
        while let Some((prefix, depth)) = folders.pop_front() {
            if visit_folder(&self.0, &prefix, depth, &mut folders, &mut passed, &mut each).is_break() {
                break;
            }
        }
        passed
    }

    pub(super) fn walk(&self, reach: Reach) -> Walk {
        let mut kept = Kept::new(reach.files);
        let Passed { hidden, left_out } = self.visit(reach.depth, |file| kept.push(file));
        let (files, total) = kept.finish();
        Walk { beyond: total - files.len(), files, hidden, left_out }
    }
}

/// The number of skipped entries; see [`Walk`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) hidden: usize,
    pub(super) left_out: usize,
}

/// The time of the last write.
pub(super) fn modified(metadata: &Metadata) -> Option<Timestamp> {
    Timestamp::try_from(metadata.modified().ok()?.into_std()).ok()
}

fn visit_folder(
    top: &Dir,
    prefix: &str,
    depth: usize,
    folders: &mut VecDeque<(String, usize)>,
    passed: &mut Passed,
    each: &mut impl FnMut(Artifact) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let opened = prefix
        .split('/')
        .filter(|part| !part.is_empty())
        .try_fold(None, |folder: Option<Dir>, part| open_inner(folder.as_ref().unwrap_or(top), part).map(Some));
    let Ok(listing) = opened.and_then(|folder| folder.as_ref().unwrap_or(top).entries()) else {
        passed.left_out += 1;
        return ControlFlow::Continue(());
    };
    for entry in listing {
        let Ok((entry, kind)) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind))) else {
            passed.left_out += 1;
            continue;
        };
        if !kind.is_file() && !kind.is_dir() {
            // Links, pipes and sockets are not results.
            continue;
        }
        let name = entry.file_name();
        if OWN_NAMES.iter().any(|own| name == *own) {
            // A file that Kastrel wrote; it is not a result.
            continue;
        }
        if name.as_encoded_bytes().starts_with(b".") {
            passed.hidden += 1;
            continue;
        }
        let Some(name) = name.into_string().ok().filter(|name| is_plain(name)) else {
            passed.left_out += 1;
            continue;
        };
        let path = format!("{prefix}{name}");
        if kind.is_file() {
            let metadata = entry.metadata();
            let size = metadata.as_ref().map_or(0, Metadata::len);
            each(Artifact { path, size, modified: metadata.ok().as_ref().and_then(modified) })?;
        } else if let Some(depth) = depth.checked_sub(1).filter(|_| folders.len() < MOST_FOLDERS) {
            folders.push_back((path + "/", depth));
        } else {
            passed.left_out += 1;
        }
    }
    ControlFlow::Continue(())
}
