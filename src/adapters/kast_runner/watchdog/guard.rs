//! The node's side of the watchdog: starts the watchdog, sends it the lease's end, and restarts it
//! when it dies.

use std::io::{self, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kastrel_actors::ports::LeaseGuard;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::super::environment;
use super::super::run::Run;
use super::clock::boottime;
use super::order::Order;
use super::watch::COMMAND;
use crate::descriptors::SpawnAsBefore as _;

/// The pause before a restart of the watchdog if the last one failed at once.
const START_AGAIN: Duration = Duration::from_millis(500);
/// The pause before a retry of a write to a full pipe.
const TELL_AGAIN: Duration = Duration::from_millis(50);
/// How long the watchdog may take to end after its node has stopped.
const CLOSING: Duration = Duration::from_secs(5);

/// A node's watchdog, which kills the node's scans when the node cannot. See the module docs.
///
/// If it is dropped without [`Watchdog::close`], the watchdog process continues, and then finds
/// that its node is gone.
#[derive(Debug)]
pub struct Watchdog {
    link: Arc<Link>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Watchdog {
    /// Starts the watchdog of the attempts of `run`, with `program` as its executable, and the task
    /// that restarts it. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The process could not be started.
    pub fn start(program: &Path, run: &Run) -> io::Result<Self> {
        let link = Arc::new(Link {
            line: Mutex::new(Line { order: Order::Disarmed, pipe: None }),
            untold: Notify::new(),
            closing: CancellationToken::new(),
        });
        let keeper = Keeper { link: Arc::clone(&link), program: program.to_owned(), run: run.clone() };
        let first = keeper.spawn()?;
        Ok(Self { link, keeper: Mutex::new(Some(tokio::spawn(keeper.keep(first)))) })
    }

    /// Closes the pipe to the watchdog and waits until it has ended. Call it when the node has
    /// stopped.
    pub async fn close(&self) {
        self.link.close();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper
            && tokio::time::timeout(CLOSING, keeper).await.is_err()
        {
            warn!("the watchdog is still busy with what the node has left; it ends by itself");
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.link.close();
    }
}

impl LeaseGuard for Watchdog {
    fn now(&self) -> Duration {
        boottime()
    }

    fn trust_until(&self, when: Duration) {
        self.link.tell(Order::TrustedUntil(when));
    }

    fn disarm(&self) {
        self.link.tell(Order::Disarmed);
    }
}

/// The state that the node and the keeper task share.
#[derive(Debug)]
struct Link {
    line: Mutex<Line>,
    /// Notified if the last order is not in the pipe yet.
    untold: Notify,
    closing: CancellationToken,
}

#[derive(Debug)]
struct Line {
    order: Order,
    /// The pipe to the current watchdog. Writes never block.
    pipe: Option<PipeWriter>,
}

impl Link {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, order: Order) {
        let mut line = self.line();
        line.order = order;
        if !line.tell() {
            self.untold.notify_one();
        }
    }

    fn tell_again(&self) {
        if !self.line().tell() {
            self.untold.notify_one();
        }
    }

    /// Sets the pipe of the next watchdog. The pipe already has the last order when the watchdog
    /// starts.
    fn connect(&self, pipe: PipeWriter) {
        let mut line = self.line();
        if !self.closing.is_cancelled() {
            line.pipe = Some(pipe);
            // The pipe is empty, so the write succeeds.
            line.tell();
        }
    }

    fn close(&self) {
        let mut line = self.line();
        self.closing.cancel();
        line.pipe = None;
    }
}

impl Line {
    /// Writes the order to the pipe. Returns true if the pipe has it, or if no watchdog reads the
    /// pipe: the next watchdog starts with it.
    fn tell(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return true };
        // Shorter than `PIPE_BUF`, so the kernel writes it completely or not at all.
        let line = format!("{}\n", self.order);
        match pipe.write(line.as_bytes()) {
            Ok(written) => written == line.len(),
            Err(error) => error.kind() == io::ErrorKind::BrokenPipe,
        }
    }
}

/// The task that starts one watchdog after the other.
struct Keeper {
    link: Arc<Link>,
    program: PathBuf,
    run: Run,
}

impl Keeper {
    fn spawn(&self) -> io::Result<Child> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        self.link.connect(writer);
        let mut command = Command::new(&self.program);
        command.arg0("kastrel").args([COMMAND, &self.run.data_dir_id, &self.run.id]).current_dir("/");
        // The watchdog may have to run the `docker` client, like the scanner, and needs no other
        // variables.
        command.env_clear().envs(environment::base(std::env::vars_os(), &[], &[]));
        // Its own group from the start, so that no signal from the terminal reaches it.
        command.stdin(reader).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn_as_before()?;
        debug!(process.pid = child.id(), "the watchdog runs");
        Ok(child)
    }

    async fn keep(self, mut child: Child) {
        loop {
            let started = Instant::now();
            let status = self.attend(&mut child).await;
            if self.link.closing.is_cancelled() {
                return;
            }
            match status {
                Ok(status) => error!(status = %status, "the watchdog has ended; starting another one"),
                Err(error) => {
                    error!(
                        error = &error as &dyn std::error::Error,
                        "lost sight of the watchdog; starting another one"
                    );
                }
            }
            // A killed watchdog is replaced at once. After a watchdog that failed immediately,
            // there is a pause.
            let mut wait = started.elapsed() < START_AGAIN;
            child = loop {
                if wait && self.link.closing.run_until_cancelled(tokio::time::sleep(START_AGAIN)).await.is_none() {
                    return;
                }
                match self.spawn() {
                    Ok(child) => break child,
                    Err(error) => {
                        error!(
                            error = &error as &dyn std::error::Error,
                            "failed to start the watchdog; nobody could end the scans if this process were killed"
                        );
                    }
                }
                wait = true;
            };
        }
    }

    /// Waits for the watchdog's end, and retries writes that did not fit into the pipe.
    async fn attend(&self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                status = child.wait() => return status,
                () = self.link.untold.notified() => {
                    tokio::time::sleep(TELL_AGAIN).await;
                    self.link.tell_again();
                }
            }
        }
    }
}
