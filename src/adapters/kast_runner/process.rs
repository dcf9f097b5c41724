//! The leader of an attempt's process group: started, signalled, watched and collected in one place.
//!
//! The leader is not collected (`wait`) before everything it started is gone: as long as it is a zombie the system gives neither its id nor its group's
//! to anybody else, so that a signal to the group can never reach a stranger.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kastrel_actors::model::{Failure, FailureKind};
use kastrel_actors::ports::{ExitKind, Presence, StartError};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::proc_table::{self, Process};
use super::{reaper, start_error};
use crate::descriptors::SpawnAsBefore as _;

/// The guard of an attempt's processes. Dropped before [`Leader::collect`], it kills them all.
#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    started: u64,
    marker: String,
    /// Present until collected.
    child: Mutex<Option<Held>>,
}

/// What is given up when the leader is collected.
#[derive(Debug)]
struct Held {
    child: Child,
    /// Descendants that had left the group when a signal was sent: once their parents are dead, nothing but the marker tells where they came from,
    /// and they may have dropped it.
    outsiders: Vec<Process>,
    #[expect(dead_code, reason = "held for its drop")]
    presence: Option<Presence>,
}

/// A leader that was just started, with the ends of its pipes.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) leader: Leader,
    /// Readable when the leader has ended.
    pub(super) exit: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Starts `program` as the leader of a new process group, without a standard input.
///
/// The program's path must be absolute, or hold a slash: then the standard library can use `posix_spawn`, which costs the same however large we are.
pub(super) fn spawn(
    program: &Path,
    args: &[OsString],
    environment: &[(OsString, OsString)],
    marker: &str,
    presence: Option<Presence>,
) -> Result<Spawned, StartError> {
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn_as_before().map_err(|error| start_error::of_program(program, &error))?;
    let pipes = (child.stdout.take(), child.stderr.take());
    let pid = Pid::from_child(&child);
    let started = Process::read(pid.as_raw_nonzero().get()).map_or(0, |process| process.started);
    let leader = Leader { pid, started, marker: marker.to_owned(), child: Mutex::new(Some(Held { child, outsiders: Vec::new(), presence })) };
    // From here on every error drops the leader, which kills it.
    let (Some(stdout), Some(stderr)) = pipes else {
        return Err(StartError::Failed(Failure::new(FailureKind::SpawnFailed, "the scanner has no output pipes")));
    };
    let exit = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(|error| start_error::of_program(program, &error.into()))?;
    Ok(Spawned { leader, exit, stdout: stdout.into(), stderr: stderr.into() })
}

impl Held {
    fn remember_outsiders(&mut self, leader: Pid) {
        for process in proc_table::descendants(leader) {
            if process.group != leader.as_raw_nonzero().get() && !self.outsiders.contains(&process) {
                self.outsiders.push(process);
            }
        }
    }
}

impl Leader {
    /// Its process id, which is also its group's.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// When it was started, in the kernel's ticks: nothing that it started is older.
    pub(super) fn started(&self) -> u64 {
        self.started
    }

    /// The marker of its attempt.
    pub(super) fn marker(&self) -> &str {
        &self.marker
    }

    fn child(&self) -> MutexGuard<'_, Option<Held>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signals the whole group; after the collection, nobody.
    pub(super) fn signal_group(&self, signal: Signal) {
        let mut held = self.child();
        let Some(held) = held.as_mut() else { return };
        held.remember_outsiders(self.pid);
        let _gone_already = rustix::process::kill_process_group(self.pid, signal);
    }

    /// The descendants outside the group that were seen so far, by id and start time.
    pub(super) fn outsiders(&self) -> HashSet<(i32, u64)> {
        self.child().iter().flat_map(|held| held.outsiders.iter().map(Process::identity)).collect()
    }

    /// Kills the group at once, and those who left it but still descend from the leader.
    pub(super) fn kill(&self) {
        let mut held = self.child();
        let Some(held) = held.as_mut() else { return };
        held.remember_outsiders(self.pid);
        let _gone_already = rustix::process::kill_process_group(self.pid, Signal::KILL);
        held.outsiders.iter().for_each(Process::kill);
    }

    /// Collects the ended leader. From here on its id may name another process, and nothing is signalled any more.
    pub(super) fn collect(&self) -> ExitKind {
        let Some(mut held) = self.child().take() else { return ExitKind::Unknown };
        held.child.try_wait().ok().flatten().map_or(ExitKind::Unknown, exit_kind)
    }
}

impl Drop for Leader {
    /// Only the last resort, for when the attempt's task is gone: kills, and leaves the collecting to a thread.
    fn drop(&mut self) {
        self.kill();
        let outsiders = self.outsiders();
        let Some(mut held) = self.child().take() else { return };
        let (pid, started, marker) = (self.pid, self.started, std::mem::take(&mut self.marker));
        let bury = move || {
            reaper::clear_blocking(pid, started, &marker, outsiders);
            let _status = held.child.wait();
            drop(held);
        };
        // Where no thread can be had, the group is killed all the same and the zombie stays until we end.
        let _thread = std::thread::Builder::new().name("kast-burial".into()).spawn(bury);
    }
}

fn exit_kind(status: ExitStatus) -> ExitKind {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitKind::Code(code),
        (None, Some(signal)) => ExitKind::Signal(signal),
        (None, None) => ExitKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_read() {
        assert_eq!(exit_kind(ExitStatus::from_raw(0)), ExitKind::Code(0));
        assert_eq!(exit_kind(ExitStatus::from_raw(2 << 8)), ExitKind::Code(2));
        assert_eq!(exit_kind(ExitStatus::from_raw(9)), ExitKind::Signal(9));
    }
}
