//! One process of the program in a cluster. It can be ended and restarted on the same data folder.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use super::harness::poll;
use crate::client::Client;
use crate::product::app::{Watched, processes_of, watchdogs_of};

/// The member. It dereferences to a client of its web server or of its health checks.
pub(super) struct Member {
    name: String,
    folder: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    process: Mutex<Option<Child>>,
    /// The length of the log before the current process started.
    written_before: AtomicUsize,
    client: Client,
}

impl Member {
    /// Creates a member without starting it.
    pub(super) fn new(name: &str, folder: PathBuf, arguments: &[&str], variables: Vec<(String, String)>) -> Self {
        std::fs::create_dir(&folder).unwrap();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self {
            name: name.to_owned(),
            folder,
            arguments,
            variables,
            process: Mutex::default(),
            written_before: AtomicUsize::new(0),
            client: Client::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Returns the output of all its processes so far.
    pub(super) fn log(&self) -> String {
        std::fs::read(self.log_file()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Starts the process and waits until it listens.
    pub(super) async fn start(&self) {
        self.spawn();
        self.listening().await;
    }

    /// Starts the process.
    pub(super) fn spawn(&self) {
        self.written_before.store(self.log().len(), Ordering::Relaxed);
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = command(&self.data(), &self.folder, &self.variables);
        command.args(&self.arguments).stdout(Stdio::null()).stderr(log);
        let earlier = self.process().replace(command.spawn().unwrap());
        assert!(earlier.is_none(), "{} runs already", self.name);
    }

    /// Waits until the process listens.
    pub(super) async fn listening(&self) {
        let before = self.written_before.load(Ordering::Relaxed);
        let look = async || {
            let log = self.log();
            let ended = self.process().as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "{} ended with {ended:?}:\n{}", self.name, &log[before..]);
            let line = log[before..].lines().find(|line| line.contains(" listens on "))?;
            line.split_once(" listens on ").map(|(_, url)| url.trim().to_owned())
        };
        self.client.listens_on(&poll("a member listens", look).await);
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn runs(&self) -> bool {
        self.process().is_some()
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(self.process().as_ref().expect("it runs"))
    }

    /// Sends a signal: SIGSTOP freezes the process, SIGCONT resumes it.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Kills the process with SIGKILL, and waits for its end.
    pub(super) fn kill(&self) {
        if let Some(mut child) = self.process().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends SIGTERM and waits. Returns the exit code.
    pub(super) async fn terminate(&self) -> Option<i32> {
        let watched = Watched::of(&[self.pid()]);
        self.signal(Signal::TERM);
        watched.ended().await;
        self.buried()
    }

    /// Returns the exit code of a terminating process, for callers that cannot await. Returns
    /// `None` while it runs.
    pub(super) fn try_end(&self) -> Option<Option<i32>> {
        let status = self.process().as_mut().map(|child| child.try_wait().unwrap())?;
        status.map(|_| self.buried())
    }

    fn buried(&self) -> Option<i32> {
        self.process().take().unwrap().wait().unwrap().code()
    }

    /// Returns the processes of one of its scans.
    pub(super) fn processes_of(&self, scan: u64) -> Vec<Pid> {
        processes_of(&self.data(), scan)
    }

    /// Returns the watchdogs of its data folder.
    pub(super) fn watchdogs(&self) -> Vec<Pid> {
        watchdogs_of(&self.data())
    }

    /// Returns all processes of its scans.
    pub(super) fn marked(&self) -> Vec<String> {
        std::fs::read_to_string(self.data().join("id"))
            .map(|id| crate::kast_runner::stage::marked(id.trim()))
            .unwrap_or_default()
    }
}

impl Deref for Member {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the program's command with a data folder, without the settings of the test's own
/// environment.
pub(super) fn command(data: &Path, directory: &Path, variables: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kastrel"));
    let is_setting = |name: &str| name.starts_with("KAST") || name == "REDIS_URL";
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_setting)) {
        command.env_remove(name);
    }
    command.current_dir(directory).env("KASTREL_DATA_DIR", data).env("NO_COLOR", "1").stdin(Stdio::null());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
}
