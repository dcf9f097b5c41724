//! The benchmark of the README's figures: one table, and the same as JSON in `target/bench.json`.
//!
//! The setup is the same as in production: the release build of `kastrel serve` as a separate
//! process with its embedded database on disk, scans submitted over HTTP, and the test suite's fake
//! KAST as the scanner. The rows of several processes use a real Redis and a real SurrealDB server.
//! The status route is measured against an empty axum route in the same run, in alternation,
//! because machines are noisy.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for developers: it prints, and it stops at the first surprise"
)]

mod accounts;
mod cluster;
mod dashboard;
mod findings;
mod load;
#[path = "../../tests/helpers/redis_server.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod redis_server;
mod report;
mod server;
#[path = "../../tests/helpers/surreal_server.rs"]
#[expect(dead_code, reason = "tests use more of it")]
mod surreal_server;
mod telemetry;

use std::process::ExitCode;
use std::time::Duration;

use report::Report;
use server::Server;

/// The number of scans for latencies.
const SCANS: usize = 200;
/// The number of concurrent submissions in a burst.
const BURST: usize = 300;
/// The number of scans that run while the status route is measured.
const RUNNING: usize = 50;
/// The maximum number of concurrent scans.
const CROWD: usize = 500;
/// The duration of one turn of the load.
const TURN: Duration = Duration::from_secs(3);
const TURNS: usize = 3;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if std::env::args().nth(1).as_deref() == Some("empty-route") {
        runtime.block_on(load::serve_empty_route());
        return ExitCode::SUCCESS;
    }
    // `cargo bench --bench kastrel -- latency` measures one part only.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let mut report = Report::default();
    macro_rules! take {
        ($($part:ident $(:: $row:ident)?)+) => {
            $(
                if only.as_deref().is_none_or(|only| stringify!($part $(:: $row)?).replace(' ', "") == only) {
                    runtime.block_on($part $(:: $row)? (&mut report));
                }
            )+
        };
    }
    if only.as_deref() == Some("dashboard::million") {
        runtime.block_on(dashboard::million(&mut report));
    }
    take! { idle_memory latency burst progress restart status telemetry::cost crowd dashboard::pages dashboard::streams accounts::lists accounts::token accounts::sign_ins findings::ingestion findings::pages findings::export cluster::latency cluster::fleet }
    println!("{}", report.table());
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("bench.json");
    std::fs::write(&path, report.json()).unwrap();
    println!("also in {}", path.display());
    ExitCode::SUCCESS
}

async fn idle_memory(report: &mut Report) {
    let server = Server::start(4).await;
    server.settle().await;
    report.add("memory of the idle server", server.resident_mb(), "MB", Some("at most 80"));
    report.add("memory of its watchdog that it shares with nobody", server.watchdogs_own_mb(), "MB", None);
}

async fn latency(report: &mut Report) {
    let server = Server::start(4).await;
    server.settle().await;
    let mut samples = Vec::new();
    for _ in 0..SCANS {
        let (id, sent) = server.submit("1p.test").await;
        samples.push(server.started(id, 1).await - sent);
        server.ended(id).await;
    }
    report.latencies("submission to process start", &samples, Some("4 ms median"));
}

async fn burst(report: &mut Report) {
    let server = Server::start(16).await;
    server.settle().await;
    let start = server::now_ms();
    let submissions: Vec<_> = (0..BURST).map(|_| server.submit("1p.test")).collect();
    let submitted = futures_util::future::join_all(submissions).await;
    let accepted = server::now_ms();
    let mut samples = Vec::new();
    for (id, sent) in &submitted {
        samples.push(server.started(*id, 1).await - sent);
    }
    for (id, _) in &submitted {
        server.ended(*id).await;
    }
    report.add("burst of 300: all accepted after", accepted - start, "ms", None);
    report.latencies("burst of 300, 16 at once: submission to process start", &samples, None);
    report.add("burst of 300, 16 at once: all completed after", server::now_ms() - start, "ms", None);
}

/// Measures the bytes that the server writes for a scan whose plugins end one after the other.
async fn progress(report: &mut Report) {
    let server = Server::start(8).await;
    server.settle().await;
    let before = server.written_kb();
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(server.submit("6000ms-6p.test").await.0);
    }
    for id in &ids {
        server.ended(*id).await;
    }
    let written = (server.written_kb() - before) / ids.len() as f64;
    report.add("bytes written for a scan of 6 s with 6 plugins", written, "kB", None);
}

async fn restart(report: &mut Report) {
    let server = Server::start(4).await;
    server.settle().await;
    let mut samples = Vec::new();
    for _ in 0..20 {
        let (id, _) = server.submit("flaky-1p.test").await;
        for attempt in 2..=3 {
            let started = server.started(id, attempt).await;
            samples.push(started - server.crashed(id, attempt - 1));
        }
        server.ended(id).await;
    }
    report.latencies("crash of KAST to the next attempt's process, without the backoff", &samples, None);
}

async fn status(report: &mut Report) {
    let server = Server::start(RUNNING).await;
    let mut ids = Vec::new();
    for _ in 0..RUNNING {
        let (id, _) = server.submit("hang.test").await;
        server.started(id, 1).await;
        ids.push(id);
    }
    let empty = load::EmptyRoute::start().await;
    let path = format!("/api/scans/{}/status", ids[0]);
    load::run(server.address, &path, TURN / 3).await;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        with.push(load::run(server.address, &path, TURN).await);
        without.push(load::run(empty.address, "/", TURN).await);
    }
    let (with, without) = (report::median(&with), report::median(&without));
    report.add("status API while 50 scans run", with, "requests/s", Some("50000"));
    report.add("an empty axum route in the same run", without, "requests/s", None);
    report.add("status API against the empty route", with / without, "", Some("at least 0.5"));
    server.cancel_all(&ids).await;
}

async fn crowd(report: &mut Report) {
    let server = Server::start(CROWD).await;
    let mut ids = Vec::new();
    for _ in 0..CROWD {
        ids.push(server.submit("hang.test").await.0);
    }
    for id in &ids {
        server.started(*id, 1).await;
    }
    report.add("memory with 500 scans running (without the scanners)", server.resident_mb(), "MB", None);
    let start = server::now_ms();
    server.cancel_all(&ids).await;
    report.add("cancelling all 500", server::now_ms() - start, "ms", None);
}
