//! The API and its description agree on every request: schemathesis, from PyPI, tries a bounded
//! number of them.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use super::app::TestApp;
use crate::pypi::installed;

/// The package and its version.
const PACKAGE: &str = "schemathesis==4.32.5";
/// The versions of what it needs: others try other requests.
const VERSIONS: &str = include_str!("../../helpers/schemathesis.txt");
/// How many requests are tried of each operation, beside those that follow from the description
/// itself.
const EXAMPLES: &str = "25";
/// The same requests each time: a difference that is found can be looked at. What no schema can say
/// is left out: where a place of a list belongs to another order, and which of the submissions that
/// are well formed are accepted (the scope of targets, the scanner's plugins and settings, a key
/// that belongs to another submission). What is accepted of them must still answer as described.
/// The zones of the description are those of the machine, so one that every machine knows is tried.
const SETTINGS: &str = r#"
seed = 1
continue-on-failure = true
suppress-health-check = ["all"]

[parameters]
"query.at" = ""
"query.zone" = "UTC"

[[operations]]
include-name = "POST /api/scans"
checks.positive_data_acceptance.enabled = false
"#;
/// Two live streams have no end, and are left out.
const STREAMS: &str = "/events$";
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_is_as_it_is_described() {
    let app = TestApp::with(&[("KASTREL_QUEUE__CLIENT_SHARE", "100"), ("KASTREL_QUEUE__MAX_WAITING", "0")]).await;
    // Scans to be asked about: one has ended, one waits.
    let ended = app.submit("ok-2p.test").await;
    app.until_status(ended, "completed").await;
    app.post("/api/queue/pause", &json!({})).await;
    app.submit("ok-1p.test").await;
    let folder = tokio::task::spawn_blocking(|| installed("schemathesis", PACKAGE, VERSIONS)).await.unwrap();
    let report = tempfile::tempdir().unwrap();
    let settings = report.path().join("schemathesis.toml");
    std::fs::write(&settings, SETTINGS).unwrap();
    let mut command = Command::new(folder.join("bin/st"));
    command.arg("--config-file").arg(settings).args([
        "run",
        &format!("{}/api/openapi.json", app.url()),
        "--exclude-path-regex",
        STREAMS,
        "--phases",
        "examples,coverage,fuzzing",
    ]);
    command.args(["--max-examples", EXAMPLES, "--no-shrink", "--warnings", "off"]);
    command.current_dir(report.path()).env("NO_COLOR", "1").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await.expect("schemathesis did not end").unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(app.get("/livez").await.status(), 200);
}
