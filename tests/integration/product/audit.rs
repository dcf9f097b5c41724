//! Tests of the seals of the audit log: the server makes them, and the command verifies them.

use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;

use super::app::{Ended, TestApp};

/// The JSON output of a command with this exit code.
fn json(ended: &Ended, code: i32) -> Value {
    assert_eq!(ended.code, Some(code), "{}{}", ended.stdout, ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[tokio::test]
async fn audit_log_is_sealed_by_the_server_and_verified_with_and_without_it() {
    let mut app = TestApp::start().await;
    let id = app.submit("ok-2p.test").await;
    app.until_status(id, "completed").await;
    let log = app.data().parent().unwrap().join("log.ndjson");
    let log = log.to_str().unwrap();
    let exported = app.run(&["audit", "export", log]).await;
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let report = json(&app.run(&["audit", "verify", log, "--json"]).await, 0);
    assert_eq!(report["verified"], true);
    app.terminate_server().await;
    assert_eq!(app.data().join("audit.key").metadata().unwrap().mode() & 0o777, 0o600);
    // The stop sealed the last entries.
    let whole = json(&app.run(&["audit", "verify", "--json"]).await, 0);
    assert_eq!((&whole["verified"], &whole["waiting"], &whole["pruned_seals"]), (&true.into(), &0.into(), &0.into()));
    assert!(whole["entries"].as_u64().unwrap() >= 3, "the submission, the end and the export: {whole}");
    let key = whole["keys"][0]["public"].as_str().unwrap().to_owned();
    let last = format!("{}:{}", whole["last_seal"]["number"], whole["last_seal"]["digest"].as_str().unwrap());
    assert_eq!(app.run(&["audit", "verify", "--key", &key, "--seal", &last]).await.code, Some(0));
    let foreign = json(&app.run(&["audit", "verify", "--key", &"ab".repeat(32), "--json"]).await, 7);
    assert_eq!(foreign["verified"], false);
    // A changed file.
    let text = std::fs::read_to_string(log).unwrap();
    std::fs::write(log, text.replacen("scan_submitted", "scan_cancelled", 1)).unwrap();
    let changed = json(&app.run(&["audit", "verify", log, "--json"]).await, 7);
    assert!(!changed["faults"].as_array().unwrap().is_empty(), "{changed}");
    // The next server continues the chain.
    app.restart().await;
    app.terminate_server().await;
    assert_eq!(app.run(&["audit", "verify", "--key", &key, "--seal", &last]).await.code, Some(0));
}
