//! The node's side of the keepers: starts them, keeps one ready for the next attempt, and reuses
//! those that are clean.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kastrel_actors::model::ExitKind;
use rustix::process::{Pid, WaitOptions};

use super::super::environment::KEEPER_VARIABLE;
use super::super::isolation::{Cgroup, Cgroups};
use super::super::proc_table::Process;
use super::super::run::Run;
use super::message::{self, Answer, Request, Start};
use super::serve::COMMAND;
use super::settings::KeeperSettings;
use crate::descriptors::SpawnAsBefore as _;

/// The timeout of a keeper's response. It is long, because the access rights of many files may have
/// to change.
const PATIENCE: Duration = Duration::from_secs(30);
/// The maximum number of idle keepers.
const MOST_IDLE: usize = 16;

/// The keepers of a runner. Clones share them.
#[derive(Debug, Clone)]
pub(in super::super) struct Keepers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    program: PathBuf,
    settings: KeeperSettings,
    /// The value of the environment variable that marks the keepers.
    mark: String,
    run: String,
    cgroups: Option<Cgroups>,
    next: AtomicU64,
    idle: Mutex<Vec<Keeper>>,
    /// True while a thread starts a keeper for later.
    starting: AtomicBool,
}

impl Keepers {
    /// Creates a pool of keepers that run `program`, and starts the first one in the background.
    pub(in super::super) fn start(
        program: PathBuf,
        settings: KeeperSettings,
        run: &Run,
        cgroups: Option<Cgroups>,
    ) -> Self {
        let mark = run.keeper_mark();
        let shared = Shared {
            program,
            settings,
            mark,
            run: run.id.clone(),
            cgroups,
            next: AtomicU64::new(1),
            idle: Mutex::default(),
            starting: AtomicBool::new(false),
        };
        let keepers = Self(Arc::new(shared));
        keepers.prepare_another();
        keepers
    }

    /// Returns a keeper for one attempt: an idle one, or a new one.
    pub(in super::super) fn take(&self) -> io::Result<Keeper> {
        let (ready, left) = {
            let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
            (idle.pop(), idle.len())
        };
        if left == 0 {
            self.prepare_another();
        }
        ready.map_or_else(|| self.0.spawn(), Ok)
    }

    /// Returns a new keeper, on which no process can be left.
    pub(in super::super) fn fresh(&self) -> io::Result<Keeper> {
        self.0.spawn()
    }

    /// Returns a keeper to the pool. Its attempt must have left no processes.
    pub(in super::super) fn give(&self, keeper: Keeper) {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(keeper);
        }
    }

    /// Starts a keeper on a thread, so that no attempt waits for it. If no thread can be started,
    /// the next attempt starts its own keeper.
    fn prepare_another(&self) {
        if self.0.starting.swap(true, Ordering::AcqRel) {
            return;
        }
        let keepers = self.clone();
        let prepare = move || {
            match keepers.0.spawn() {
                Ok(keeper) => keepers.give(keeper),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "no keeper could be started in advance");
                }
            }
            keepers.0.starting.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name("kast-keepers".into()).spawn(prepare).is_err() {
            self.0.starting.store(false, Ordering::Release);
        }
    }
}

impl Shared {
    fn spawn(&self) -> io::Result<Keeper> {
        let name = || format!("{}-{}", self.run, self.next.fetch_add(1, Ordering::Relaxed));
        let cgroup = self.cgroups.as_ref().and_then(|cgroups| match cgroups.create(&name()) {
            Ok(cgroup) => Some(cgroup),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an attempt gets no cgroup of its own");
                None
            }
        });
        let spawned = self.spawn_in(cgroup.as_ref());
        match spawned {
            Ok((child, socket)) => {
                let pid = Pid::from_child(&child);
                let started = Process::read(pid.as_raw_nonzero().get()).map_or(0, |process| process.started);
                Ok(Keeper { child: Some(child), socket, cgroup, pid, started })
            }
            Err(error) => {
                cgroup.iter().for_each(Cgroup::remove);
                Err(error)
            }
        }
    }

    fn spawn_in(&self, cgroup: Option<&Cgroup>) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        ours.set_write_timeout(Some(PATIENCE))?;
        let paths = cgroup.map(|cgroup| (cgroup.paths().0.to_owned(), cgroup.paths().1.to_owned()));
        let settings = serde_json::to_string(&KeeperSettings { cgroup: paths, ..self.settings.clone() })?;
        let mut command = Command::new(&self.program);
        command.args([COMMAND, &settings]).env_clear().env(KEEPER_VARIABLE, &self.mark);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        // The scanner inherits its limits from the keeper.
        let child = command.spawn_as_before()?;
        Ok((child, ours))
    }
}

/// A keeper's process. When it is dropped, the keeper kills the remaining processes of its attempt
/// and ends.
#[derive(Debug)]
pub(in super::super) struct Keeper {
    /// `None` after the drop.
    child: Option<Child>,
    socket: UnixStream,
    cgroup: Option<Cgroup>,
    pid: Pid,
    started: u64,
}

impl Keeper {
    pub(in super::super) const fn pid(&self) -> Pid {
        self.pid
    }

    /// The pair of id and start time, which is unique.
    pub(in super::super) const fn identity(&self) -> (i32, u64) {
        (self.pid.as_raw_nonzero().get(), self.started)
    }

    pub(in super::super) const fn cgroup(&self) -> Option<&Cgroup> {
        self.cgroup.as_ref()
    }

    /// Starts the scanner. `Ok(Err(…))`: the scanner could not be started. `Err(…)`: the keeper did
    /// not respond.
    pub(in super::super) fn start(
        &mut self,
        start: &Start,
        stdout: &OwnedFd,
        stderr: &OwnedFd,
        folder: &OwnedFd,
    ) -> io::Result<io::Result<Pid>> {
        message::send_start(&mut self.socket, start, &[stdout.as_fd(), stderr.as_fd(), folder.as_fd()])?;
        Ok(match Answer::read(&mut self.socket)? {
            Answer::Started(pid) => Ok(Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?),
            Answer::Failed(errno) => Err(io::Error::from_raw_os_error(errno)),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        })
    }

    /// Returns how the scanner ended.
    pub(in super::super) fn exit(&mut self) -> io::Result<ExitKind> {
        message::ask(&mut self.socket, Request::Exit)?;
        Ok(match Answer::read(&mut self.socket)? {
            Answer::Code(code) => ExitKind::Code(code),
            Answer::Signal(signal) => ExitKind::Signal(signal),
            _ => ExitKind::Unknown,
        })
    }

    /// Collects the scanner. Returns true if no process is left.
    pub(in super::super) fn collect(&mut self) -> io::Result<bool> {
        message::ask(&mut self.socket, Request::Collect)?;
        Ok(Answer::read(&mut self.socket)? == Answer::Idle)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _gone = self.socket.shutdown(std::net::Shutdown::Both);
        let (Some(mut child), cgroup) = (self.child.take(), self.cgroup.take()) else { return };
        let bury = move || {
            let _status = child.wait();
            if let Some(cgroup) = cgroup {
                cgroup.remove();
            }
        };
        // If no thread can be started, the keeper ends anyway, and stays a zombie until this
        // process ends.
        let _thread = std::thread::Builder::new().name("kast-burial".into()).spawn(bury);
    }
}

/// Collects a process that this process adopted because its keeper was killed. Returns how it
/// ended.
pub(in super::super) fn collect_orphan(pid: Pid) -> ExitKind {
    match rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
        Ok(Some((_, status))) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => ExitKind::Code(code),
            (None, Some(signal)) => ExitKind::Signal(signal),
            (None, None) => ExitKind::Unknown,
        },
        Ok(None) | Err(_) => ExitKind::Unknown,
    }
}
