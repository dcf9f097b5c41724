//! `kastrel serve` as a process, with a data folder of its own and the fake KAST.

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
}

/// Milliseconds since the epoch, by the clock that the fake KAST writes as well.
#[expect(clippy::disallowed_methods, reason = "two processes are compared, so the wall clock is the one they share")]
pub(crate) fn now_ms() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

impl Server {
    pub(crate) async fn start(concurrency: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let starts = dir.path().join("starts");
        std::fs::create_dir(&starts).unwrap();
        let data = dir.path().join("data");
        let process = Command::new(env!("CARGO_BIN_EXE_kastrel"))
            .args(["serve", "--listen", "127.0.0.1:0", "--allow-private-targets", "--concurrency", &concurrency.to_string()])
            .arg("--data-dir")
            .arg(&data)
            .current_dir(dir.path())
            .env("KAST_CLI_PATH", fake_kast())
            .env("FAKE_KAST_STARTS", &starts)
            .env("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_STARTS")
            .env("KASTREL_SCANS__BACKOFF_BASE_SECONDS", "0")
            .env("KASTREL_LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let address = until(|| address(&data)).await;
        // A client of reqwest wants a TLS provider even for plain HTTP.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { address, process, client: reqwest::Client::new(), dir }
    }

    /// Waits until the server is ready and knows its scanner's plugins.
    pub(crate) async fn settle(&self) {
        for path in ["/readyz", "/api/plugins"] {
            loop {
                if self.client.get(self.url(path)).send().await.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Submits a scan; its id, and when the request was sent.
    pub(crate) async fn submit(&self, target: &str) -> (u64, f64) {
        let sent = now_ms();
        let answer = self.client.post(self.url("/api/scans")).json(&serde_json::json!({ "target": target })).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201, "{}", answer.text().await.unwrap());
        let id = answer.headers()["location"].to_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
        (id, sent)
    }

    /// When the process of an attempt began its `main`.
    pub(crate) async fn started(&self, id: u64, attempt: u32) -> f64 {
        until(|| self.mark(id, attempt, "start")).await
    }

    /// When the process of an attempt ended itself.
    pub(crate) fn crashed(&self, id: u64, attempt: u32) -> f64 {
        self.mark(id, attempt, "end").unwrap()
    }

    fn mark(&self, id: u64, attempt: u32, what: &str) -> Option<f64> {
        std::fs::read_to_string(self.dir.path().join("starts").join(format!("{id}-{attempt}.{what}"))).ok()?.parse().ok()
    }

    pub(crate) async fn ended(&self, id: u64) {
        loop {
            let answer = self.client.get(self.url(&format!("/api/scans/{id}/status"))).send().await.unwrap();
            let status: serde_json::Value = answer.json().await.unwrap();
            if !matches!(status["status"].as_str(), Some("pending" | "running")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) async fn cancel_all(&self, ids: &[u64]) {
        for id in ids {
            let answer = self.client.post(self.url(&format!("/api/scans/{id}/cancel"))).send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.status());
        }
        for id in ids {
            self.ended(*id).await;
        }
    }

    /// Resident memory of the server, without the scanners that it runs.
    pub(crate) fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id().unwrap())).unwrap();
        let kilobytes: f64 = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes / 1024.0
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn address(data: &Path) -> Option<SocketAddr> {
    let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(data.join("server.json")).ok()?).ok()?;
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
