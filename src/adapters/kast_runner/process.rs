//! Starts, signals and collects the leader of an attempt's process group. A [keeper](super::keeper)
//! starts the leader.
//!
//! The leader is collected (`wait`) only after all processes that it started are gone. While it is
//! a zombie, the kernel does not reuse its id or its group's id, so a signal to the group never
//! reaches a foreign process.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kastrel_actors::model::ExitKind;
use kastrel_actors::ports::{AliveGuard, StartError};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::hunt::{self, AttemptMarks};
use super::isolation::Cgroup;
use super::keeper::{Keeper, Keepers, Start, collect_orphan};
use super::proc_table::{self, Process};
use super::start_error;

/// The guard of an attempt's processes. If it is dropped before [`Leader::collect`], it kills all
/// of them.
#[derive(Debug)]
pub(super) struct Leader {
    pid: Pid,
    started: u64,
    marker: String,
    keeper: (i32, u64),
    cgroup: Option<Cgroup>,
    is_connected: bool,
    keepers: Keepers,
    /// `None` after the collection.
    held: Mutex<Option<Held>>,
}

/// The resources that are released when the leader is collected.
#[derive(Debug)]
struct Held {
    keeper: Keeper,
    /// Descendants that had left the group when a signal was sent. If their keeper is killed, only
    /// the marker shows their origin, and they may have dropped it.
    outsiders: Vec<Process>,
    #[expect(dead_code, reason = "held for its drop")]
    alive_guard: Option<AliveGuard>,
}

/// A leader that was just started, with the read ends of its pipes.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) leader: Leader,
    /// Becomes readable when the leader has ended.
    pub(super) exit: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Starts a program as the leader of a new process group below a keeper, without a standard input.
/// `folder` is the attempt's folder.
pub(super) fn spawn(
    keepers: &Keepers,
    start: &Start,
    marker: &str,
    folder: &OwnedFd,
    alive_guard: Option<AliveGuard>,
) -> Result<Spawned, StartError> {
    let program = &start.program;
    let of_program = |error: &io::Error| start_error::of_program(program, error);
    let no_keeper = |error: io::Error| start_error::of_keeper(&error);
    let (stdout, stdout_end) = io::pipe().map_err(|error| of_program(&error))?;
    let (stderr, stderr_end) = io::pipe().map_err(|error| of_program(&error))?;
    let (stdout_end, stderr_end) = (OwnedFd::from(stdout_end), OwnedFd::from(stderr_end));
    let mut keeper = keepers.take().map_err(no_keeper)?;
    let started = match keeper.start(start, &stdout_end, &stderr_end, folder) {
        Err(error) => {
            // The keeper was killed while it was idle.
            tracing::warn!(error = &error as &dyn std::error::Error, "a keeper did not answer; starting another one");
            keeper = keepers.fresh().map_err(no_keeper)?;
            keeper.start(start, &stdout_end, &stderr_end, folder).map_err(no_keeper)?
        }
        Ok(started) => started,
    };
    let pid = match started {
        Ok(pid) => pid,
        Err(error) => {
            keepers.give(keeper);
            return Err(of_program(&error));
        }
    };
    let started = Process::read(pid.as_raw_nonzero().get()).map_or(0, |process| process.started);
    let (identity, cgroup) = (keeper.identity(), keeper.cgroup().cloned());
    let held = Mutex::new(Some(Held { keeper, outsiders: Vec::new(), alive_guard }));
    let leader = Leader {
        pid,
        started,
        marker: marker.to_owned(),
        keeper: identity,
        cgroup,
        is_connected: start.network.is_some(),
        keepers: keepers.clone(),
        held,
    };
    // From here on, every error drops the leader, which kills it.
    let exit = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).map_err(|error| of_program(&error.into()))?;
    Ok(Spawned { leader, exit, stdout: stdout.into(), stderr: stderr.into() })
}

/// Registers the `exit` of a [`Spawned`] with the runtime. Must be called within a tokio runtime.
#[expect(
    deprecated,
    reason = "its replacement is unsafe for the sake of types that may change their descriptor, which an owned one does not"
)]
pub(super) fn watch_exit(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(handle, Interest::READABLE)
}

impl Held {
    fn remember_outsiders(&mut self, leader: Pid) {
        for process in proc_table::descendants(self.keeper.pid()) {
            if process.group != leader.as_raw_nonzero().get() && !self.outsiders.contains(&process) {
                self.outsiders.push(process);
            }
        }
    }
}

impl Leader {
    /// The process id, which is also the id of the process group.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// The properties that identify the attempt's processes.
    pub(super) fn marks(&self) -> AttemptMarks {
        AttemptMarks {
            group: self.pid,
            since: self.started,
            marker: self.marker.clone(),
            keeper: self.keeper,
            cgroup: self.cgroup.clone(),
            outsiders: self.outsiders(),
            is_connected: self.is_connected,
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if the id still belongs to the leader, alive or dead. A killed keeper no longer
    /// reserves the id.
    fn is_there(&self) -> bool {
        Process::read(self.pid.as_raw_nonzero().get()).is_some_and(|now| now.started == self.started)
    }

    fn signal(&self, signal: Signal) {
        if self.is_there() {
            let _gone_already = rustix::process::kill_process_group(self.pid, signal);
        }
    }

    /// Signals the process group. Does nothing after the collection.
    pub(super) fn signal_group(&self, signal: Signal) {
        let mut held = self.held();
        let Some(held) = held.as_mut() else { return };
        held.remember_outsiders(self.pid);
        self.signal(signal);
    }

    /// The descendants outside the group that were seen so far, by id and start time.
    fn outsiders(&self) -> HashSet<(i32, u64)> {
        self.held().iter().flat_map(|held| held.outsiders.iter().map(Process::identity)).collect()
    }

    /// Kills all processes of the attempt at once.
    pub(super) fn kill(&self) {
        let mut held = self.held();
        let Some(held) = held.as_mut() else { return };
        if let Some(cgroup) = &self.cgroup
            && let Err(error) = cgroup.kill(held.keeper.pid())
        {
            tracing::debug!(error = &error as &dyn std::error::Error, "a cgroup could not be killed as a whole");
        }
        held.remember_outsiders(self.pid);
        self.signal(Signal::KILL);
        held.outsiders.iter().for_each(Process::end);
    }

    /// Collects the ended leader. After this, its id may belong to another process, and no signal
    /// is sent any more. Blocks until the keeper responds, which is soon.
    pub(super) fn collect(&self) -> ExitKind {
        let Some(Held { mut keeper, .. }) = self.held().take() else { return ExitKind::Unknown };
        let Ok(exit) = keeper.exit() else { return collect_orphan(self.pid) };
        let is_whole = self.cgroup.as_ref().is_none_or(|cgroup| cgroup.processes() == [self.keeper.0]);
        // A keeper with remaining processes, or one outside of its cgroup, is dropped. It kills
        // what it has left and ends.
        if keeper.collect().unwrap_or(false) && is_whole {
            self.keepers.give(keeper);
        }
        exit
    }
}

impl Drop for Leader {
    /// The last resort, for when the attempt's task is gone: kills the processes, and collects the
    /// leader on a thread.
    fn drop(&mut self) {
        self.kill();
        let marks = self.marks();
        let Some(held) = self.held().take() else { return };
        let bury = move || {
            hunt::clear_blocking(marks);
            drop(held);
        };
        // If no thread can be started, the group is killed anyway, and the keeper handles the rest.
        let _thread = std::thread::Builder::new().name("kast-burial".into()).spawn(bury);
    }
}
