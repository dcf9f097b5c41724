//! The process of the watchdog.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use super::super::hunt::{CleanStreak, Criterion, Hunt, ProcessTable};
use super::super::proc_table::Process;
use super::super::run::Run;
use super::super::{container, environment};
use super::clock::boottime;
use super::order::{NodeView, Order, WatchdogAction, action, pause};

/// The command on the command line.
pub(super) const COMMAND: &str = "watchdog";
/// The name of the process in process lists: at most 15 characters.
const NAME: &str = "kastrel-watch";
/// The longest sleep. Timers stop while the machine sleeps, but `CLOCK_BOOTTIME` does not.
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// The maximum number of bytes of a line that are kept.
const LONGEST_LINE: usize = 256;

/// Returns the arguments of the watchdog if the command line starts it. Only a node starts a
/// watchdog; this is not a command for people.
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
            // One thread is enough.
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
            // Nothing may read the message; the exit code reports the failure too.
            let _ = writeln!(io::stderr(), "error: failed to run the watchdog: {error}");
            ExitCode::from(2)
        }
    }
}

async fn watch(run: Run) -> io::Result<()> {
    let _ignored = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    // The name is only for people, so a failure is ignored.
    let _ = std::fs::write("/proc/self/comm", NAME);
    let mut node = Node::at(pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?);
    let criterion = Criterion::Run(run.clone());
    let mut hunt = Hunt::new(criterion.clone());
    let mut streak = CleanStreak::default();
    let mut containers: Option<JoinHandle<()>> = None;
    loop {
        node.read();
        match action(node.view, streak.is_clean(), boottime()) {
            WatchdogAction::Wait => {
                (hunt, streak) = rest(&criterion, &mut containers);
                node.news().await;
            }
            WatchdogAction::WaitUntil(when) => {
                (hunt, streak) = rest(&criterion, &mut containers);
                tokio::select! {
                    () = node.news() => {}
                    () = reached(when) => {}
                }
            }
            WatchdogAction::Kill => {
                let found = hunt.pass(&ProcessTable::read(std::iter::once(hunt.criterion()))).alive;
                // If the node has sent a new order before this read, scans started under it are not
                // in the list above.
                node.read();
                if action(node.view, streak.is_clean(), boottime()) != WatchdogAction::Kill {
                    continue;
                }
                found.iter().for_each(Process::end);
                streak.count(&found);
                if streak.is_clean() && containers.is_none() {
                    containers = Some(tokio::spawn(remove_containers(run.clone())));
                }
                tokio::select! {
                    () = node.news() => {}
                    () = tokio::time::sleep(pause(node.view, &streak)) => {}
                }
            }
            WatchdogAction::Leave => break,
        }
    }
    if let Some(containers) = containers {
        // A panic there does not affect the end.
        let _ = containers.await;
    }
    Ok(())
}

/// Resets the search, because nothing is to be killed. Also aborts the removal of containers: a
/// live node manages its own containers.
fn rest(criterion: &Criterion, containers: &mut Option<JoinHandle<()>>) -> (Hunt, CleanStreak) {
    if let Some(removal) = containers.take() {
        removal.abort();
    }
    (Hunt::new(criterion.clone()), CleanStreak::default())
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

/// The state of the node, as read from the pipe.
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

    /// Reads all pending orders, and detects the end of the pipe.
    fn read(&mut self) {
        let mut bytes = [0; 1024];
        while self.view.gone.is_none() {
            match self.receive(&mut bytes) {
                Ok(0) => self.view.gone = Some(boottime()),
                Ok(read) => bytes[..read].iter().for_each(|byte| self.take(*byte)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A pipe that cannot be read means the same as one that has ended.
                Err(_) => self.view.gone = Some(boottime()),
            }
        }
    }

    /// Reads the pipe's current content. Falls back to a direct read, because tokio's readiness may
    /// be outdated.
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
        // A line that cannot be parsed changes nothing: the last order stays in force.
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
    fn watchdog_arguments_need_the_watchdog_command() {
        let args = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(watchdog_arguments(&args(&["kastrel", "watchdog", "d", "r"])), Some(&args(&["d", "r"])[..]));
        assert_eq!(watchdog_arguments(&args(&["kastrel", "scan", "watchdog"])), None);
        assert_eq!(watchdog_arguments(&args(&["kastrel"])), None);
    }

    #[tokio::test]
    async fn last_complete_line_counts_and_the_end_of_the_pipe_is_detected() {
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
            // No await here: a line counts from the moment at which it is written.
            rustix::io::write(&sender, written.as_bytes()).unwrap();
            node.read();
            assert_eq!(node.view, expected, "{written:?}");
        }
        drop(sender);
        node.read();
        assert!(node.view.gone.is_some());
    }
}
