//! `kastrel serve` as a process, with its own data folder and the fake KAST.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Child,
    client: reqwest::Client,
    dir: TempDir,
    /// The API token of the requests to a server with accounts.
    token: Option<String>,
}

/// Returns milliseconds since the epoch, from the clock that the fake KAST also uses.
#[expect(clippy::disallowed_methods, reason = "two processes are compared, so the wall clock is the one they share")]
pub(crate) fn now_ms() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

impl Server {
    /// Starts `kastrel serve` alone.
    pub(crate) async fn start(concurrency: usize) -> Self {
        Self::serve(&["--concurrency", &concurrency.to_string()], &[]).await
    }

    /// Starts `kastrel serve` with the rows of a backup and with more environment variables.
    pub(crate) async fn start_restored(backup: &Path, variables: &[(&str, String)]) -> Self {
        let dir = folder();
        let status =
            command(dir.path(), "data", &[]).arg("restore").arg(backup).stdout(Stdio::null()).status().await.unwrap();
        assert!(status.success(), "the backup could not be restored");
        Self::serve_in(dir, &["--concurrency", "4"], variables).await
    }

    /// Starts `kastrel serve` with more arguments and environment variables.
    pub(crate) async fn serve(arguments: &[&str], variables: &[(&str, String)]) -> Self {
        Self::serve_in(folder(), arguments, variables).await
    }

    async fn serve_in(dir: TempDir, arguments: &[&str], variables: &[(&str, String)]) -> Self {
        let process = command(dir.path(), "data", variables)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .spawn()
            .unwrap();
        let data = dir.path().join("data");
        let address = until(|| address(&data)).await;
        // A reqwest client needs a TLS provider even for plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { address, process, client: reqwest::Client::new(), dir, token: None }
    }

    /// Runs a command on the data folder. Returns its output without the line end.
    pub(crate) async fn command(&self, arguments: &[&str]) -> String {
        let output =
            command(self.dir.path(), "data", &[]).args(arguments).stderr(Stdio::piped()).output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Sends this API token with the requests from now on.
    pub(crate) fn use_token(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    /// Signs in with the form of the login page.
    pub(crate) async fn sign_in(&self, name: &str, password: &str) {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("name", name), ("password", password)])
            .finish();
        let answer = client
            .post(self.url("/login"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(form)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 303, "{name}");
    }

    /// Starts `kastrel worker` beside this server, with its own data folder.
    pub(crate) fn worker(&self, number: usize, concurrency: usize, variables: &[(&str, String)]) -> Child {
        let mut command = command(self.dir.path(), &format!("worker-{number}"), variables);
        command.env("KAST_RESULTS_DIR", self.dir.path().join("results"));
        command
            .args(["worker", "--listen", "127.0.0.1:0", "--concurrency", &concurrency.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Waits until `count` nodes are registered.
    pub(crate) async fn nodes(&self, count: usize) {
        loop {
            let answer = self.get("/api/nodes").send().await.unwrap();
            let list: serde_json::Value = answer.json().await.unwrap();
            if list["nodes"].as_array().is_some_and(|nodes| nodes.len() == count) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the number of completed scans.
    pub(crate) async fn completed(&self) -> u64 {
        let answer = self.get("/api/stats").send().await.unwrap();
        let stats: serde_json::Value = answer.json().await.unwrap();
        stats["scans"]["completed"].as_u64().unwrap()
    }

    /// Waits until the server is ready and has its scanner's plugins.
    pub(crate) async fn settle(&self) {
        for path in ["/readyz", "/api/plugins"] {
            loop {
                if self.get(path).send().await.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Submits a scan. Returns its id and the time of the request.
    pub(crate) async fn submit(&self, target: &str) -> (u64, f64) {
        let sent = now_ms();
        let answer = self.post("/api/scans").json(&serde_json::json!({ "target": target })).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201, "{}", answer.text().await.unwrap());
        let id = answer.headers()["location"].to_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
        (id, sent)
    }

    /// Returns the time at which the process of an attempt entered `main`.
    pub(crate) async fn started(&self, id: u64, attempt: u32) -> f64 {
        until(|| self.mark(id, attempt, "start")).await
    }

    /// Returns the time at which the process of an attempt ended.
    pub(crate) fn crashed(&self, id: u64, attempt: u32) -> f64 {
        self.mark(id, attempt, "end").unwrap()
    }

    fn mark(&self, id: u64, attempt: u32, what: &str) -> Option<f64> {
        std::fs::read_to_string(self.dir.path().join("starts").join(format!("{id}-{attempt}.{what}")))
            .ok()?
            .parse()
            .ok()
    }

    pub(crate) async fn ended(&self, id: u64) {
        loop {
            let answer = self.get(&format!("/api/scans/{id}/status")).send().await.unwrap();
            let status: serde_json::Value = answer.json().await.unwrap();
            if !matches!(status["status"].as_str(), Some("pending" | "running")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn cancel_all(&self, ids: &[u64]) {
        for id in ids {
            let answer = self.post(&format!("/api/scans/{id}/cancel")).send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.status());
        }
        for id in ids {
            self.ended(*id).await;
        }
    }

    /// Requests a page. Returns the time until the complete response, in milliseconds.
    pub(crate) async fn page(&self, path: &str) -> f64 {
        let start = now_ms();
        let answer = self.get(path).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        answer.bytes().await.unwrap();
        now_ms() - start
    }

    /// Requests a path until it is there.
    pub(crate) async fn until_ok(&self, path: &str) {
        let wait = async {
            while !self.get(path).send().await.unwrap().status().is_success() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), wait).await.expect("what was waited for never came");
    }

    /// Requests a live page as the scripts of `viewers` open pages do after a change. Returns the
    /// time until all have it, in milliseconds.
    pub(crate) async fn page_for_viewers(&self, path: &str, viewers: usize) -> f64 {
        let start = now_ms();
        futures_util::future::join_all((0..viewers).map(|_| self.part(path))).await;
        now_ms() - start
    }

    async fn part(&self, path: &str) {
        let request = self.get(path).header("x-kastrel-poll", "1").header("x-kastrel-part", "live");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        answer.bytes().await.unwrap();
    }

    /// Returns the resident memory of the server, without its scanners.
    pub(crate) fn resident_mb(&self) -> f64 {
        resident_mb(&self.process)
    }

    /// Forgets the peak of the server's memory so far.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.process.id().unwrap()), "5").unwrap();
    }

    /// Returns the peak of the server's resident memory.
    pub(crate) fn peak_mb(&self) -> f64 {
        memory_mb(&self.process, "VmHWM:")
    }

    /// Returns the bytes that the server has passed to the system to write to files, in kilobytes.
    pub(crate) fn written_kb(&self) -> f64 {
        let counts = std::fs::read_to_string(format!("/proc/{}/io", self.process.id().unwrap())).unwrap();
        let bytes: f64 = counts.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap();
        bytes / 1024.0
    }

    /// Returns the memory of the server's watchdog that no other process shares. Both processes run
    /// the same program, so shared pages would count twice in two resident sizes.
    pub(crate) fn watchdogs_own_mb(&self) -> f64 {
        let server = self.process.id().unwrap();
        // Any thread of the server may have started the watchdog.
        let all = std::fs::read_dir(format!("/proc/{server}/task"))
            .unwrap()
            .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
        let pids: Vec<String> =
            all.flat_map(|pids| pids.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
        let is_watchdog = |pid: &&String| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "kastrel-watch")
        };
        let watchdog = pids.iter().find(is_watchdog).expect("the server has a watchdog");
        let parts = std::fs::read_to_string(format!("/proc/{watchdog}/smaps_rollup")).unwrap();
        let kilobytes = |name: &str| -> f64 {
            parts
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map_or(0.0, |value| value.trim().trim_end_matches(" kB").parse().unwrap())
        };
        (kilobytes("Private_Clean:") + kilobytes("Private_Dirty:")) / 1024.0
    }

    /// Sends a request without a body.
    pub(crate) async fn order(&self, path: &str) {
        let answer = self.post(path).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.with_token(self.client.get(self.url(path)))
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.with_token(self.client.post(self.url(path)))
    }

    fn with_token(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Returns the resident memory of a process.
pub(crate) fn resident_mb(process: &Child) -> f64 {
    memory_mb(process, "VmRSS:")
}

fn memory_mb(process: &Child, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
    let kilobytes: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kilobytes / 1024.0
}

/// Returns the program's command, in a folder of the benchmark, with the fake KAST.
fn command(dir: &Path, data: &str, variables: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kastrel"));
    command
        .current_dir(dir)
        .env("KASTREL_DATA_DIR", dir.join(data))
        .env("KASTREL_ALLOW_PRIVATE_TARGETS", "true")
        .env("KAST_CLI_PATH", fake_kast())
        .env("FAKE_KAST_STARTS", dir.join("starts"))
        .env("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_STARTS")
        .env("KASTREL_SCANS__BACKOFF_BASE_SECONDS", "0")
        .env("KASTREL_LOG__LEVEL", "warn")
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("starts")).unwrap();
    dir
}

fn address(data: &Path) -> Option<SocketAddr> {
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(data.join("server.json")).ok()?).ok()?;
    file["url"].as_str()?.strip_prefix("http://")?.parse().ok()
}

fn fake_kast() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_kastrel")).parent().unwrap().join("examples").join("fake-kast");
    assert!(path.exists(), "{} is missing: run `make bench`, which builds it", path.display());
    path
}

async fn until<T>(look: impl Fn() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.expect("what was waited for never came")
}
