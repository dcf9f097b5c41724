//! A running `kastrel serve` with its own data folder. Its drop fails the test if a process of a
//! scan or a watchdog is left.

use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::client::Client;
use crate::kast_runner::stage::{PATIENCE, fake_kast, marked};

/// A data folder, its consecutive servers, and a client.
pub(crate) struct TestApp {
    dir: TempDir,
    variables: Vec<(&'static str, String)>,
    /// The program, preceded by the command that runs it.
    program: Vec<String>,
    server: Option<Child>,
    /// What the server wrote before it listened.
    start_log: String,
    client: Client,
    /// Shell commands before the shell executes the program.
    shell: Option<String>,
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestApp {
    /// Starts a server with the fake KAST and short times.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with more environment variables.
    pub(crate) async fn with(variables: &[(&'static str, &str)]) -> Self {
        let mut app = Self::prepare(variables);
        app.restart().await;
        app
    }

    /// Creates the folder and the settings without starting a server.
    pub(crate) fn prepare(variables: &[(&'static str, &str)]) -> Self {
        let mut all = vec![
            ("KAST_CLI_PATH", fake_kast().display().to_string()),
            ("KASTREL_ALLOW_PRIVATE_TARGETS", "true".into()),
            ("KASTREL_SCANS__BACKOFF_BASE_SECONDS", "0.1".into()),
            ("KASTREL_KAST__INTERRUPT_GRACE_SECONDS", "0.3".into()),
            ("KASTREL_KAST__TERMINATE_GRACE_SECONDS", "0.3".into()),
            ("KASTREL_SCANS__CONCURRENCY", "20".into()),
        ];
        all.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let program = vec![env!("CARGO_BIN_EXE_kastrel").to_owned()];
        Self {
            dir: tempfile::tempdir().unwrap(),
            variables: all,
            program,
            server: None,
            start_log: String::new(),
            client: Client::new(),
            shell: None,
        }
    }

    /// Starts the program from a shell after these shell commands, such as `umask 000`.
    pub(crate) fn after(mut self, shell: &str) -> Self {
        self.shell = Some(shell.to_owned());
        self
    }

    /// Changes the command for the program: its words, preceded by the command that runs it.
    pub(super) fn run_by(&mut self, program: &[&str]) {
        self.program = program.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Starts a server on the data folder and waits until it listens.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(&[]).await;
    }

    /// Starts a server with more arguments.
    pub(crate) async fn restart_with(&mut self, more: &[&str]) {
        if let Err(ended) = self.try_restart_with(more).await {
            panic!("the server ended: {:?} {}", ended.code, ended.stderr);
        }
    }

    /// Starts a server. Returns an error if the server ends instead.
    pub(crate) async fn try_restart(&mut self) -> Result<(), Ended> {
        self.try_restart_with(&[]).await
    }

    async fn try_restart_with(&mut self, more: &[&str]) -> Result<(), Ended> {
        assert!(self.server.is_none(), "the server before must have ended");
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(more);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, url)) = line.split_once(" listens on ") {
                    return Ok((url.trim().to_owned(), said));
                }
                said.push_str(&line);
                said.push('\n');
            }
            Err(said)
        };
        match tokio::time::timeout(PATIENCE, listening).await.expect("the server never listened") {
            Ok((url, said)) => {
                self.client.listens_on(&url);
                self.start_log = said;
            }
            Err(stderr) => {
                return Err(Ended { code: child.wait().await.unwrap().code(), stdout: String::new(), stderr });
            }
        }
        // Its log must be read, or the full pipe would block it.
        tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
        self.server = Some(child);
        Ok(())
    }

    /// Kills the server with SIGKILL.
    pub(crate) async fn kill_server(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().await.unwrap();
    }

    /// Sends SIGTERM to the server. Returns the exit code.
    pub(crate) async fn terminate_server(&mut self) -> Option<i32> {
        self.end_server(Signal::TERM).await
    }

    /// Sends a signal that requests the end. Returns the exit code if the server ended by itself.
    pub(crate) async fn end_server(&mut self, asks: Signal) -> Option<i32> {
        let mut server = self.server.take().unwrap();
        signal(&server, asks);
        let status = tokio::time::timeout(PATIENCE, server.wait()).await.expect("the server did not stop").unwrap();
        assert_eq!(self.watchdogs(), [], "a server that stops in good order waits for its watchdog");
        status.code()
    }

    /// Sends a signal to the server: SIGSTOP freezes it, SIGCONT resumes it.
    pub(super) fn signal_server(&self, sent: Signal) {
        signal(self.server.as_ref().unwrap(), sent);
    }

    /// See [`Client::reuse_no_connection`].
    pub(crate) fn reuse_no_connection(&mut self) {
        self.client.reuse_no_connection();
    }

    /// Changes a variable of the processes that are started later.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.variables.retain(|(one, _)| *one != name);
        self.variables.push((name, value.to_owned()));
    }

    /// Returns what the server wrote to standard error before it listened.
    pub(crate) fn start_log(&self) -> &str {
        &self.start_log
    }

    /// Returns the process id of the running server.
    pub(crate) fn server_pid(&self) -> Pid {
        Pid::from_raw(self.server.as_ref().unwrap().id().unwrap().cast_signed()).unwrap()
    }

    /// Returns the watchdogs of this data folder.
    pub(super) fn watchdogs(&self) -> Vec<Pid> {
        watchdogs_of(&self.data())
    }

    /// Returns the watchdog of the running server.
    pub(super) fn watchdog(&self) -> Pid {
        let watchdogs = self.watchdogs();
        assert_eq!(watchdogs.len(), 1, "{watchdogs:?}");
        watchdogs[0]
    }

    /// Returns a command of the program on this data folder.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut words = self.program.clone();
        if let Some(shell) = &self.shell {
            words.splice(0..0, ["sh".into(), "-c".into(), format!("{shell} && exec \"$0\" \"$@\"")]);
        }
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(args)
            .current_dir(self.dir.path())
            .env_remove("KASTREL_SERVER")
            .env("KASTREL_DATA_DIR", self.data())
            // No command reads the stored tokens of the user who runs the tests.
            .env("XDG_CONFIG_HOME", self.dir.path().join("config"))
            .env("NO_COLOR", "1");
        command.envs(self.variables.iter().map(|(name, value)| (*name, value))).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> Ended {
        let output = tokio::time::timeout(PATIENCE, self.command(args).output())
            .await
            .expect("the command did not end")
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Returns the live processes of scans, by the marker of this data folder.
    pub(crate) fn processes(&self) -> Vec<String> {
        std::fs::read_to_string(self.data().join("id")).map(|id| marked(id.trim())).unwrap_or_default()
    }

    /// Returns the processes of one scan.
    pub(super) fn processes_of(&self, scan: u64) -> Vec<Pid> {
        processes_of(&self.data(), scan)
    }
}

impl Deref for TestApp {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Some(server) = &self.server {
            signal(server, Signal::KILL);
        }
        // A watchdog whose server was killed checks for processes for a moment before it ends.
        let until = Instant::now() + PATIENCE;
        while !self.watchdogs().is_empty() && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        assert_eq!(self.watchdogs(), [], "a watchdog is left");
        let left = self.processes();
        assert!(left.is_empty(), "processes of scans are left: {left:?}");
    }
}

/// Returns the watchdogs of a data folder, by their command line.
pub(crate) fn watchdogs_of(data: &Path) -> Vec<Pid> {
    let Ok(id) = std::fs::read_to_string(data.join("id")) else { return Vec::new() };
    let wanted = format!("\0watchdog\0{}\0", id.trim());
    let is_watchdog = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&wanted))
    };
    let pids =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_watchdog).filter_map(Pid::from_raw).collect()
}

/// Returns the keepers of a data folder, by their marker.
pub(crate) fn keepers_of(data: &Path) -> Vec<Pid> {
    let id = std::fs::read_to_string(data.join("id")).unwrap();
    let mark = format!("\0KASTREL_KEEPER={}:", id.trim());
    let is_keeper = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|text| format!("\0{}", String::from_utf8_lossy(&text)).contains(&mark))
    };
    let pids =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_keeper).filter_map(Pid::from_raw).collect()
}

/// Returns the processes of one scan, by the marker of the data folder.
pub(crate) fn processes_of(data: &Path, scan: u64) -> Vec<Pid> {
    let id = std::fs::read_to_string(data.join("id")).unwrap();
    let of_scan = marked(&format!("{}:{scan}", id.trim()));
    of_scan.iter().map(|text| Pid::from_raw(text.split(' ').next().unwrap().parse().unwrap()).unwrap()).collect()
}

/// Sends a signal to a child process that has not been waited for.
pub(super) fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Process file descriptors, which report the end of the processes and never refer to a reused
/// process id.
pub(crate) struct Watched(Vec<OwnedFd>);

impl Watched {
    /// Opens descriptors of live processes.
    pub(crate) fn of(pids: &[Pid]) -> Self {
        Self(
            pids.iter()
                .map(|pid| {
                    pidfd_open(*pid, PidfdFlags::NONBLOCK).unwrap_or_else(|error: Errno| panic!("{pid:?}: {error}"))
                })
                .collect(),
        )
    }

    /// Waits until the last process has ended.
    #[expect(
        deprecated,
        reason = "its replacement is unsafe for the sake of types that may change their descriptor, which an owned one does not"
    )]
    pub(crate) async fn ended(self) {
        for handle in self.0 {
            let handle = AsyncFd::with_interest(handle, tokio::io::Interest::READABLE).unwrap();
            let _readable =
                tokio::time::timeout(PATIENCE, handle.readable()).await.expect("a process never ended").unwrap();
        }
    }
}

/// Returns the end of each attempt, or the reason if it has one.
pub(crate) fn ends(scan: &Value) -> Vec<String> {
    let word = |attempt: &Value| attempt["reason"].as_str().or(attempt["end"].as_str()).unwrap_or("running").to_owned();
    scan["attempts"].as_array().unwrap().iter().map(word).collect()
}

/// Returns true if a process runs. A zombie does not run.
pub(crate) fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // The name before the state is in parentheses and may contain any character.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
