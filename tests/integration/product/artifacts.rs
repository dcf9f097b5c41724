//! Tests of scan files in an S3 bucket, with a real S3 server.

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::json;
use tokio::sync::mpsc;

use super::app::TestApp;
use crate::client::Client;
use crate::kast_runner::stage::PATIENCE;
use crate::s3_server::S3Server;

const SECRET: &str = "hunter2/secret+of+the+bucket";

/// Returns the settings of a process that stores its scans' files in the bucket `scans` at
/// `endpoint`.
pub(crate) fn in_bucket(endpoint: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("KASTREL_ARTIFACTS__URL", "s3://scans/team"),
        ("KASTREL_ARTIFACTS__ENDPOINT", endpoint),
        ("KASTREL_ARTIFACTS__ALLOW_HTTP", "true"),
        ("KASTREL_ARTIFACTS__ACCESS_KEY_ID", "the-key-of-the-bucket"),
        ("KASTREL_ARTIFACTS__SECRET_ACCESS_KEY", SECRET),
        ("KASTREL_ARTIFACTS__RETRIES", "0"),
        ("KASTREL_ARTIFACTS__LIVE_LOG_SECONDS", "1"),
    ]
}

/// Prepares a server with these settings.
fn prepare(endpoint: &str, more: &[(&'static str, &str)]) -> TestApp {
    let mut variables = in_bucket(endpoint);
    variables.extend(more);
    TestApp::prepare(&variables)
}

/// Asserts that all files of a completed scan are served, by a node without local files.
pub(crate) async fn is_served(app: &Client, id: u64) {
    let report = app.get(&format!("/scans/{id}/attempts/1/files/kast_report.html")).await;
    assert_eq!(
        (report.status().as_u16(), report.headers()["content-type"].to_str().unwrap()),
        (200, "text/html; charset=utf-8")
    );
    assert!(report.headers()["content-security-policy"].to_str().unwrap().starts_with("sandbox;"));
    assert_eq!(report.headers()["x-content-type-options"], "nosniff");
    assert_eq!(report.text().await.unwrap(), "<h1>a report</h1>");
    assert!(
        app.text(&format!("/scans/{id}/report"))
            .await
            .contains(&format!("/scans/{id}/attempts/1/files/kast_report.html"))
    );
    let files = app.text(&format!("/scans/{id}/files")).await;
    assert!(
        files.contains("whatweb_processed.json")
            && files.contains("kast.log")
            && !files.contains("Files received so far"),
        "{files}"
    );
    let page = app.text(&format!("/scans/{id}")).await;
    assert!(page.contains(r#"id="log""#) && page.contains("Running whatweb"), "{page}");
    let log = app.text(&format!("/scans/{id}/attempts/1/files/kast.log")).await;
    assert!(log.starts_with("KAST - Kali"), "{log}");
    for escape in [
        "../manifest.json",
        "..%2fmanifest.json",
        "..%2f..%2f..%2fmanifest.json",
        "manifest.json",
        "live/log-tail.txt",
        "%2fetc%2fpasswd",
    ] {
        let answer = app.get(&format!("/scans/{id}/attempts/1/files/{escape}")).await;
        assert!(answer.status().is_client_error(), "{escape}: {}", answer.status());
    }
}

fn results(app: &TestApp) -> PathBuf {
    app.data().join("results")
}

/// Returns the folder of the only scan's first attempt.
fn attempt_folder(app: &TestApp) -> PathBuf {
    let scan = std::fs::read_dir(results(app)).unwrap().next().unwrap().unwrap().path();
    scan.join("attempt-1")
}

/// Waits until a folder is removed.
async fn until_gone(folder: &Path) {
    let (sender, mut changes) = mpsc::unbounded_channel();
    let mut watcher =
        notify::recommended_watcher(move |event: notify::Result<notify::Event>| drop(sender.send(event))).unwrap();
    notify::Watcher::watch(&mut watcher, folder.parent().unwrap(), notify::RecursiveMode::NonRecursive).unwrap();
    while folder.exists() {
        tokio::time::timeout(PATIENCE, changes.recv()).await.expect("the folder stays");
    }
}

#[tokio::test]
async fn completed_scan_is_served_from_the_bucket() {
    let s3 = S3Server::start("scans").await;
    let mut app = prepare(&s3.endpoint(), &[]);
    app.restart().await;
    let id = app.submit("ok-2p.test").await;
    app.until_status(id, "completed").await;
    // From the moment of completion any other machine can serve the scan.
    std::fs::remove_dir_all(results(&app)).unwrap();
    is_served(&app, id).await;
    app.terminate_server().await;
    let status = app.run(&["status", &id.to_string(), "--json"]).await;
    let scan: serde_json::Value =
        serde_json::from_str(&status.stdout).unwrap_or_else(|error| panic!("{error}: {}", status.stderr));
    let report = scan["report"].as_str().unwrap_or_default();
    assert!(
        report.starts_with("s3://scans/team/ok-2p.test-") && report.ends_with("/attempt-1/files/kast_report.html"),
        "{scan:#}"
    );
}

#[tokio::test]
async fn bucket_outage_loses_no_verdict_and_no_file() {
    let s3 = S3Server::start("scans").await;
    let port = s3.port();
    let mut app = prepare(&s3.endpoint(), &[("KASTREL_ARTIFACTS__KEEP_LOCAL_HOURS", "0")]);
    app.restart().await;
    drop(s3);
    let id = app.submit("ok-2p.test").await;
    app.until_status(id, "completed").await;
    let folder = attempt_folder(&app);
    assert!(folder.join("kast_report.html").exists());
    is_served(&app, id).await;
    let s3 = S3Server::start_on(port, "scans").await;
    // With a retention of zero, the worker's copy is removed once the bucket has the files.
    until_gone(&folder).await;
    is_served(&app, id).await;
    // The same with a worker that is killed before the bucket is back.
    drop(s3);
    let id = app.submit("ok-3p.test").await;
    app.until_status(id, "completed").await;
    app.kill_server().await;
    let _s3 = S3Server::start_on(port, "scans").await;
    let folder = std::fs::read_dir(results(&app))
        .unwrap()
        .map(|scan| scan.unwrap().path().join("attempt-1"))
        .find(|folder| folder.exists())
        .unwrap();
    app.restart().await;
    until_gone(&folder).await;
    is_served(&app, id).await;
}

#[tokio::test]
async fn log_of_a_running_scan_is_shown_on_another_machine() {
    let s3 = S3Server::start("scans").await;
    let mut app = prepare(&s3.endpoint(), &[]);
    app.restart().await;
    let id = app.submit("hang-1p.test").await;
    app.until_busy(id).await;
    let bucket = AmazonS3Builder::new().with_bucket_name("scans").with_endpoint(s3.endpoint()).with_allow_http(true);
    let bucket = bucket.with_access_key_id("test").with_secret_access_key("test").build().unwrap();
    let arrives = async {
        loop {
            let objects: Vec<_> = bucket.list(None).try_collect().await.unwrap();
            if let Some(tail) =
                objects.iter().find(|object| object.location.as_ref().ends_with("/attempt-1/live/log-tail.txt"))
            {
                let text = bucket.get(&tail.location).await.unwrap().bytes().await.unwrap();
                if String::from_utf8_lossy(&text).contains("hanging") {
                    return;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, arrives).await.expect("the log never arrived");
    // A machine that does not run the scan has no folder for it.
    let away = app.data().join("away");
    std::fs::rename(results(&app), &away).unwrap();
    let page = app.text(&format!("/scans/{id}")).await;
    assert!(page.contains("hanging") && page.contains("Received from the node so far"), "{page}");
    assert!(app.text(&format!("/scans/{id}/files")).await.contains("Files received so far"));
    std::fs::rename(away, results(&app)).unwrap();
    app.post(&format!("/api/scans/{id}/cancel"), &json!({})).await;
    app.until_status(id, "cancelled").await;
}

#[tokio::test]
async fn bucket_secret_is_never_shown() {
    let s3 = S3Server::start("scans").await;
    let directives = "debug,object_store=trace,hyper=trace,hyper_util=trace,reqwest=trace,kastrel=trace";
    let app = prepare(&s3.endpoint(), &[("KASTREL_LOG__LEVEL", directives)]);
    let config = app.run(&["config", "show"]).await;
    let json = app.run(&["config", "show", "--json"]).await;
    assert!(config.stdout.contains("artifacts.secret_access_key") && json.stdout.contains("***"), "{}", config.stdout);
    let up = app.run(&["scan", "env-1p.test", "--json"]).await;
    assert_eq!(up.code, Some(0), "{}", up.stderr);
    let log = std::fs::read_to_string(attempt_folder(&app).join("kast.log")).unwrap();
    assert!(log.contains("env PATH="), "{log}");
    drop(s3);
    let down = app.run(&["scan", "ok-1p.test", "--json"]).await;
    assert_eq!(down.code, Some(0), "{}", down.stderr);
    assert!(down.stderr.contains("not stored yet"), "{}", down.stderr);
    for shown in [&config.stdout, &json.stdout, &up.stdout, &up.stderr, &down.stdout, &down.stderr, &log] {
        assert!(!shown.contains(SECRET) && !shown.contains("the-key-of-the-bucket"), "{shown}");
    }
}
