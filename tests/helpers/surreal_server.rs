//! A real SurrealDB server for tests: built once, started on a free loopback port, killed and
//! restarted on the same port with the same data.
//!
//! Include it with `#[path]`. It needs tokio, tempfile and rustix. The server is the example
//! `surreal-server`, which cargo builds beside the tests. `KASTREL_TEST_SURREAL_SERVER` can name
//! another program.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The root user.
pub(crate) const USER: &str = "root";
/// The root user's password, with every character that is special in a URL.
pub(crate) const PASSWORD: &str = "s3cret/:@?#%";
/// The password in URL encoding.
pub(crate) const PASSWORD_IN_URL: &str = "s3cret%2F%3A%40%3F%23%25";

const PATIENCE: Duration = Duration::from_secs(60);

/// A server. It is killed by its drop, and by any end of the process that started it.
pub(crate) struct SurrealServer {
    port: u16,
    storage: Storage,
    options: Vec<String>,
    child: Option<Child>,
}

enum Storage {
    Memory,
    Disk(TempDir),
    SurrealKv(TempDir),
}

impl SurrealServer {
    /// Starts a server that keeps its data in memory.
    pub(crate) async fn in_memory() -> Self {
        Self::start(Storage::Memory, Vec::new()).await
    }

    /// Starts a server that writes its data to disk before each response.
    pub(crate) async fn on_disk() -> Self {
        Self::start(Storage::Disk(tempfile::tempdir().unwrap()), Vec::new()).await
    }

    /// Starts a server with the engine SurrealKV, which loses committed rows.
    pub(crate) async fn on_surrealkv() -> Self {
        Self::start(Storage::SurrealKv(tempfile::tempdir().unwrap()), Vec::new()).await
    }

    /// Starts a TLS server with this certificate and key, both PEM files.
    pub(crate) async fn with_tls(certificate: &Path, key: &Path) -> Self {
        let options = ["--web-crt", &certificate.display().to_string(), "--web-key", &key.display().to_string()]
            .map(str::to_owned);
        Self::start(Storage::Memory, options.to_vec()).await
    }

    async fn start(storage: Storage, options: Vec<String>) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut server = Self { port, storage, options, child: None };
        server.restart().await;
        server
    }

    /// Starts the server on its previous port with its stored data, and waits until it responds.
    pub(crate) async fn restart(&mut self) {
        assert!(self.child.is_none(), "the server runs");
        let storage = match &self.storage {
            Storage::Memory => "memory".to_owned(),
            Storage::Disk(_) => format!("rocksdb://{}?sync=every", self.folder().display()),
            Storage::SurrealKv(_) => format!("surrealkv://{}", self.folder().display()),
        };
        let bind = self.address().to_string();
        let mut command = Command::new(program());
        command
            .args(["start", "--no-banner", "--log", "warn", "--bind", &bind, "--user", USER, "--pass", PASSWORD])
            .args(&self.options)
            .arg(storage);
        command
            .env_clear()
            .env("EXIT_WITH_STDIN", "1")
            // Small values, so that tests produce many files.
            .env("SURREAL_ROCKSDB_WRITE_BUFFER_SIZE", "4194304")
            .env("SURREAL_ROCKSDB_BLOCK_CACHE_SIZE", "16777216")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let give_up = Instant::now() + PATIENCE;
        while !self.is_ready().await {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the database server ended at once: {ended:?}");
            assert!(Instant::now() < give_up, "the database server is not ready after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills the server with SIGKILL, and waits for its end.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal to the server, such as STOP and CONT. Returns when a stopped server has
    /// actually stopped.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().expect("the server does not run"));
        kill_process(pid, signal).unwrap();
        if signal == Signal::STOP {
            let stopped = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::UNTRACED));
            let (_, status) = stopped.unwrap().unwrap();
            assert!(status.stopped(), "{status:?}");
        }
    }

    /// Returns the folder of its files.
    pub(crate) fn folder(&self) -> PathBuf {
        match &self.storage {
            Storage::Memory => panic!("it keeps nothing"),
            Storage::Disk(folder) | Storage::SurrealKv(folder) => folder.path().join("db"),
        }
    }

    /// Returns its address.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Returns the URL of one of its databases, for the root user.
    pub(crate) fn url(&self, namespace: &str, database: &str) -> String {
        let scheme = if self.speaks_tls() { "wss" } else { "ws" };
        format!("{scheme}://{USER}:{PASSWORD_IN_URL}@{}/{namespace}/{database}", self.address())
    }

    fn speaks_tls(&self) -> bool {
        !self.options.is_empty()
    }

    async fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address()).await else { return false };
        if self.speaks_tls() {
            // This file has no TLS client, so an open port must suffice.
            return true;
        }
        if stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.is_err() {
            return false;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.is_ok() && answer.starts_with("HTTP/1.1 200")
    }
}

impl Drop for SurrealServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the server's program, and builds it if necessary.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("KASTREL_TEST_SURREAL_SERVER") {
        Some(path) => path.into(),
        None => built(),
    })
}

fn built() -> PathBuf {
    // <target>/debug/deps/<this test>
    let own = std::env::current_exe().unwrap();
    let program = own.ancestors().nth(2).unwrap().join("examples/surreal-server");
    assert!(program.exists(), "{} is missing: build it with `make server`", program.display());
    program
}
