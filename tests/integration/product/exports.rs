//! Tests of the gate of findings and of exports: two scans of one target, in one process and with a
//! server.

use std::io::Write as _;
use std::process::{Command, Stdio};

use kastrel::exports::{Encoder, ExportHead, ExportedFinding, Format, Subject};
use serde_json::{Value, json};

use super::app::TestApp;
use crate::pypi;

/// The dependencies of vexipy, fixed.
const VEXIPY: &str = "pydantic==2.14.4\nrfc3987==1.3.8\n";

const TARGET: &str = "ok-1p.test";

#[tokio::test]
async fn gate_of_new_findings_fails_once_and_then_passes() {
    let app = TestApp::prepare(&[("KASTREL_SCANS__MAX_ATTEMPTS", "1")]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (first, second) = (file("first.json"), file("second.sarif"));
    // The other plugins of the scanner do not run at this target, which would fail each gate.
    let scan = ["scan", TARGET, "--run-only", "whatweb", "--fail-on", "high"];
    let gated = [&scan[..], &["--only-new"]].concat();
    let ended = app.run(&[&gated[..], &["--format", "json", "--output", &first]].concat()).await;
    assert_eq!(ended.code, Some(10), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("Not passed: "), "{}", ended.stdout);
    let written: Value = serde_json::from_slice(&std::fs::read(&first).unwrap()).unwrap();
    assert!(written["count"].as_u64().unwrap() > 0, "{written:#}");

    let ended = app.run(&[&gated[..], &["--format", "sarif", "--output", &second]].concat()).await;
    assert_eq!(ended.code, Some(0), "nothing is new: {}{}", ended.stdout, ended.stderr);
    let sarif: Value = serde_json::from_slice(&std::fs::read(&second).unwrap()).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(!results.is_empty() && results.iter().all(|result| result["baselineState"] == "unchanged"), "{sarif:#}");

    // Both files are baselines; an empty one knows nothing.
    for baseline in [&first, &second] {
        let ended = app.run(&[&scan[..], &["--baseline", baseline]].concat()).await;
        assert_eq!(ended.code, Some(0), "{baseline}: {}{}", ended.stdout, ended.stderr);
    }
    let none = file("none.json");
    std::fs::write(&none, r#"{"head":{},"findings":[]}"#).unwrap();
    let ended = app.run(&[&scan[..], &["--baseline", &none]].concat()).await;
    assert_eq!(ended.code, Some(10), "{}{}", ended.stdout, ended.stderr);
}

#[tokio::test]
async fn wrong_baseline_or_output_ends_the_command_before_the_scan() {
    let app = TestApp::prepare(&[]);
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.json");
    std::fs::write(&wrong, "{}").unwrap();
    let other = folder.path().join("other.json");
    std::fs::write(&other, r#"{"head":{"scan":{"target_text":"staging.example"}},"findings":[]}"#).unwrap();
    let (wrong, other, missing) = (wrong.to_str().unwrap(), other.to_str().unwrap(), "no/such/file");
    for (args, said) in [
        (&["--fail-on", "high", "--baseline", wrong][..], "no export of findings"),
        (&["--fail-on", "high", "--baseline", missing], "No such file"),
        (&["--fail-on", "high", "--baseline", other], "it is of a scan of staging.example"),
        (&["--format", "sarif", "--output", "no/such/folder/a.sarif"], "No such file"),
        (&["--format", "sarif,junit"], "at most one format"),
        (&["--output", "a"], "--format"),
        (&["--format", "sarif", "--dry-run"], "--dry-run"),
        (&["--format", "json", "--json"], "--output"),
    ] {
        let ended = app.run(&[&["scan", TARGET][..], args].concat()).await;
        assert!(matches!(ended.code, Some(1 | 2)), "{args:?}: {:?}", ended.code);
        assert!(ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    }
    let list: Value = serde_json::from_str(&app.run(&["list", "--json"]).await.stdout).unwrap();
    assert_eq!(list["scans"], json!([]));
}

#[tokio::test]
async fn findings_on_the_standard_output_are_alone_there() {
    let app = TestApp::prepare(&[("KASTREL_SCANS__MAX_ATTEMPTS", "1")]);
    let ended = app.run(&["scan", TARGET, "--fail-on", "high", "--format", "json"]).await;
    assert_eq!(ended.code, Some(10), "{}{}", ended.stdout, ended.stderr);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(document["findings"].is_array());
    assert!(ended.stderr.contains("Not passed: "), "{}", ended.stderr);
    // A plugin that failed is an error case, also without any finding.
    let ended = app.run(&["scan", "failp-clean-6p.test", "--format", "junit"]).await;
    assert!(ended.stdout.starts_with("<?xml") && ended.stdout.contains("<error "), "{}", ended.stdout);
}

#[tokio::test]
async fn server_exports_scans_and_findings() {
    let app = TestApp::with(&[("KASTREL_SCANS__MAX_ATTEMPTS", "1")]).await;
    let url = app.url();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scan.sarif");
    let ended =
        app.run(&["scan", TARGET, "--server", &url, "--format", "sarif", "--output", file.to_str().unwrap()]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    for format in ["csv", "github", "json", "jsonl", "junit", "sarif"] {
        let response = app.get(&format!("/api/scans/1/export?format={format}")).await;
        assert_eq!(response.status(), 200, "{format}");
        let name = response.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert!(name.starts_with("attachment; filename=\"kastrel-scan-1."), "{format}: {name}");
        assert!(!response.bytes().await.unwrap().is_empty(), "{format}");
    }
    let lines = app.run(&["findings", "export", "--format", "jsonl", "--server", &url]).await;
    assert_eq!(lines.code, Some(0), "{}", lines.stderr);
    let last: Value = serde_json::from_str(lines.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "end");
    assert_eq!(last["findings"].as_u64().unwrap() as usize + 2, lines.stdout.lines().count());
    let none = app.run(&["findings", "export", "--format", "jsonl", "plugin:none", "--server", &url]).await;
    assert_eq!(none.stdout.lines().count(), 2, "{}", none.stdout);
    let wrong = app.run(&["findings", "export", "--format", "csv", "severity:worst", "--server", &url]).await;
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

/// A library of another author reads the document, and checks what each status needs.
#[test]
fn openvex_is_read_by_another_library() {
    let python = pypi::installed("vexipy", "vexipy==0.3.0", VEXIPY).join("bin/python");
    let seen = "2026-11-23T10:00:00Z";
    let finding = |number: u64, life: Value| -> ExportedFinding {
        let mut life = life;
        for field in ["first_seen", "last_seen", "open_since"] {
            life[field] = json!(seen);
        }
        serde_json::from_value(json!({
            "id": format!("{number:020x}"),
            "fingerprint": format!("kfp1:{number:064x}"),
            "target": "0123456789abcdef",
            "project": "default",
            "plugin": "testssl",
            "issue": format!("issue-{number}"),
            "title": "Heartbleed",
            "severity": "high",
            "origin": "https://shop.example",
            "address": "https://shop.example",
            "place": "shop.example:443",
            "references": [format!("CVE-2014-{number:04}")],
            "life": life,
        }))
        .unwrap()
    };
    let decided = json!({ "decision": "false_positive", "reason": "patched", "by": "user:ana", "at": seen });
    let accepted = json!({
        "decision": "accepted", "reason": "old", "owner": "ana", "until": "2027-01-31T00:00:00Z", "by": "user:ana", "at": seen,
    });
    let all = [
        finding(1, json!({ "status": "open" })),
        finding(2, json!({ "status": "confirmed" })),
        finding(3, json!({ "status": "fixed" })),
        finding(4, json!({ "status": "false_positive", "decision": decided })),
        finding(5, json!({ "status": "accepted", "decision": accepted })),
    ];
    let head = ExportHead::new(seen.parse().unwrap(), Subject::Findings { filter: String::new() });
    let (mut encoder, mut document) = (Encoder::new(Format::OpenVex, head), Vec::new());
    encoder.findings(&all, &mut document).unwrap();
    encoder.end(&mut document).unwrap();
    let script = "import sys; from vexipy import Document\nfor one in Document.from_json(sys.stdin.read()).statements: print(one.vulnerability.name, one.status.value)";
    let mut child = Command::new(python)
        .args(["-W", "ignore", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&document).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&document));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(),
        [
            "CVE-2014-0001 under_investigation",
            "CVE-2014-0002 affected",
            "CVE-2014-0003 fixed",
            "CVE-2014-0004 not_affected",
            "CVE-2014-0005 affected",
        ]
    );
}
