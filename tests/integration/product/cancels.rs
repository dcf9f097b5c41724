//! Tests that a cancel ends all processes of a scan, from every interface.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::app::{TestApp, ends, is_alive, signal};

/// A target whose scanner and its two relatives ignore SIGINT and SIGTERM. One relative has left
/// the process group.
const WILD: &str = "family-hang-stubborn.test";

#[tokio::test]
async fn by_the_api() {
    let app = TestApp::start().await;
    let id = app.submit(WILD).await;
    app.until_busy(id).await;
    let wild = app.processes_of(id);
    assert_eq!(wild.len(), 3, "KAST and two relatives");
    let (status, body) = app.post(&format!("/api/scans/{id}/cancel"), &json!({})).await;
    assert_eq!(status, 202, "{body}");
    let scan = app.until_status(id, "cancelled").await;
    assert_eq!(ends(&scan), ["cancelled"]);
    assert!(app.processes_of(id).is_empty(), "cancelled means that nothing is left");
    assert!(!wild.iter().copied().any(is_alive));
    let (again, _) = app.post(&format!("/api/scans/{id}/cancel"), &json!({})).await;
    assert_eq!(again, 409);
}

#[tokio::test]
async fn cancel_by_the_command_line_ends_all_processes() {
    let app = TestApp::start().await;
    let id = app.submit(WILD).await;
    app.until_busy(id).await;
    let cancel = app.run(&["cancel", &id.to_string()]).await;
    assert_eq!(cancel.code, Some(0), "{}{}", cancel.stdout, cancel.stderr);
    app.until_status(id, "cancelled").await;
    assert!(app.processes().is_empty());
}

#[tokio::test]
async fn queued_scan_is_cancelled_immediately() {
    let app = TestApp::with(&[("KASTREL_SCANS__CONCURRENCY", "1")]).await;
    let running = app.submit("hang.test").await;
    app.until_busy(running).await;
    let waiting = app.submit("hang.test").await;
    let (status, body) = app.post(&format!("/api/scans/{waiting}/cancel"), &json!({})).await;
    assert_eq!((status, body["status"].as_str()), (200, Some("cancelled")));
    app.post(&format!("/api/scans/{running}/cancel"), &json!({})).await;
    app.until_status(running, "cancelled").await;
    assert_eq!(ends(&app.scan(waiting).await), Vec::<String>::new());
}

#[tokio::test]
async fn ctrl_c_cancels_a_local_scan_command() {
    for interrupt in [Signal::INT, Signal::TERM] {
        let app = TestApp::prepare(&[]);
        // A terminal sends the signal to the complete process group.
        let mut scan = app
            .command(&["scan", WILD])
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(scan.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            let busy = line.contains(" running");
            said.push(line);
            if busy {
                break;
            }
        }
        let wild = app.processes_of(1);
        assert_eq!(wild.len(), 3, "{said:?}");
        let watchdog = app.watchdog();
        kill_process_group(Pid::from_raw(scan.id().unwrap().cast_signed()).unwrap(), interrupt).unwrap();
        let status = tokio::time::timeout(crate::kast_runner::stage::PATIENCE, scan.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(130));
        assert!(app.processes().is_empty());
        assert!(!wild.iter().copied().any(is_alive) && !is_alive(watchdog));
        let shown = app.run(&["status", "1", "--json"]).await;
        assert!(shown.stdout.contains("\"cancelled\""), "{}{}", shown.stdout, shown.stderr);
    }
}

#[tokio::test]
async fn ctrl_c_cancels_a_scan_on_the_server() {
    let app = TestApp::start().await;
    let mut scan = app.command(&["scan", WILD]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(scan.stderr.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().expect("news of the scan").contains(" running") {}
    signal(&scan, Signal::INT);
    let status = tokio::time::timeout(crate::kast_runner::stage::PATIENCE, scan.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(app.scan(1).await["status"], "cancelled");
}
