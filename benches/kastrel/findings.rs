//! Benchmarks of findings: how long a result takes to become findings, the pages with 200,000
//! findings and 2,000,000 sightings, and the memory of an export.

use std::path::Path;
use std::time::Duration;

use jiff::ToSpan;
use kastrel_actors::ports::{Clock as _, SystemClock};
use kastrel_findings::identity::{FindingId, Fingerprint, TargetId};
use kastrel_findings::place::Origin;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::dashboard::{ANSWERS, grouped, pattern, write_past_with};
use crate::report::Report;
use crate::server::{self, Server};

/// The number of scans in the database of the pages.
const SCANS: u64 = 100_000;
/// The number of targets with findings, and of findings of each.
const TARGETS: u64 = 2_000;
const FINDINGS: u64 = 100;
/// The number of scans of each target whose results are kept, and of findings that each saw.
const RESULTS: u64 = 20;
const SEEN: u64 = 50;
/// The number of findings of the export of one scan.
const EXPORTED: usize = 10_000;
/// The number of scans whose ingestion is timed.
const INGESTED: usize = 40;

/// Writes the files of a scan with one plugin that has this number of issues, each at a page of its
/// own.
fn write_replay(folder: &Path, issues: usize) {
    let listed: Vec<Value> = (0..issues)
        .map(|number| json!({ "id": format!("issue-{number}"), "severity": "medium", "url": format!("https://host.test/page-{}", letters(number)) }))
        .collect();
    let processed = json!({
        "plugin-name": "whatweb",
        "findings": { "disposition": "success", "results": [] },
        "findings_count": issues,
        "issues": listed,
    });
    let info = json!({
        "kast_version": "3.0.40",
        "plugins": [{ "plugin_name": "whatweb", "status": "success" }],
    });
    std::fs::write(folder.join("whatweb_processed.json"), processed.to_string()).unwrap();
    std::fs::write(folder.join("kast_info.json"), info.to_string()).unwrap();
}

/// A number in letters: digits in a path would be ids, and all pages would be one place.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

fn replaying(folder: &Path) -> [(&'static str, String); 2] {
    [
        ("FAKE_KAST_REPLAY", folder.display().to_string()),
        ("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_STARTS,FAKE_KAST_REPLAY".to_owned()),
    ]
}

/// Measures the time from the end of a scan until its findings can be read.
pub(crate) async fn ingestion(report: &mut Report) {
    for issues in [0, SEEN as usize] {
        let replay = tempfile::tempdir().unwrap();
        write_replay(replay.path(), issues);
        let server = Server::serve(&["--concurrency", "1"], &replaying(replay.path())).await;
        server.settle().await;
        let mut samples = Vec::new();
        for number in 0..INGESTED {
            // Half of the scans see a new target, the others one that is known.
            let (id, _) = server.submit(&format!("host-{}.test", letters(number / 2))).await;
            server.ended(id).await;
            let ended = server::now_ms();
            server.until_ok(&format!("/api/scans/{id}/findings")).await;
            samples.push(server::now_ms() - ended);
        }
        let target = (issues > 0).then_some("25 ms");
        report.latencies(&format!("end of a scan with {issues} findings to its findings"), &samples, target);
    }
}

/// Measures the pages of targets and findings.
pub(crate) async fn pages(report: &mut Report) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kastrel.backup");
    let rows = finding_pattern().await;
    write_past_with(&pattern(dir.path()).await, SCANS, &file, |_| "default".into(), |put| write_findings(&rows, put));
    let server = Server::start_restored(&file, &[]).await;
    std::fs::remove_file(&file).unwrap();
    server.settle().await;
    let before = server.resident_mb();
    let name = |what: &str| format!("{} findings: {what}", grouped(TARGETS * FINDINGS));
    report.add(name("first page after a start"), server.page("/findings").await, "ms", None);
    server.settle().await;
    report.add(name("memory that they take in the server"), server.resident_mb() - before, "MB", None);
    let origin = "https://host-7.example.com";
    let target = TargetId::of("default", &Origin::parse(origin).unwrap());
    for (what, path) in [
        ("list", "/findings".to_owned()),
        ("list of new ones, by severity", "/findings?q=severity:high,critical+new:7d".to_owned()),
        ("grouped by issue", "/findings?group=issue".to_owned()),
        ("list of a word", "/findings?q=page-b".to_owned()),
        ("list of targets", "/targets".to_owned()),
        ("target", format!("/targets/{target}")),
        ("API", "/api/findings?q=severity:high".to_owned()),
    ] {
        server.page(&path).await;
        let mut samples = Vec::new();
        for _ in 0..ANSWERS {
            samples.push(server.page(&path).await);
        }
        report.latencies(&name(what), &samples, Some("20 ms"));
    }
}

/// Measures the memory of the server while it exports the findings of one scan as SARIF.
pub(crate) async fn export(report: &mut Report) {
    let replay = tempfile::tempdir().unwrap();
    write_replay(replay.path(), EXPORTED);
    let server = Server::serve(&["--concurrency", "1"], &replaying(replay.path())).await;
    server.settle().await;
    let (id, _) = server.submit("host.test").await;
    server.ended(id).await;
    server.until_ok(&format!("/api/scans/{id}/findings")).await;
    server.settle().await;
    // What the ingestion used is free again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = server.resident_mb();
    server.forget_peak();
    let took = server.page(&format!("/api/scans/{id}/export?format=sarif")).await;
    let what = format!("SARIF export of {} findings", grouped(EXPORTED as u64));
    report.add(format!("{what}: time"), took, "ms", None);
    report.add(format!("{what}: peak memory above that before"), server.peak_mb() - before, "MB", Some("bounded"));
}

/// The rows of the backup of a server after one scan with findings.
async fn finding_pattern() -> Vec<Value> {
    let replay = tempfile::tempdir().unwrap();
    write_replay(replay.path(), SEEN as usize);
    let server = Server::serve(&["--concurrency", "1"], &replaying(replay.path())).await;
    server.settle().await;
    let (id, _) = server.submit("host.test").await;
    server.ended(id).await;
    server.until_ok(&format!("/api/scans/{id}/findings")).await;
    let file = replay.path().join("pattern.backup");
    server.command(&["backup", &file.display().to_string()]).await;
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap().get_mut("findings").map(Value::take))
        .collect()
}

/// A row of a table, and its content.
fn rows_of(rows: &[Value], table: &str) -> Vec<(Value, Value)> {
    let of_table = rows.iter().filter_map(|row| row.get(table));
    of_table.map(|row| (row.clone(), serde_json::from_str(row["body"].as_str().unwrap()).unwrap())).collect()
}

/// Writes the rows of the pattern for many targets, and returns their number.
fn write_findings(pattern: &[Value], put: &mut dyn FnMut(String)) -> u64 {
    let findings = rows_of(pattern, "finding");
    let (mut result, mut result_body) = rows_of(pattern, "scan_result").remove(0);
    let (mut observed, observed_body) = rows_of(pattern, "scan_observed").remove(0);
    let (mut target, mut target_body) = rows_of(pattern, "target").remove(0);
    let now = SystemClock.now();
    let mut count = 0;
    let mut put_row = |table: &str, row: &mut Value, body: &Value| {
        row["body"] = json!(body.to_string());
        put(format!("{}\n", json!({ "findings": { table: row } })));
        count += 1;
    };
    for number in 0..TARGETS {
        let origin = Origin::parse(&format!("https://host-{number}.example.com")).unwrap();
        let id = TargetId::of("default", &origin);
        for past in 0..RESULTS {
            let scan = number * RESULTS + past + 1;
            let at = now - (i64::try_from(RESULTS - past).unwrap() * 24).hours();
            for (field, value) in [("scan", json!(scan)), ("target", json!(id.to_string()))] {
                result[field] = value.clone();
                result_body[field] = value;
            }
            result_body["order"] = json!({ "at": at, "scan": scan, "token": 1 });
            let place = i128::from(i64::MIN).unsigned_abs() + u128::try_from(at.as_nanosecond()).unwrap();
            result["place"] = json!(format!("{place:020}-{scan:020}-{:020}", 1));
            put_row("scan_result", &mut result, &result_body);
            observed["scan"] = json!(scan);
            put_row("scan_observed", &mut observed, &observed_body);
        }
        for finding in 0..FINDINGS {
            let (mut row, mut body) = findings[usize::try_from(finding % SEEN).unwrap()].clone();
            let print = format!("kfp1:{}", hex::encode(Sha256::digest(format!("{finding}"))));
            let name = FindingId::of(id, print.parse::<Fingerprint>().unwrap()).to_string();
            let seen = now - (i64::try_from((number + finding) % 60).unwrap() * 24).hours();
            let order = json!({ "at": seen, "scan": number * RESULTS + 1, "token": 1 });
            body["id"] = json!(name);
            body["target"] = json!(id.to_string());
            body["fingerprint"] = json!(print);
            body["issue"] = json!(format!("issue-{}", finding % SEEN));
            body["severity"] =
                json!(["critical", "high", "medium", "low", "informational"][usize::try_from(finding % 5).unwrap()]);
            for field in ["first_seen", "last_seen"] {
                body["life"][field] = json!({ "order": order });
            }
            body["life"]["open_since"] = json!(seen);
            row["name"] = json!(name);
            row["target"] = json!(id.to_string());
            put_row("finding", &mut row, &body);
        }
        let name = id.to_string();
        target_body["id"] = json!(name);
        target_body["origin"] = json!(origin.to_string());
        target_body["last_scan"] = result_body["order"].clone();
        target["name"] = json!(name);
        put_row("target", &mut target, &target_body);
    }
    count
}
