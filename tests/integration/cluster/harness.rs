//! A cluster for tests: a real Redis, a real database server and processes of the program. Its drop
//! fails the test if anything is left: a process, a watchdog, a signal in Redis, or evidence of two
//! concurrent processes of one scan. The output of the processes is then kept, and its path is
//! printed.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use kastrel::adapters::surreal_store::SurrealStore;
use kastrel_actors::model::{ScanId, ScanRecord};
use kastrel_actors::ports::ScanStore;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use super::member::{Member, command};
use crate::client::Client;
use crate::kast_runner::stage::{PATIENCE, fake_kast};
use crate::product::app::Ended;
use crate::redis_server::RedisServer;
use crate::surreal_server::SurrealServer;

/// The lease duration in tests that let leases expire.
pub(super) const LEASE: Duration = Duration::from_secs(4);
/// The longest time until the next reconciliation of dead nodes' scans: five seconds, plus random
/// jitter of a quarter.
pub(super) const RESCUE: Duration = Duration::from_millis(6_250);

/// The cluster.
pub(super) struct Cluster {
    pub(super) redis: RedisServer,
    pub(super) database: SurrealServer,
    folder: Option<TempDir>,
    members: Vec<Arc<Member>>,
    lease: Vec<(&'static str, String)>,
}

impl Cluster {
    /// Starts a durable Redis and a durable database, without any member.
    pub(super) async fn new() -> Self {
        let (redis, database) = tokio::join!(RedisServer::durable(), SurrealServer::on_disk());
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("journal")).unwrap();
        Self { redis, database, folder: Some(folder), members: Vec::new(), lease: Vec::new() }
    }

    /// The same with leases of [`LEASE`], for faults that last longer than a lease.
    pub(super) async fn with_short_lease() -> Self {
        let lease = [
            ("KASTREL_NODE__LEASE_SECONDS", LEASE.as_secs().to_string()),
            ("KASTREL_NODE__LEASE_MARGIN_SECONDS", "1.5".into()),
        ];
        let mut cluster = Self::new().await;
        cluster.lease = lease.into();
        cluster
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().expect("it is there until the drop").path().join(name)
    }

    /// Adds a process that serves the dashboard and the API and runs no scans. Like the other
    /// members it is not started yet.
    pub(super) fn web(&mut self, name: &str) -> Arc<Member> {
        self.member(name, &["serve", "--no-worker", "--listen", "127.0.0.1:0"], &[])
    }

    /// Adds a worker with this concurrency.
    pub(super) fn worker(&mut self, name: &str, concurrency: usize) -> Arc<Member> {
        self.worker_with(name, concurrency, &[])
    }

    /// Adds a worker with more settings.
    pub(super) fn worker_with(&mut self, name: &str, concurrency: usize, variables: &[(&str, &str)]) -> Arc<Member> {
        self.member(name, &["worker", "--listen", "127.0.0.1:0", "--concurrency", &concurrency.to_string()], variables)
    }

    pub(super) fn member(&mut self, name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Arc<Member> {
        let mut all = self.variables();
        all.push(("KASTREL_NODE__NAME".into(), name.into()));
        all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let member = Arc::new(Member::new(name, self.path(name), arguments, all));
        self.members.push(Arc::clone(&member));
        member
    }

    /// Returns the settings of all members.
    fn variables(&self) -> Vec<(String, String)> {
        let mut all = vec![
            ("KAST_CLI_PATH", fake_kast().display().to_string()),
            ("KAST_RESULTS_DIR", self.path("results").display().to_string()),
            ("KASTREL_ALLOW_PRIVATE_TARGETS", "true".into()),
            ("KASTREL_DATABASE_URL", self.database.url("kastrel", "kastrel")),
            ("REDIS_URL", self.redis.url()),
            // The interval of a node's reports about itself.
            ("KASTREL_NODE__RENEW_SECONDS", "1".into()),
            ("KASTREL_SCANS__BACKOFF_BASE_SECONDS", "0.1".into()),
            ("KASTREL_KAST__INTERRUPT_GRACE_SECONDS", "0.3".into()),
            ("KASTREL_KAST__TERMINATE_GRACE_SECONDS", "0.3".into()),
            ("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_JOURNAL".into()),
            ("FAKE_KAST_JOURNAL", self.path("journal").display().to_string()),
        ];
        all.extend_from_slice(&self.lease);
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Runs a command with the settings for the database and Redis, on its own data folder.
    pub(super) async fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = tokio::process::Command::from(command(
            &self.path("terminal"),
            self.folder.as_ref().unwrap().path(),
            &self.variables(),
        ));
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("the command did not end").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Connects to the database.
    pub(super) async fn store(&self) -> SurrealStore {
        SurrealStore::connect(&self.database.url("kastrel", "kastrel").parse().unwrap()).await.unwrap()
    }

    /// Returns the journal that the fake KASTs of a scan wrote.
    pub(super) fn journal(&self, scan: u64) -> Vec<JournalLine> {
        let text = std::fs::read_to_string(self.path("journal").join(format!("{scan}.journal"))).unwrap_or_default();
        text.lines().map(JournalLine::read).collect()
    }

    /// Returns everything that must not remain at the end of a test.
    fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        // A worker still has to read and drop the signals of ended scans. Signals of dead consumers
        // are dropped after a delay.
        if let Some(waiting) = until(Duration::from_secs(40), || self.signals()) {
            left.push(format!("Redis: {waiting}"));
        }
        let running: Vec<&Arc<Member>> = self.members.iter().filter(|member| member.runs()).collect();
        running.iter().for_each(|member| member.signal(Signal::TERM));
        for member in running {
            let mut code = None;
            let ended = || match member.try_end() {
                Some(end) => {
                    code = end;
                    None
                }
                None => Some(()),
            };
            if until(PATIENCE, ended).is_some() || code != Some(0) {
                left.push(format!("{} did not stop in good order: {code:?}", member.name()));
            }
        }
        for member in &self.members {
            // A watchdog whose node was killed checks for processes for a moment before it ends.
            let alive = || {
                Some((member.watchdogs(), member.marked()))
                    .filter(|(watchdogs, scans)| !watchdogs.is_empty() || !scans.is_empty())
            };
            if let Some((watchdogs, scans)) = until(Duration::from_secs(10), alive) {
                left.push(format!("{}: watchdogs {watchdogs:?}, processes of scans {scans:?}", member.name()));
            }
        }
        for entry in std::fs::read_dir(self.path("journal")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "journal") {
                let text = std::fs::read_to_string(&path).unwrap();
                if text.lines().any(|line| JournalLine::read(line).what == "overlap") {
                    left.push(format!("two processes of one scan at a time, {}:\n{text}", path.display()));
                }
            }
        }
        left
    }

    /// Returns the signals in Redis, or `None` if there are no signals.
    fn signals(&self) -> Option<String> {
        let count = || -> redis::RedisResult<Vec<String>> {
            let mut connection =
                redis::Client::open(self.redis.url())?.get_connection_with_timeout(Duration::from_secs(2))?;
            let mut found = Vec::new();
            for priority in ["high", "normal", "low"] {
                let stream = format!("{{kastrel}}:stream:{priority}");
                let length: i64 = redis::cmd("XLEN").arg(&stream).query(&mut connection)?;
                let line: i64 =
                    redis::cmd("ZCARD").arg(format!("{{kastrel}}:line:{priority}")).query(&mut connection)?;
                // Without a consumer group a stream has no pending entries.
                let pending =
                    redis::cmd("XPENDING")
                        .arg(&stream)
                        .arg("workers")
                        .query::<(i64, redis::Value, redis::Value, redis::Value)>(&mut connection);
                let pending = pending.map_or(0, |(count, ..)| count);
                if (length, line, pending) != (0, 0, 0) {
                    found
                        .push(format!("{priority}: {length} in the stream, {pending} of them in hand, {line} in line"));
                }
            }
            Ok(found)
        };
        match count() {
            Ok(found) => Some(found.join("; ")).filter(|text| !text.is_empty()),
            Err(error) => Some(format!("does not answer: {error}")),
        }
    }
}

impl Drop for Cluster {
    #[expect(clippy::print_stderr, reason = "where the evidence is, for whoever reads the failure")]
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        let left = if panicking { Vec::new() } else { self.leftovers() };
        if panicking || !left.is_empty() {
            let kept = self.folder.take().map(TempDir::keep);
            eprintln!("the logs of the cluster's processes are in {}", kept.unwrap_or_default().display());
            self.members.iter().for_each(|member| member.kill());
        }
        assert!(left.is_empty(), "something is left:\n{}", left.join("\n"));
    }
}

/// A line of the fake KAST's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JournalLine {
    /// `start`, `overlap` (another process of the scan was alive at the start) or `finish`.
    pub(super) what: String,
    pub(super) attempt: u64,
    pub(super) pid: u64,
    pub(super) ms: u64,
}

impl JournalLine {
    pub(super) fn read(line: &str) -> Self {
        let mut words = line.split(' ');
        let what = words.next().unwrap().to_owned();
        let mut number = || words.next().unwrap().parse().unwrap();
        Self { what, attempt: number(), pid: number(), ms: number() }
    }
}

/// Starts members at the same time.
pub(super) async fn start<const N: usize>(members: [&Arc<Member>; N]) {
    futures_util::future::join_all(members.map(|member| member.start())).await;
}

/// Returns the current node id of a worker, as a web node lists it.
pub(super) async fn node_of(web: &Client, worker: &Member) -> String {
    node_where(web, |node| node["pid"] == worker.pid().as_raw_nonzero().get()).await["id"].as_str().unwrap().to_owned()
}

/// Waits until a web node lists a live node that meets the condition.
pub(super) async fn node_where(web: &Client, wanted: impl Fn(&Value) -> bool) -> Value {
    let look = async || {
        let list = web.json("/api/nodes").await;
        list["nodes"].as_array().unwrap().iter().find(|node| node["alive"] == true && wanted(node)).cloned()
    };
    poll("a node is listed as wanted", look).await
}

/// Returns a condition: this attempt's process runs a plugin.
pub(super) fn is_busy_with(attempt: u64) -> impl Fn(&Value) -> bool {
    move |scan| {
        scan["attempt"] == attempt
            && scan["results"].as_array().is_some_and(|all| all.iter().any(|one| one["status"] == "in_progress"))
    }
}

/// Returns the row of a scan.
pub(super) async fn row(store: &SurrealStore, id: u64) -> ScanRecord {
    store.get(ScanId(id)).await.unwrap().expect("an accepted scan has a row")
}

/// Polls until the result is available.
pub(super) async fn poll<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    poll_within(PATIENCE, what, look).await
}

/// The same with another limit than that of the other waits.
pub(super) async fn poll_within<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let again = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(limit, again).await.unwrap_or_else(|_| panic!("it never came to pass that {what}"))
}

/// Polls without async, for a drop, until nothing is left. Returns what is left at the end.
fn until<T>(limit: Duration, mut left: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        let now = left()?;
        if Instant::now() >= end {
            return Some(now);
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
