//! Helpers for replacing folders: finds an unused name, and syncs a folder.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Returns `name` in `folder`, with a number appended if it exists.
pub(super) fn free_name(folder: &Path, name: &str) -> PathBuf {
    let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
    names
        .map(|name| folder.join(name))
        .find(|path| path.symlink_metadata().is_err())
        .unwrap_or_else(|| folder.join(name))
}

/// Waits until the names in `folder` are on disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
