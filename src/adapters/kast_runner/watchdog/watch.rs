//! The watchdog's own process.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::super::proc_table::{self, Process};
use super::super::run::Run;
use super::super::sweep::{CLEAN_PASSES, Hunt};
use super::super::{container, environment};
use super::boottime;
use super::order::{NodeView, Order, Passes, WatchdogAction, action, pause};

/// The word on the command line.
pub(super) const COMMAND: &str = "watchdog";
/// What the process is called in lists of processes: at most 15 characters.
const NAME: &str = "kastrel-watchdog";
/// The longest nap: timers stand still while the machine sleeps, and the clock does not.
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// The most of a line that is kept.
const LONGEST_LINE: usize = 256;

/// The arguments of the watchdog, if the command line asks for it. Only a node starts one; it is no
/// command for people.
#[must_use]
pub fn watchdog_arguments(args: &[OsString]) -> Option<&[OsString]> {
    let [_, command, rest @ ..] = args else { return None };
    (command == COMMAND).then_some(rest)
}

/// Runs the watchdog until its node is gone.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    let watched = match args {
        [data_dir_id, run] => {
            let run =
                Run { data_dir_id: data_dir_id.to_string_lossy().into_owned(), id: run.to_string_lossy().into_owned() };
            // One thread is enough, and all that it costs.
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .and_then(|runtime| runtime.block_on(watch(run)))
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is started by Kastrel itself, and is no command for people",
        )),
    };
    match watched {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be there to read it; the exit code says it as well.
            let _ = writeln!(io::stderr(), "error: failed to run the watchdog: {error}");
            ExitCode::from(2)
        }
    }
}

async fn watch(run: Run) -> io::Result<()> {
    let _ignored = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    // A name is for people; without one all works the same.
    let _ = std::fs::write("/proc/self/comm", NAME);
    let mut node = Node::at(pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?);
    let mut hunt = Hunt::default();
    let mut passes = Passes::default();
    let mut containers: Option<JoinHandle<()>> = None;
    loop {
        node.read();
        match action(node.view, passes.clean, boottime()) {
            WatchdogAction::Wait => {
                (hunt, passes) = rest(&mut containers);
                node.news().await;
            }
            WatchdogAction::WaitUntil(when) => {
                (hunt, passes) = rest(&mut containers);
                tokio::select! {
                    () = node.news() => {}
                    () = reached(when) => {}
                }
            }
            WatchdogAction::Kill => {
                let found = hunt.find(&proc_table::all(), |marker| run.owns(marker));
                // What has started since the node spoke again is not among the found, if it has
                // spoken before this.
                node.read();
                if action(node.view, passes.clean, boottime()) != WatchdogAction::Kill {
                    continue;
                }
                found.iter().for_each(super::super::process::end);
                passes.count(found.iter().map(Process::identity).collect());
                if passes.clean >= CLEAN_PASSES && containers.is_none() {
                    containers = Some(tokio::spawn(remove_containers(run.clone())));
                }
                tokio::select! {
                    () = node.news() => {}
                    () = tokio::time::sleep(pause(node.view, &passes)) => {}
                }
            }
            WatchdogAction::Leave => break,
        }
    }
    if let Some(containers) = containers {
        // A panic in there would change nothing about the end.
        let _ = containers.await;
    }
    Ok(())
}

/// Nothing is to be killed: the next search starts afresh, and containers belong to a node that
/// cares for them itself.
fn rest(containers: &mut Option<JoinHandle<()>>) -> (Hunt, Passes) {
    if let Some(removal) = containers.take() {
        removal.abort();
    }
    (Hunt::default(), Passes::default())
}

async fn remove_containers(run: Run) {
    let own: Vec<(OsString, OsString)> = environment::base(std::env::vars_os(), &[], &[]);
    container::remove_leftovers(&run.data_dir_id, |name| run.owns_container(name), &own).await;
}

async fn reached(when: Duration) {
    while let Some(left) = when.checked_sub(boottime()).filter(|left| !left.is_zero()) {
        tokio::time::sleep(left.min(LONGEST_NAP)).await;
    }
}

/// The node, as the pipe shows it.
struct Node {
    pipe: pipe::Receiver,
    line: Vec<u8>,
    view: NodeView,
}

impl Node {
    fn at(pipe: pipe::Receiver) -> Self {
        Self { pipe, line: Vec::new(), view: NodeView { order: Order::Disarmed, gone: None } }
    }

    /// Waits until there is something to read.
    async fn news(&self) {
        if self.view.gone.is_some() || self.pipe.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Reads all that the node has said, and whether it is there.
    fn read(&mut self) {
        let mut bytes = [0; 1024];
        while self.view.gone.is_none() {
            match self.receive(&mut bytes) {
                Ok(0) => self.view.gone = Some(boottime()),
                Ok(read) => bytes[..read].iter().for_each(|byte| self.take(*byte)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A pipe that cannot be read says no more of the node than one that has ended.
                Err(_) => self.view.gone = Some(boottime()),
            }
        }
    }

    /// What is in the pipe at this very moment: the runtime knows only what was there when it last
    /// looked.
    fn receive(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.pipe.try_read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(rustix::io::read(&self.pipe, bytes)?),
            read => read,
        }
    }

    fn take(&mut self, byte: u8) {
        if byte != b'\n' {
            if self.line.len() < LONGEST_LINE {
                self.line.push(byte);
            }
            return;
        }
        // A line that cannot be read changes nothing: the last moment that was told still comes.
        if let Some(order) = std::str::from_utf8(&self.line).ok().and_then(|line| line.parse().ok()) {
            self.view.order = order;
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_the_nodes() {
        let args = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(watchdog_arguments(&args(&["kastrel", "watchdog", "d", "r"])), Some(&args(&["d", "r"])[..]));
        assert_eq!(watchdog_arguments(&args(&["kastrel", "scan", "watchdog"])), None);
        assert_eq!(watchdog_arguments(&args(&["kastrel"])), None);
    }

    #[tokio::test]
    async fn the_last_whole_line_counts_and_the_end_is_seen() {
        let (sender, receiver) = pipe::pipe().unwrap();
        let mut node = Node::at(receiver);
        let disarmed = NodeView { order: Order::Disarmed, gone: None };
        let trusted = |seconds| NodeView { order: Order::TrustedUntil(Duration::from_secs(seconds)), gone: None };
        for (written, expected) in [
            ("", disarmed),
            ("trust 5000\ntrust 7000\n", trusted(7)),
            ("trust 90", trusted(7)),
            ("00\n", trusted(9)),
            ("nonsense\n\n", trusted(9)),
            ("trust 1000\ndisarm\n", disarmed),
        ] {
            // Nothing is waited for: a line counts from the moment in which it was written.
            rustix::io::write(&sender, written.as_bytes()).unwrap();
            node.read();
            assert_eq!(node.view, expected, "{written:?}");
        }
        drop(sender);
        node.read();
        assert!(node.view.gone.is_some());
    }
}
