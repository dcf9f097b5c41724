//! The faults of a machine that stop every scan on it, with their remedies: the check of the node
//! and the start of a scan find them.

use std::path::Path;

use kastrel_actors::model::{FaultKind, NodeFault};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::io::Errno;

/// The remedy for a scanner that cannot be run.
pub(crate) const INSTALL: &str = "install the scanner there, or set KAST_CLI_PATH and restart Kastrel";

/// The fault of an exhausted system resource; `None` for all other errors. `text` is the
/// description of the failed operation.
pub(crate) fn resource_fault(errno: Errno, text: &str) -> Option<NodeFault> {
    let (kind, remedy) = match errno {
        Errno::MFILE => (
            FaultKind::OpenFiles,
            "raise the limit of open files (ulimit -n, or LimitNOFILE= of the service) and restart Kastrel",
        ),
        Errno::NFILE => (FaultKind::OpenFiles, "raise the limit of open files of this machine (sysctl fs.file-max)"),
        Errno::NOMEM => (FaultKind::Memory, "free memory, or lower scans.concurrency"),
        Errno::AGAIN => (
            FaultKind::Memory,
            "raise the limit of processes (ulimit -u, or TasksMax= of the service), or lower scans.concurrency",
        ),
        _ => return None,
    };
    Some(NodeFault::new(kind, text, remedy))
}

/// The remedy for a folder that cannot be used.
pub(crate) fn folder_remedy(errno: Errno) -> &'static str {
    match errno {
        Errno::NOENT => "mount its disk, restore it from a backup, or create it again, empty",
        Errno::NOSPC | Errno::DQUOT => "free some space, or move it to a larger disk",
        Errno::ROFS => "mount it writable; the kernel's log says why it is not",
        Errno::ACCESS | Errno::PERM => "let Kastrel's user write there (chown, chmod)",
        _ => "check its disk and the kernel's log",
    }
}

/// Returns true if the folder is a mount point. Fails with `NOTDIR` if the path is not a directory.
pub(crate) fn is_mount_point(path: &Path) -> Result<bool, Errno> {
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::TYPE)?;
    if rustix::fs::FileType::from_raw_mode(found.stx_mode.into()) != rustix::fs::FileType::Directory {
        return Err(Errno::NOTDIR);
    }
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// The fault of a folder that was a mount point at the start and is not one now.
pub(crate) fn not_mounted(kind: FaultKind, name: &str, path: &Path) -> NodeFault {
    let text = format!("the {name} {} is not mounted", path.display());
    NodeFault::new(kind, text, "mount it; or restart Kastrel, to use the folder that is there now")
}
