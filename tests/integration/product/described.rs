//! Tests that the API matches its OpenAPI description: schemathesis, from PyPI, tries a limited
//! number of requests.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use super::app::TestApp;
use crate::pypi::installed;

/// The package and its version.
const PACKAGE: &str = "schemathesis==4.32.5";
/// The versions of its dependencies. Other versions would try other requests.
const VERSIONS: &str = include_str!("../../helpers/schemathesis.txt");
/// The number of requests per operation, in addition to those derived from the description.
const EXAMPLES: &str = "25";
/// The seed makes the requests reproducible. Rules that no schema can express are excluded: a
/// cursor that belongs to another sort order, which of the well-formed submissions are accepted
/// (the scope of targets, the scanner's plugins and settings, a key of another submission),
/// whether the project of a transfer exists, which filters of findings and which tags are well
/// formed, which plugins the scanner of a target has, and which scans have the same target.
/// Responses to these requests must still match the description. The description lists the time
/// zones of the machine, so the test uses one that every machine has; and the one project.
const SETTINGS: &str = r#"
seed = 1
continue-on-failure = true
suppress-health-check = ["all"]

[parameters]
"query.at" = ""
"query.zone" = "UTC"
"query.project" = "default"

[[operations]]
include-name = "POST /api/scans"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "POST /api/scans/batch"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "POST /api/scans/{id}/transfer"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "GET /api/findings"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "GET /api/findings/groups"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "GET /api/findings/export"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "POST /api/findings/triage"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "GET /api/targets"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "PATCH /api/targets/{id}"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "POST /api/targets/{id}/check"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "GET /api/scans/{id}/compare"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "PUT /api/scans/{id}/notes"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "PUT /api/filters/{name}"
checks.positive_data_acceptance.enabled = false
"#;
/// The two live streams have no end and are excluded. The routes of accounts refuse every client of
/// a server without accounts; the unit tests check their responses against the description.
const EXCLUDED: &str = "/events$|^/api/(accounts|projects)";
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_is_as_it_is_described() {
    let app = TestApp::with(&[("KASTREL_QUEUE__CLIENT_SHARE", "100"), ("KASTREL_QUEUE__MAX_WAITING", "0")]).await;
    // The scans for the requests: one has ended, one is queued.
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
        EXCLUDED,
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
