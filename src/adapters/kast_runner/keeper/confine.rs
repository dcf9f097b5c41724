//! Starts a scanner that may do less than we may.
//!
//! All of it is set on a thread that does nothing else: user, privileges and mounts are a thread's
//! own in Linux, and what a thread starts has them from its first instruction. The thread ends with
//! them.

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

use super::super::isolation::{self, RlimitRule};
use super::super::{OURSELVES, egress};
use super::message::Start;
use super::settings::KeeperSettings;

/// How much sooner than others a scanner is ended when memory runs out: half of the scale.
const OOM_SCORE: &str = "500";
const OOM_FILE: &str = "/proc/self/oom_score_adj";

/// What is set for the keeper itself, once; its scanners have it from it.
pub(super) fn prepare(settings: &KeeperSettings) {
    for rule in &settings.rlimits {
        let (resource, most) = match *rule {
            RlimitRule::NoCore => (Resource::Core, 0),
            RlimitRule::Memory(bytes) => (Resource::Data, bytes),
            RlimitRule::Processes(count) => (Resource::Nproc, count),
            RlimitRule::CpuSeconds(seconds) => (Resource::Cpu, seconds),
        };
        // A limit that is lower already stays.
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |now| now.min(most));
        let _refused = rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    }
    if settings.user.is_some() {
        // What the scanner makes is its group's as well, which is how we read it.
        rustix::process::umask(Mode::RWXO);
    }
}

/// Starts the scanner as the leader of a process group of its own.
pub(super) fn spawn(settings: &KeeperSettings, start: &Start, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Child> {
    let before = std::fs::read_to_string(OOM_FILE).unwrap_or_default();
    // Where it may not be set, the machine ends whom it likes.
    let _refused = std::fs::write(OOM_FILE, OOM_SCORE);
    let child = confined(settings, Some(&start.tmp), || {
        let mut command = match &start.network {
            None => Command::new(&start.program),
            Some(_) => {
                let mut entering = Command::new(OURSELVES);
                entering.args([egress::COMMAND, egress::RUN]).arg(&start.program);
                entering
            }
        };
        command.args(&start.args).env_clear().envs(start.environment.iter().map(|(name, value)| (name, value)));
        let stdin = if start.network.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).process_group(0).spawn()?;
        if let (Some(network), Some(mut stdin)) = (&start.network, child.stdin.take()) {
            // Where it cannot be read as a whole the scanner does not start, and says so.
            let _ended = stdin.write_all(network.as_bytes());
        }
        Ok(child)
    });
    if settings.user.is_some() {
        stay_readable();
    }
    // The keeper must not die before its scanner.
    let _refused = std::fs::write(OOM_FILE, before.trim());
    child?
}

/// Gives what the scanner made back, with no more rights than it had, and closes its folder.
pub(super) fn give_back(settings: &KeeperSettings, folder: &OwnedFd, tmp: &Path) {
    if settings.user.is_some() {
        let _ended = confined(settings, None, || {
            isolation::hand_back(folder);
            isolation::remove_below(tmp);
        });
        // Here and not by the node alone, which may be gone: a later scanner of the same user must
        // not get at it.
        let _gone = isolation::share(folder, None);
    }
}

/// Runs `work` on a thread of the scanner's rights.
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

/// Puts the attempt's folder for temporary files in the place of `/tmp`, for this thread and what
/// it starts.
#[expect(
    deprecated,
    reason = "its replacement is unsafe for the sake of descriptors, which this thread shares with the others all the same"
)]
fn hide_tmp(tmp: &Path) -> io::Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWNS | UnshareFlags::FS)?;
    // What is mounted on the machine later shows up here as well, and not the other way round.
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    Ok(rustix::mount::mount_bind(tmp, "/tmp")?)
}

/// Takes from this thread what a scanner must not have.
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

/// Keeps this process readable for itself, its node and its watchdog: a change of user closes it to
/// all but root.
fn stay_readable() {
    let _refused = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable);
}

/// A name for lists of processes.
pub(super) fn name_ourselves(name: &str) {
    use std::io::Write;
    let _refused =
        File::options().write(true).open("/proc/self/comm").and_then(|mut file| file.write_all(name.as_bytes()));
}
