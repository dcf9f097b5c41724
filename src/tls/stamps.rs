//! The state of the files of a certificate pair, by which a change of their content is seen.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The state of a file: another content has another state. The fields are device, inode, size and
/// the time of the last change, in seconds and nanoseconds.
pub(super) type Stamp = (u64, u64, u64, i64, i64);

/// The state of both files; `None` for a file that cannot be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamps {
    pub(super) certificate: Option<Stamp>,
    pub(super) key: Option<Stamp>,
}

impl Stamps {
    /// Returns the current state. A symbolic link counts as the file that it leads to.
    pub(super) fn of(certificate: &Path, key: &Path) -> Self {
        let stamp = |path: &Path| {
            let about = path.metadata().ok()?;
            Some((about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec()))
        };
        Self { certificate: stamp(certificate), key: stamp(key) }
    }
}
