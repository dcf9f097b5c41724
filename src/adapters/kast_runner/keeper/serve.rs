//! The process of a keeper: serves the requests of its node.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions};

use super::super::isolation::Cgroup;
use super::super::proc_table;
use super::confine;
use super::message::{self, Answer, Request};
use super::settings::KeeperSettings;

/// The command on the command line.
pub(super) const COMMAND: &str = "keeper";
/// The name of the process in process lists: at most 15 characters.
const NAME: &str = "kastrel-keeper";
/// The interval at which the keeper collects zombies that it adopted while the scanner runs.
const TIDY_EVERY: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Returns the arguments of a keeper if the command line starts one. Only a node starts keepers;
/// this is not a command for people.
#[must_use]
pub fn keeper_arguments(args: &[OsString]) -> Option<&[OsString]> {
    let [_, command, rest @ ..] = args else { return None };
    (command == COMMAND).then_some(rest)
}

/// Runs a keeper until its node is gone or closes the connection.
#[must_use]
pub fn keeper_main(args: &[OsString]) -> ExitCode {
    let settings = match args {
        [settings] => settings.to_str().and_then(|text| serde_json::from_str::<KeeperSettings>(text).ok()),
        _ => None,
    };
    let kept = match settings {
        Some(settings) => Service::begin(settings).and_then(Service::run),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is started by Kastrel itself, and is no command for people",
        )),
    };
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing may read the message; the exit code reports the failure too.
            let _ = writeln!(io::stderr(), "error: failed to run the keeper: {error}");
            ExitCode::from(2)
        }
    }
}

/// The current attempt.
struct Attempt {
    leader: Pid,
    folder: OwnedFd,
    tmp: PathBuf,
}

struct Service {
    settings: KeeperSettings,
    node: UnixStream,
    cgroup: Option<Cgroup>,
    attempt: Option<Attempt>,
}

impl Service {
    fn begin(settings: KeeperSettings) -> io::Result<Self> {
        let node = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        // A session of its own detaches the keeper from any terminal, and also marks it.
        let _is_leader_already = rustix::process::setsid();
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let cgroup = settings.cgroup.clone().map(|(path, keepers)| Cgroup::at(path, keepers));
        if let Some(cgroup) = &cgroup {
            cgroup.join()?;
        }
        confine::name_ourselves(NAME);
        confine::prepare(&settings);
        Ok(Self { settings, node, cgroup, attempt: None })
    }

    fn run(mut self) -> io::Result<()> {
        loop {
            let answered = self.wait().and_then(|()| self.serve());
            match answered {
                Ok(true) => {}
                ended => {
                    // The node is gone or violates the protocol. In both cases no process manages
                    // the attempt any more.
                    self.end();
                    return ended.map(drop);
                }
            }
        }
    }

    /// Waits for a request, and collects zombies meanwhile.
    fn wait(&self) -> io::Result<()> {
        loop {
            let timeout = self.attempt.is_some().then_some(&TIDY_EVERY);
            match rustix::event::poll(&mut [PollFd::new(&self.node, PollFlags::IN)], timeout) {
                Ok(0) => self.tidy(),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Serves one request. Returns false at the end of the connection.
    fn serve(&mut self) -> io::Result<bool> {
        let Some(mut received) = message::receive(&mut self.node)? else { return Ok(false) };
        let answer = match (received.request, &self.attempt) {
            (Request::Start, None) => {
                let start = received.start()?;
                let Ok([stdout, stderr, folder]) = <[OwnedFd; 3]>::try_from(std::mem::take(&mut received.descriptors))
                else {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "an order lacks descriptors"));
                };
                let spawned = confine::spawn(&self.settings, &start, stdout, stderr);
                match spawned {
                    Ok(child) => {
                        let leader = Pid::from_child(&child);
                        self.attempt = Some(Attempt { leader, folder, tmp: start.tmp });
                        Answer::Started(leader.as_raw_nonzero().get())
                    }
                    Err(error) => {
                        Answer::Failed(error.raw_os_error().unwrap_or_else(|| Errno::CANCELED.raw_os_error()))
                    }
                }
            }
            (Request::Exit, Some(attempt)) => exit(attempt.leader)?,
            (Request::Collect, Some(attempt)) => {
                let is_clear = collect_all();
                confine::give_back(&self.settings, &attempt.folder, &attempt.tmp);
                self.attempt = None;
                if is_clear { Answer::Idle } else { Answer::Left }
            }
            (Request::Start, Some(_)) => Answer::Failed(Errno::BUSY.raw_os_error()),
            (Request::Exit, None) => Answer::Runs,
            (Request::Collect, None) => Answer::Idle,
        };
        answer.send(&mut self.node)?;
        Ok(true)
    }

    /// Collects adopted zombies, but never the scanner: its id must not be reused before the node
    /// has finished with it.
    fn tidy(&self) {
        let Some(attempt) = &self.attempt else { return };
        for process in proc_table::descendants(rustix::process::getpid()) {
            if process.is_zombie
                && process.pid != attempt.leader
                && process.parent == rustix::process::getpid().as_raw_nonzero().get()
            {
                let _gone = rustix::process::waitpid(Some(process.pid), WaitOptions::NOHANG);
            }
        }
    }

    /// Kills all descendants of the keeper, and makes their files accessible again.
    fn end(&mut self) {
        let own = rustix::process::getpid();
        if let Some(cgroup) = &self.cgroup {
            // This moves the keeper out of the cgroup too, so that the cgroup can be removed. If it
            // fails, the loop below kills the processes one by one.
            let _refused = cgroup.kill(own);
        }
        loop {
            let descendants = proc_table::descendants(own);
            for process in descendants.iter().filter(|process| !process.is_zombie) {
                process.end();
            }
            // The keeper adopts each descendant when its parent dies, so this loop finally waits
            // for all of them.
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        if let Some(attempt) = self.attempt.take() {
            confine::give_back(&self.settings, &attempt.folder, &attempt.tmp);
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
    }
}

/// Returns how the scanner ended, without collecting it.
fn exit(leader: Pid) -> io::Result<Answer> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(match rustix::process::waitid(WaitId::Pid(leader), options)? {
        None => Answer::Runs,
        Some(status) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Answer::Code(code),
            (None, Some(signal)) => Answer::Signal(signal),
            (None, None) => Answer::Runs,
        },
    })
}

/// Collects all zombies. Returns true if no process is left.
fn collect_all() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeper_arguments_need_the_keeper_command() {
        let args = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(keeper_arguments(&args(&["kastrel", "keeper", "{}"])), Some(&args(&["{}"])[..]));
        assert_eq!(keeper_arguments(&args(&["kastrel", "scan", "keeper"])), None);
        assert_eq!(keeper_arguments(&args(&["kastrel"])), None);
    }
}
