//! Tests of the comparison of two scans, by the API and on the command line.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::app::TestApp;
use crate::kast_runner::stage::PATIENCE;

const HOST: &str = "shop.test";

fn write(folder: &Path, name: &str, value: &Value) {
    std::fs::write(folder.join(name), value.to_string()).unwrap();
}

/// Writes the files that the next scan has: a result of each of these plugins.
fn prepare(folder: &Path, plugins: &[(&str, Value)]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let (start, end) = ("2026-11-23T19:06:59.039284", "2026-11-23T19:07:02.533311");
    let info = plugins.iter().map(
        |(name, _)| json!({ "plugin_name": name, "start_timestamp": start, "end_timestamp": end, "status": "success" }),
    );
    let info: Vec<Value> = info.collect();
    write(folder, "kast_info.json", &json!({ "kast_version": "3.0.40", "plugins": info }));
    std::fs::write(folder.join("kast_report.html"), "<h1>a report</h1>").unwrap();
    for (name, findings) in plugins {
        let result = json!({
            "plugin-name": name,
            "timestamp": "2026-11-23T19:07:02.522+00:00",
            "findings": { "disposition": "success", "results": findings },
            "findings_count": 1,
            "issues": [],
        });
        write(folder, &format!("{name}_processed.json"), &result);
        write(folder, &format!("{name}.json"), findings);
    }
}

/// What testssl reports about obsolete protocols.
fn testssl() -> Value {
    let good = |id: &str| json!({ "id": id, "severity": "OK", "finding": "not offered" });
    json!({ "scanResult": [{
        "targetHost": HOST,
        "port": "443",
        "protocols": [
            good("SSLv2"),
            good("SSLv3"),
            { "id": "TLS1", "severity": "LOW", "finding": "offered (deprecated)" },
            good("TLS1_1"),
        ],
    }] })
}

/// Submits a scan with these plugins, and waits until its findings are stored.
async fn scanned(app: &TestApp, plugins: &[&str]) -> u64 {
    let (status, body) = app.post("/api/scans", &json!({ "target": HOST, "plugins": plugins })).await;
    assert_eq!(status, 201, "{body}");
    let id = body["scan_id"].as_u64().unwrap();
    app.until_status(id, "completed").await;
    let stored = async {
        // The relay delivers the end of the scan after it.
        let mut tries = tokio::time::interval(Duration::from_millis(50));
        loop {
            tries.tick().await;
            if app.get(&format!("/api/scans/{id}/findings")).await.status() == 200 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, stored).await.expect("the findings were never stored");
    id
}

#[tokio::test]
async fn scan_without_testssl_proves_nothing_about_its_findings() {
    let files = tempfile::tempdir().unwrap();
    let app = TestApp::with(&[
        ("FAKE_KAST_REPLAY", files.path().to_str().unwrap()),
        ("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_REPLAY"),
    ])
    .await;
    prepare(files.path(), &[("testssl", testssl()), ("whatweb", json!([]))]);
    let first = scanned(&app, &["testssl", "whatweb"]).await;
    let seen = app.json(&format!("/api/scans/{first}/findings")).await;
    assert_eq!(seen["findings"].as_array().unwrap().len(), 1, "{seen:#}");
    assert_eq!(seen["findings"][0]["plugin"], "testssl");
    prepare(files.path(), &[("whatweb", json!([]))]);
    let second = scanned(&app, &["whatweb"]).await;

    let compared = app.json(&format!("/api/scans/{second}/compare")).await;
    let count = |class: &str| compared[class].as_array().unwrap().len();
    let counts = (count("new"), count("fixed"), count("unchanged"), count("not_checked"));
    assert_eq!(counts, (0, 0, 0, 1), "{compared:#}");
    assert_eq!(compared["not_checked"][0]["why"], "testssl: the plugin was left out");
    assert_eq!((&compared["earlier"]["scan_id"], &compared["later"]["scan_id"]), (&first.into(), &second.into()));
    let finding = compared["not_checked"][0]["id"].as_str().unwrap();
    let finding = app.json(&format!("/api/findings/{finding}")).await;
    assert_eq!(finding["status"], "open", "{finding:#}");

    let (first, second) = (first.to_string(), second.to_string());
    let shown = app.run(&["compare", &first, &second]).await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("0 new, 0 fixed, 0 unchanged, 1 not checked"), "{}", shown.stdout);
    let printed: Value = serde_json::from_str(&app.run(&["compare", &second, "--json"]).await.stdout).unwrap();
    assert_eq!(printed, compared, "the command prints what the API returns");
    let missing = app.run(&["compare", &first, "99"]).await;
    assert!(missing.code == Some(1) && missing.stderr.contains("no scan 99"), "{missing:?}");
}
