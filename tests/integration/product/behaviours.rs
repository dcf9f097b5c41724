//! Tests that every misbehaviour of a scanner ends in a named state with a readable reason.

use super::app::{TestApp, ends};

#[tokio::test]
async fn every_bad_behaviour_has_a_name_and_a_reason() {
    let app = TestApp::with(&[
        ("KASTREL_SCANS__MAX_ATTEMPTS", "1"),
        ("KASTREL_SCANS__NO_PROGRESS_LIMIT_SECONDS", "2"),
        ("KASTREL_SCANS__WALL_CLOCK_LIMIT_SECONDS", "50"),
    ])
    .await;
    let cases = [
        ("crash.test", "crashed", "ValueError: played crash"),
        ("usage.test", "usage_error", "Invalid value for '--mode'"),
        ("nofiles.test", "no_result", "without kast_info.json"),
        ("signal.test", "killed_by_signal", "signal 9"),
        ("hang.test", "stalled", "no activity"),
        ("family-hang-stubborn.test", "stalled", "no activity"),
        ("truncated.test", "unreadable_result", "kast_info.json"),
        ("huge.test", "unreadable_result", "kast_info.json"),
        ("linked.test", "unreadable_result", "kast_info.json"),
        ("fifo.test", "unreadable_result", "kast_info.json"),
    ];
    let mut submitted = Vec::new();
    for (target, reason, text) in cases {
        submitted.push((app.submit(target).await, target, reason, text));
    }
    for (id, target, reason, text) in submitted {
        let scan = app.until_status(id, "failed").await;
        assert_eq!(ends(&scan), [reason], "{target}");
        let message = scan["error_message"].as_str().unwrap();
        assert!(message.contains(text) && !message.contains('\u{1b}'), "{target}: {message}");
        assert!(app.processes_of(id).is_empty(), "{target}");
    }
}

#[tokio::test]
async fn what_can_be_read_of_bad_files_is_shown() {
    let app = TestApp::start().await;
    for target in [
        "ok-2p.test",
        "ptruncated-2p.test",
        "phuge-2p.test",
        "pdeep-2p.test",
        "platin1-2p.test",
        "plinked-2p.test",
        "failp-2p.test",
        "flood-1p.test",
    ] {
        let id = app.submit(target).await;
        let scan = app.until_status(id, "completed").await;
        let states: Vec<_> =
            scan["plugins"].as_array().unwrap().iter().map(|plugin| plugin["status"].as_str().unwrap()).collect();
        assert!(
            states.iter().all(|state| matches!(*state, "completed" | "failed" | "not_run" | "unavailable")),
            "{target}: {states:?}"
        );
        if target.starts_with("failp") {
            assert_eq!(scan["plugins_failed"], 1, "{scan:#}");
        }
    }
}

#[tokio::test]
async fn flaky_scanner_completes_at_the_third_attempt() {
    let app = TestApp::start().await;
    let id = app.submit("flaky-2p.test").await;
    let scan = app.until_status(id, "completed").await;
    assert_eq!(ends(&scan), ["crashed", "crashed", "completed"]);
    let completed = scan["plugins"].as_array().unwrap().iter().filter(|plugin| plugin["status"] == "completed").count();
    assert_eq!(completed, 2);
}

#[tokio::test]
async fn dry_run_completes_without_result_files() {
    let app = TestApp::start().await;
    let (status, body) = app.post("/api/scans", &serde_json::json!({ "target": "ok.test", "dry_run": true })).await;
    assert_eq!(status, 201, "{body}");
    let scan = app.until_status(body["scan_id"].as_u64().unwrap(), "completed").await;
    assert_eq!(ends(&scan), ["completed"]);
}
