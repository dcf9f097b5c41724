//! Tests of what a retry runs again and what it keeps, and of the re-run of failed plugins.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::app::{TestApp, Watched, ends};
use crate::kast_runner::stage::PATIENCE;

/// The folder of an attempt.
fn folder(app: &TestApp, scan: u64, attempt: u32) -> PathBuf {
    let suffix = format!("-{scan}");
    let scans = std::fs::read_dir(app.data().join("results")).unwrap().flatten();
    let mut found = scans.filter(|entry| entry.file_name().to_string_lossy().ends_with(&suffix));
    found.next().expect("the scan has a folder").path().join(format!("attempt-{attempt}"))
}

/// Submits a scan with the first two plugins. Neither depends on the other, so each can run alone.
async fn submit_two(app: &TestApp, target: &str) -> u64 {
    let (status, body) = app.post("/api/scans", &json!({ "target": target, "plugins": ["whatweb", "wafw00f"] })).await;
    assert_eq!(status, 201, "{body}");
    body["scan_id"].as_u64().unwrap()
}

/// The state of a plugin, and the earlier attempt whose result the scan keeps.
fn plugin<'a>(scan: &'a Value, name: &str) -> (&'a str, Option<u64>) {
    let plugins = scan["plugins"].as_array().unwrap();
    let found = plugins.iter().find(|plugin| plugin["plugin_name"] == name);
    let found = found.unwrap_or_else(|| panic!("no plugin {name}: {scan:#}"));
    (found["status"].as_str().unwrap(), found["attempt"].as_u64())
}

#[tokio::test]
async fn retry_after_a_crash_runs_only_what_has_no_result() {
    let app = TestApp::start().await;
    let id = submit_two(&app, "halfcrash-2p.test").await;
    let scan = app.until_status(id, "completed").await;
    assert_eq!(ends(&scan), ["crashed", "completed"]);
    assert_eq!(plugin(&scan, "whatweb"), ("completed", Some(1)), "{scan:#}");
    assert_eq!(plugin(&scan, "wafw00f"), ("completed", None), "{scan:#}");
    let (first, second) = (folder(&app, id, 1), folder(&app, id, 2));
    assert!(first.join("whatweb_processed.json").exists() && !second.join("whatweb.json").exists());
    assert!(second.join("wafw00f_processed.json").exists());
    let command = std::fs::read_to_string(second.join("command.sh")).unwrap();
    let only = command.split("--run-only ").nth(1).unwrap_or_else(|| panic!("{command}"));
    assert!(!only.split(' ').next().unwrap().split(',').any(|name| name == "whatweb"), "{command}");

    let page = app.text(&format!("/scans/{id}")).await;
    assert!(page.contains("The results of 1 plugin are kept from attempt 1."), "{page}");
    let of_plugin = app.text(&format!("/scans/{id}/plugins/whatweb")).await;
    assert!(of_plugin.contains(&format!("/scans/{id}/attempts/1/view/whatweb_processed.json")), "{of_plugin}");
    assert!(of_plugin.contains("id=\"kept-from\""), "{of_plugin}");
    let of_other = app.text(&format!("/scans/{id}/plugins/wafw00f")).await;
    assert!(of_other.contains(&format!("/scans/{id}/attempts/2/view/wafw00f_processed.json")), "{of_other}");
}

#[tokio::test]
async fn retry_runs_everything_if_the_setting_is_off() {
    let app = TestApp::with(&[("KASTREL_SCANS__RESUME", "false")]).await;
    let id = submit_two(&app, "halfcrash-2p.test").await;
    let scan = app.until_status(id, "completed").await;
    assert_eq!(ends(&scan), ["crashed", "completed"]);
    for name in ["whatweb", "wafw00f"] {
        assert_eq!(plugin(&scan, name), ("completed", None), "{scan:#}");
        assert!(folder(&app, id, 2).join(format!("{name}_processed.json")).exists(), "{name}");
    }
    assert!(!app.text(&format!("/scans/{id}")).await.contains("id=\"kept\""));
}

/// The server is killed while the first attempt runs its second plugin. What the first plugin found
/// is in the files, whether or not the row has it yet.
#[tokio::test]
async fn killed_server_repeats_no_plugin_that_had_completed() {
    let gates = tempfile::tempdir().unwrap();
    let mut app = TestApp::with(&[
        ("FAKE_KAST_GATES", gates.path().to_str().unwrap()),
        ("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_GATES"),
    ])
    .await;
    let open = |name: &str| std::fs::write(gates.path().join(name), "").unwrap();
    let id = submit_two(&app, "gated-2p.test").await;
    // The row says which scanner runs, so its results are known to be of this version.
    let known = async {
        while app.scan(id).await["attempts"][0]["scanner"].is_null() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("the scanner starts");
    open("whatweb");
    let has_first = |scan: &Value| {
        let plugins = scan["results"].as_array();
        plugins.is_some_and(|all| all.iter().any(|one| one["plugin_name"] == "whatweb" && one["status"] == "completed"))
    };
    app.until(id, has_first).await;
    let processes = Watched::of(&app.processes_of(id));
    app.kill_server().await;
    // The gate of the second plugin is opened when nothing of the first attempt runs any more.
    processes.ended().await;
    std::fs::remove_file(gates.path().join("whatweb")).unwrap();
    open("wafw00f");
    app.restart().await;
    // The gate of the first plugin is closed: if it ran again, the scan would not end.
    let scan = app.until_status(id, "completed").await;
    assert_eq!(ends(&scan), ["node_lost", "completed"]);
    assert_eq!(plugin(&scan, "whatweb"), ("completed", Some(1)), "{scan:#}");
    assert_eq!(plugin(&scan, "wafw00f"), ("completed", None), "{scan:#}");
}

#[tokio::test]
async fn failed_plugins_of_an_ended_scan_run_again_as_a_new_scan() {
    let app = TestApp::start().await;
    let id = app.submit("failp-6p.test").await;
    let scan = app.until_status(id, "completed").await;
    assert_eq!(plugin(&scan, "ai_surface_detection").0, "failed", "{scan:#}");
    let page = app.text(&format!("/scans/{id}")).await;
    assert!(page.contains("Run the failed plugin again"), "{page}");
    let (status, again) = app.post(&format!("/api/scans/{id}/rerun"), &json!({ "plugins": "failed" })).await;
    assert_eq!(status, 201, "{again:#}");
    assert_eq!((&again["rerun_of"], &again["request"]["plugins"]), (&json!(id), &json!(["ai_surface_detection"])));
    // A scan whose plugins all have a result has nothing to run again.
    let complete = app.submit("6p.test").await;
    app.until_status(complete, "completed").await;
    let (status, refused) = app.post(&format!("/api/scans/{complete}/rerun"), &json!({ "plugins": "failed" })).await;
    assert_eq!((status, &refused["errors"][0]["field"]), (422, &json!("plugins")), "{refused:#}");
    assert!(!app.text(&format!("/scans/{complete}")).await.contains("id=\"rerun-failed\""));
    let (status, _) = app.post(&format!("/api/scans/{id}/rerun"), &json!({ "plugins": "some" })).await;
    assert!(status == 400 || status == 422, "{status}");
    let last = again["scan_id"].as_u64().unwrap();
    app.until(last, |scan| !matches!(scan["status"].as_str(), Some("pending" | "running"))).await;
}
