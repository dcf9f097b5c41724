//! A real Redis (or Valkey) for tests: on a free loopback port, with its own folder. The drop kills
//! it by its process id.
//!
//! Several test programs include it as a module:
//! `#[path = "…/tests/helpers/redis_server.rs"] mod redis_server;`. It needs only std and tokio,
//! and `redis-server` or `valkey-server` on the PATH.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The time limit for a server's start and end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The number of ports to try if another process takes the free port first.
const PORTS: u32 = 20;

/// The handling of the data at a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    Kept,
    Lost,
}

/// A running server. Its drop kills it and removes its folder.
#[derive(Debug)]
pub(crate) struct RedisServer {
    folder: PathBuf,
    options: Vec<String>,
    /// 0 until a free port is found.
    port: u16,
    encrypted: bool,
    child: Option<Child>,
}

enum Start {
    Ready(Child),
    PortTaken,
}

impl RedisServer {
    /// Starts a server that stores nothing on disk.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server whose data survives a kill: every write is on disk before the response.
    pub(crate) async fn durable() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// Starts a server with more command line options. With the option `--tls-cert-file` it accepts
    /// TLS connections only.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        let mut server = Self::prepare(options);
        for _ in 0..PORTS {
            // The port is free again after the listener is dropped. Another process may take it
            // before the server does; the server then reports it.
            server.port = std::net::TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .expect("a free port")
                .port();
            if let Start::Ready(child) = server.spawn().await {
                server.child = Some(child);
                return server;
            }
        }
        panic!("{PORTS} free ports in a row were taken by somebody else before redis-server could bind them");
    }

    /// Returns a server that does not run yet: its port is chosen, and no process listens there.
    /// [`restart`](Self::restart) starts it.
    pub(crate) fn stopped() -> Self {
        let mut server = Self::prepare(&[]);
        server.port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        server
    }

    fn prepare(options: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kastrel-redis-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for redis-server");
        let encrypted = options.contains(&"--tls-cert-file");
        Self { folder, options: options.iter().map(ToString::to_string).collect(), port: 0, encrypted, child: None }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL without user and password.
    pub(crate) fn url(&self) -> String {
        self.url_for("")
    }

    /// Returns the URL with `user:password@`.
    pub(crate) fn url_for(&self, user_info: &str) -> String {
        let scheme = if self.encrypted { "rediss" } else { "redis" };
        format!("{scheme}://{user_info}127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Kills the server with SIGKILL, and waits for its end.
    pub(crate) async fn kill(&mut self) {
        let mut child = self.child.take().expect("a server that runs");
        tokio::time::timeout(PATIENCE, child.kill())
            .await
            .expect("a killed server ends")
            .expect("the server can be killed");
    }

    /// Starts the server on its previous port. A running server is killed first.
    pub(crate) async fn restart(&mut self, data: Data) {
        if self.child.is_some() {
            self.kill().await;
        }
        if data == Data::Lost {
            std::fs::remove_dir_all(&self.folder).expect("the server's folder can be removed");
            std::fs::create_dir(&self.folder).expect("a folder for redis-server");
        }
        match self.spawn().await {
            Start::Ready(child) => self.child = Some(child),
            Start::PortTaken => panic!("somebody else took port {} while redis-server was down", self.port),
        }
    }

    /// Starts the program and waits until it reports that it is ready.
    async fn spawn(&self) -> Start {
        let port = self.port.to_string();
        let ports =
            if self.encrypted { ["--port", "0", "--tls-port", &port] } else { ["--port", &port, "--tls-port", "0"] };
        let mut command = Command::new(program());
        command.args(["--bind", "127.0.0.1", "--save", "", "--dir"]).arg(&self.folder).args(if self.encrypted {
            &ports[..]
        } else {
            &ports[..2]
        });
        command
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("redis-server can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let mut said = String::new();
        let starting = async {
            while let Some(line) = lines.next_line().await.expect("redis-server writes text") {
                if line.contains("Ready to accept connections") {
                    return true;
                }
                said.push_str(&line);
                said.push('\n');
            }
            false
        };
        if tokio::time::timeout(PATIENCE, starting).await.expect("redis-server gets ready in time") {
            // Its log must be read, or the full pipe would block it.
            tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
            return Start::Ready(child);
        }
        child.wait().await.expect("redis-server can be waited for");
        assert!(said.contains("Address already in use"), "redis-server ended:\n{said}");
        Start::PortTaken
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it has already ended.
            let _ = child.start_kill();
            while matches!(child.try_wait(), Ok(None)) {
                std::thread::yield_now();
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = ["redis-server", "valkey-server"]
        .iter()
        .find_map(|name| std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_file(file)));
    found.expect("neither redis-server nor valkey-server is on the PATH: install one, on Debian and Ubuntu with `apt-get install redis-server`")
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}
