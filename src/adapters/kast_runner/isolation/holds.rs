//! Checks which parts of the isolation work on this machine, at the start and for `kastrel doctor`.
//! Changes nothing.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::mount::MountPropagationFlags;
use rustix::thread::{CapabilitySet, UnshareFlags};

use super::{Isolation, RunAs, cgroup, tmp};

/// The support for cgroups on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CgroupState {
    /// Each attempt has its own cgroup, with these limits.
    Limits(String),
    /// Each attempt has its own cgroup, which is killed as a unit. Limits are set per process.
    KillOnly,
    /// There are no cgroups; with the reason.
    Missing(String),
}

/// The parts of an attempt's isolation that work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holds {
    /// The support for cgroups.
    pub cgroup: CgroupState,
    /// True if an attempt has its own `/tmp`.
    pub private_tmp: bool,
    /// True if Kastrel runs as root. Then scanners without a user of their own do so too.
    pub is_root: bool,
    /// The support for the egress limit; `None` if no limit is configured.
    pub egress: Option<Result<(), String>>,
    /// The user of the scanners, if it is not Kastrel's; or the reason why it cannot be used.
    pub user: Result<Option<String>, String>,
}

/// Checks the machine. `needed` are the paths that a scanner needs.
#[must_use]
pub fn holds<'a>(isolation: &Isolation, needed: impl IntoIterator<Item = &'a Path>) -> Holds {
    let cgroup = match cgroup::own().and_then(|base| cgroup::look(&base)) {
        Err(error) => CgroupState::Missing(error.to_string()),
        Ok(controllers) if controllers.list().is_empty() => CgroupState::KillOnly,
        Ok(controllers) => CgroupState::Limits(controllers.list()),
    };
    let user = match &isolation.run_as {
        None => Ok(None),
        Some(user) => can_run_as(user).map(|()| Some(user.name.clone())),
    };
    // Without a usable user, the trial run is impossible.
    let egress = if user.is_ok() { super::super::egress::holds(isolation) } else { None };
    let private_tmp = isolation.private_tmp && may_mount() && tmp::may_be_private(needed);
    Holds { cgroup, private_tmp, is_root: rustix::process::geteuid().is_root(), egress, user }
}

/// Checks that this process may start, signal and read processes of that user.
///
/// # Errors
/// The missing rights, and the remedy.
pub(in super::super) fn can_run_as(user: &RunAs) -> Result<(), String> {
    let needed = [
        (CapabilitySet::SETUID, "CAP_SETUID"),
        (CapabilitySet::SETGID, "CAP_SETGID"),
        (CapabilitySet::KILL, "CAP_KILL"),
    ];
    let own = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let lacking: Vec<&str> =
        needed.iter().filter(|(capability, _)| !own.contains(*capability)).map(|(_, name)| *name).collect();
    if !lacking.is_empty() {
        return Err(format!(
            "scans.run_as = {}: Kastrel may not start scanners as another user: it lacks {}; see docs/operations.md",
            user.name,
            lacking.join(", ")
        ));
    }
    let is_member =
        rustix::process::getgroups().is_ok_and(|groups| groups.iter().any(|group| group.as_raw() == user.gid));
    if !rustix::process::geteuid().is_root() && !is_member && rustix::process::getegid().as_raw() != user.gid {
        return Err(format!(
            "scans.run_as = {0}: Kastrel could not read what its scanners write: add Kastrel's user to the first group of {0}",
            user.name
        ));
    }
    Ok(())
}

/// The error for a folder that cannot be made accessible to the scanner's user.
pub(in super::super) fn not_open(folder: &Path, user: &RunAs, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(
        error.kind(),
        format!("scans.run_as = {}: cannot let that user pass through {}: {error}", user.name, folder.display()),
    )
}

/// Returns true if an attempt can have its own mounts. The trial runs on a separate thread, with
/// which the mounts end.
#[expect(deprecated, reason = "its replacement is unsafe for the sake of descriptors, which stay shared")]
pub(in super::super) fn may_mount() -> bool {
    let attempt = || {
        rustix::thread::unshare(UnshareFlags::NEWNS | UnshareFlags::FS)?;
        rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
    };
    std::thread::Builder::new()
        .name("kast-mounts".into())
        .spawn(attempt)
        .is_ok_and(|thread| thread.join().is_ok_and(|tried| tried.is_ok()))
}

/// The current number of processes and threads of the scanners' user, because the limit counts all
/// of them. Returns `None` if the limit does not apply to the user.
pub(in super::super) fn tasks_of(user: Option<&RunAs>) -> Option<u64> {
    let own = rustix::process::geteuid();
    let uid = user.map_or(own.as_raw(), |user| user.uid);
    if uid == 0 {
        return None;
    }
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_user = processes.filter(|entry| {
        entry.metadata().is_ok_and(|metadata| metadata.uid() == uid)
            && entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)
    });
    Some(
        of_user.map(|entry| std::fs::read_dir(entry.path().join("task")).map_or(0, |tasks| tasks.count() as u64)).sum(),
    )
}
