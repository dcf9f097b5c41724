//! Starts a scanner with fewer rights than the keeper has.
//!
//! A separate thread drops the rights and starts the scanner. On Linux, the user, the privileges
//! and the mounts are properties of a thread, and a process that a thread starts inherits them from
//! its first instruction. The restricted thread then ends.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::{Gid, Mode, Uid};
use rustix::mount::MountPropagationFlags;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use super::super::egress::{COMMAND as NETWORK_COMMAND, RUN as NETWORK_RUN};
use super::super::isolation::{RlimitRule, hand_back, remove_below, share};
use super::super::own_program::OURSELVES;
use super::message::Start;
use super::settings::KeeperSettings;

/// The OOM score of a scanner: half of the scale, so the kernel kills it sooner than others when
/// memory runs out.
const OOM_SCORE: &str = "500";
const OOM_FILE: &str = "/proc/self/oom_score_adj";

/// Sets the limits of the keeper itself, once. Its scanners inherit them.
pub(super) fn prepare(settings: &KeeperSettings) {
    for rule in &settings.rlimits {
        let (resource, most) = match *rule {
            RlimitRule::NoCore => (Resource::Core, 0),
            RlimitRule::Memory(bytes) => (Resource::Data, bytes),
            RlimitRule::Processes(count) => (Resource::Nproc, count),
            RlimitRule::CpuSeconds(seconds) => (Resource::Cpu, seconds),
        };
        // A lower existing limit stays.
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |now| now.min(most));
        let _refused = rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    }
    if settings.user.is_some() {
        // The scanner's files are accessible to its group, through which Kastrel reads them.
        rustix::process::umask(Mode::RWXO);
    }
}

/// Starts the scanner as the leader of its own process group.
pub(super) fn spawn(settings: &KeeperSettings, start: &Start, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Child> {
    let before = std::fs::read_to_string(OOM_FILE).unwrap_or_default();
    // If the score cannot be set, the kernel selects a process by its own rules.
    let _refused = std::fs::write(OOM_FILE, OOM_SCORE);
    let child = confined(settings, Some(&start.tmp), || {
        let mut command = match &start.network {
            None => Command::new(&start.program),
            Some(_) => {
                let mut entering = Command::new(OURSELVES);
                entering.args([NETWORK_COMMAND, NETWORK_RUN]).arg(&start.program);
                entering
            }
        };
        command.args(&start.args).env_clear().envs(start.environment.iter().map(|(name, value)| (name, value)));
        let stdin = if start.network.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0).spawn()?;
        if let (Some(network), Some(mut stdin)) = (&start.network, child.stdin.take()) {
            // If the scanner's process cannot read the complete description, it does not start the
            // scanner and reports an error.
            let _ended = stdin.write_all(network.as_bytes());
        }
        Ok(child)
    });
    if settings.user.is_some() {
        stay_readable();
    }
    // Resets the keeper's score, because the keeper must not die before its scanner.
    let _refused = std::fs::write(OOM_FILE, before.trim());
    child?
}

/// Makes the scanner's files accessible again, with no more rights than the scanner had, and closes
/// its folder to other users.
pub(super) fn give_back(settings: &KeeperSettings, folder: &OwnedFd, tmp: &Path) {
    if settings.user.is_some() {
        let _ended = confined(settings, None, || {
            hand_back(folder);
            remove_below(tmp);
        });
        // The keeper does this too, because the node may be gone. A later scanner with the same
        // user must not get access to the folder.
        let _gone = share(folder, None);
    }
}

/// Runs `work` on a thread with the scanner's rights.
fn confined<T: Send>(settings: &KeeperSettings, tmp: Option<&Path>, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let confined = move || -> io::Result<T> {
            if let Some(tmp) = tmp.filter(|_| settings.private_tmp) {
                hide_tmp(tmp)?;
            }
            restrict(settings)?;
            Ok(work())
        };
        let thread = std::thread::Builder::new().name("kast-scanner".into()).spawn_scoped(scope, confined)?;
        thread.join().map_err(|_| io::Error::other("the start of the scanner broke off"))?
    })
}

/// Mounts the attempt's folder for temporary files over `/tmp`, for this thread and the processes
/// that it starts.
#[expect(
    deprecated,
    reason = "its replacement is unsafe for the sake of descriptors, which this thread shares with the others all the same"
)]
fn hide_tmp(tmp: &Path) -> io::Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWNS | UnshareFlags::FS)?;
    // Later mounts of the machine become visible here, but not the reverse.
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    Ok(rustix::mount::mount_bind(tmp, "/tmp")?)
}

/// Removes the rights that a scanner must not have from this thread.
fn restrict(settings: &KeeperSettings) -> io::Result<()> {
    if let Some((uid, gid, groups)) = &settings.user {
        let groups: Vec<Gid> = std::iter::once(gid).chain(groups).map(|group| Gid::from_raw(*group)).collect();
        let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
        rustix::thread::set_thread_groups(&groups)?;
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    }
    if !rustix::process::geteuid().is_root() {
        let none = CapabilitySet::empty();
        rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    }
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Keeps this process readable for itself, its node and its watchdog. A change of the user would
/// make it readable only for root.
fn stay_readable() {
    let _refused = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable);
}

/// Sets the name of this process in process lists.
pub(super) fn name_ourselves(name: &str) {
    use std::io::Write;
    let _refused =
        File::options().write(true).open("/proc/self/comm").and_then(|mut file| file.write_all(name.as_bytes()));
}
