//! Folders that take another one's place: names that nothing has yet, and names that are on the
//! disk.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// `name`, or with a number behind it where there is such a file.
pub(super) fn free_name(folder: &Path, name: &str) -> PathBuf {
    let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
    names
        .map(|name| folder.join(name))
        .find(|path| path.symlink_metadata().is_err())
        .unwrap_or_else(|| folder.join(name))
}

/// Waits until the names in `folder` are on the disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
