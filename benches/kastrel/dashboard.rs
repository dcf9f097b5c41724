//! Benchmarks of the dashboard: its first page and its list with 100,000 scans, and the cost of
//! open pages.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::report::Report;
use crate::server::{self, Server};

/// The numbers of scans in the database of the lists, and the targets of their medians.
const FEW: (u64, &str) = (100_000, "20 ms");
const MANY: (u64, &str) = (1_000_000, "30 ms");
/// The number of timed requests.
pub(crate) const ANSWERS: usize = 100;
/// The number of open pages that show the same change.
const VIEWERS: usize = 200;
/// The number of open streams.
const STREAMS: usize = 2_000;

/// Measures the pages with 100,000 scans.
pub(crate) async fn pages(report: &mut Report) {
    pages_of(report, FEW).await;
}

/// Measures the pages with 1,000,000 scans. The restore takes many minutes, so that only
/// `cargo bench --bench kastrel -- dashboard::million` measures them.
pub(crate) async fn million(report: &mut Report) {
    pages_of(report, MANY).await;
}

/// Measures the time of a page, from the first byte of the request to the last byte of the
/// response.
async fn pages_of(report: &mut Report, (scans, target): (u64, &'static str)) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kastrel.backup");
    write_past(&pattern(dir.path()).await, scans, &file, |_| "default".into());
    let server = Server::start_restored(&file, &[]).await;
    server.settle().await;
    for (name, path) in [
        ("overview", "/"),
        ("list of scans", "/scans"),
        ("list of failed scans, 100 on a page", "/scans?status=failed&per_page=100"),
        ("list of one target, oldest first", "/scans?target=host-7.example.com&sort=oldest"),
    ] {
        // The first request fills the database's caches.
        server.page(path).await;
        let mut samples = Vec::new();
        for _ in 0..ANSWERS {
            samples.push(server.page(path).await);
        }
        report.latencies(&format!("{} scans: {name}", grouped(scans)), &samples, Some(target));
    }
    let took = server.page_for_viewers("/", VIEWERS).await;
    report.add(format!("{} scans: {VIEWERS} open overviews show a change after", grouped(scans)), took, "ms", None);
}

/// Measures open streams of one node: half of them show one scan each, half of them all scans.
pub(crate) async fn streams(report: &mut Report) {
    let server = Server::start(4).await;
    server.settle().await;
    let (id, _) = server.submit("hang.test").await;
    server.started(id, 1).await;
    let before = server.resident_mb();
    let mut open = Vec::new();
    for number in 0..STREAMS {
        let path = if number % 2 == 0 { "/api/events".to_owned() } else { format!("/api/scans/{id}/events") };
        open.push(open_stream(&server, &path).await);
    }
    // Every open stream receives the events of every scan.
    for _ in 0..50 {
        let (id, _) = server.submit("1p.test").await;
        server.ended(id).await;
    }
    report.add(
        "2,000 open event streams: memory of one",
        (server.resident_mb() - before) * 1024.0 / STREAMS as f64,
        "kB",
        Some("bounded"),
    );
    let start = server::now_ms();
    server.cancel_all(&[id]).await;
    for (number, stream) in open.iter_mut().enumerate().filter(|(number, _)| number % 2 == 1) {
        until_text(stream, "event: end").await.unwrap_or_else(|| panic!("stream {number} ended without the end"));
    }
    report.add("2,000 open event streams: the end of a scan reaches 1,000 after", server::now_ms() - start, "ms", None);
}

async fn open_stream(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n", server.address).as_bytes(),
        )
        .await
        .unwrap();
    until_text(&mut stream, "event: ").await.expect("an answer with a first event");
    stream
}

/// Reads until the text arrives, which may span two reads. Returns `None` at the end of the stream.
async fn until_text(stream: &mut TcpStream, wanted: &str) -> Option<()> {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    let read = async {
        while !text.contains(wanted) {
            let size = stream.read(&mut buffer).await.unwrap();
            if size == 0 {
                return None;
            }
            text.push_str(&String::from_utf8_lossy(&buffer[..size]));
        }
        Some(())
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("what was waited for never came")
}

/// Returns the backup of a server with one completed and one failed scan.
pub(crate) async fn pattern(dir: &Path) -> String {
    let server = Server::start(2).await;
    server.settle().await;
    for target in ["6p.test", "usage-1p.test"] {
        let (id, _) = server.submit(target).await;
        server.ended(id).await;
    }
    let file = dir.join("pattern.backup");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_kastrel"));
    let status = command
        .arg("backup")
        .arg(&file)
        .args(["--server", &format!("http://{}", server.address)])
        .stdout(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(status.success());
    std::fs::read_to_string(file).unwrap()
}

/// Writes a backup that repeats the scans of `pattern` for 200 targets, each in the project that
/// `project_of` returns for its number: seven times the first, then the second.
pub(crate) fn write_past(pattern: &str, scans: u64, to: &Path, project_of: impl Fn(u64) -> String) {
    write_past_with(pattern, scans, to, project_of, |_| 0);
}

/// Works like [`write_past`], with the lines of findings that `more` writes. It returns their
/// number.
pub(crate) fn write_past_with(
    pattern: &str,
    scans: u64,
    to: &Path,
    project_of: impl Fn(u64) -> String,
    more: impl FnOnce(&mut dyn FnMut(String)) -> u64,
) {
    let mut lines = pattern.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut header = lines.next().unwrap();
    // Each scan with the plugins that follow it.
    let mut past: Vec<(Value, Vec<Value>)> = Vec::new();
    for mut line in lines {
        if let Some(scan) = line.get_mut("scan") {
            past.push((scan.take(), Vec::new()));
        } else if let Some(result) = line.get_mut("plugin_result") {
            past.last_mut().expect("a plugin follows its scan").1.push(result.take());
        }
    }
    header["last_scan"] = json!(scans);
    let mut out = std::io::BufWriter::new(std::fs::File::create(to).unwrap());
    let mut hash = Sha256::new();
    let mut put = |line: String| {
        hash.update(line.as_bytes());
        out.write_all(line.as_bytes()).unwrap();
    };
    put(format!("{header}\n"));
    let mut results = 0_u64;
    for id in 1..=scans {
        let (scan, plugins) = &mut past[usize::from(id % 8 == 0)];
        scan["id"] = json!(id);
        scan["project"] = json!(project_of(id));
        scan["request"]["target"] = json!(format!("host-{}.example.com", id % 200));
        put(format!("{}\n", json!({ "scan": scan })));
        for plugin in plugins {
            plugin["scan"] = json!(id);
            put(format!("{}\n", json!({ "plugin_result": plugin })));
            results += 1;
        }
    }
    let findings = more(&mut put);
    let mut end = json!({ "scans": scans, "sha256": format!("{:x}", hash.finalize()) });
    for (field, count) in [("results", results), ("findings", findings)] {
        if count > 0 {
            end[field] = json!(count);
        }
    }
    out.write_all(format!("{}\n", json!({ "end": end })).as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Returns a number with a comma between its groups of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}
