//! An attempt's folder, through a directory handle that neither `..` nor a symbolic link can leave.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions, OpenOptionsExt};
use jiff::Timestamp;
use rustix::fs::OFlags;

use super::path::{ArtifactPath, is_plain};
use super::store::Kept;
use super::{Artifact, AttemptKey};
use crate::adapters::kast_runner::OWN_NAMES;

/// How far a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// Folders within folders.
    pub(super) depth: usize,
    /// Files.
    pub(super) files: usize,
}

/// So many folders of an attempt may wait to be gone through.
const MOST_FOLDERS: usize = 100_000;

/// What a walk found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// Visible regular files, sorted by path.
    pub(super) files: Vec<Artifact>,
    /// How many further ones there are, beyond the reach.
    pub(super) beyond: usize,
    /// Hidden files and folders: what a program keeps for itself. Nobody is ever shown one, so they
    /// are no part of the results.
    pub(super) hidden: usize,
    /// Other regular files and folders that were passed over: too deep, unreadable, or with a name
    /// that is no text or no plain one.
    pub(super) left_out: usize,
}

/// The handle.
#[derive(Debug)]
pub(super) struct AttemptDir(Dir);

/// Opens the results folder, which may be a symlink: it is the operator's.
pub(super) fn open_results(results: &Path) -> io::Result<Dir> {
    Dir::open_ambient_dir(results, ambient_authority())
}

/// Opens a folder in a folder, unless it is a link.
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
        // Without waiting: what was a file a moment ago could be a pipe by now.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.union(OFlags::NOFOLLOW).bits().cast_signed());
        let file = folder.open_with(name, &options)?;
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok((file.into_std(), metadata)) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Goes through the visible regular files, those of the top folder first, and gives each to
    /// `each` until that has enough. The memory does not grow with the number of files.
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

/// What was passed over: see [`Walk`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) hidden: usize,
    pub(super) left_out: usize,
}

/// When a file was last written.
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
            // Links, pipes and sockets are nobody's results.
            continue;
        }
        let name = entry.file_name();
        if OWN_NAMES.iter().any(|own| name == *own) {
            // Ours, and no result.
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
