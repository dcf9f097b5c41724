use std::time::Duration;

use kastrel_actors::model::{AttemptNumber, PluginResult, PluginStatus, Resolution, ScanRecord, Verdict};
use kastrel_actors::testing::fixtures;

use super::*;
use crate::web::testing::{TestApp, header_of, json_of, text_of};

#[tokio::test(start_paused = true)]
async fn long_running_scan_is_cancelled_only_after_confirmation() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    tokio::time::advance(Duration::from_secs(61)).await;
    let listed = "back=%2Fscans%3Fstatus%3Drunning";
    let asked = text_of(app.post_form("/scans/1/cancel", listed).await).await;
    for part in [
        "Cancel scan 1?",
        "It has run for 1 min 1 s. The scanner is stopped; results so far are kept.",
        r#"action="/scans/1/cancel""#,
        r#"name="back" value="/scans?status=running""#,
        r#"name="confirmed" value="yes""#,
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    assert!(
        app.service.scan(&fixtures::context(), scan.id).await.unwrap().unwrap().record.cancel_requested.is_none(),
        "a question cancels nothing"
    );
    let done = app.post_form("/scans/1/cancel", &format!("{listed}&confirmed=yes")).await;
    assert_eq!(header_of(&done, "location"), "/scans?status=running&done=cancel&n=1&not=0");
    assert!(app.service.scan(&fixtures::context(), scan.id).await.unwrap().unwrap().record.cancel_requested.is_some());
    assert_eq!(
        header_of(&app.post_form("/scans/1/cancel", "").await, "location"),
        "/scans/1?notice=cancelling",
        "what is being cancelled is not asked about again"
    );
}

#[tokio::test(start_paused = true)]
async fn only_long_runs_need_a_confirmation() {
    let app = TestApp::new();
    let waiting = app.submitted("example.com").await;
    let running: ScanRecord = app.running("example.org").await;
    let (start, waiting) =
        (running.started_at.unwrap(), app.service.scan(&fixtures::context(), waiting).await.unwrap().unwrap());
    let at = |seconds| start + SignedDuration::from_secs(seconds);
    assert_eq!(asks_after(&running, at(60)), None);
    assert_eq!(asks_after(&running, at(61)), Some(SignedDuration::from_secs(61)));
    assert_eq!(asks_after(&running, at(-5)), None, "a clock that was set back");
    assert_eq!(asks_after(&waiting.record, at(5000)), None);
    assert_eq!(
        asks_after(
            &ScanRecord { cancel_requested: Some(CancelledBy::User), ..running },
            app.service.now() + SignedDuration::from_hours(1)
        ),
        None
    );
}

#[tokio::test]
async fn button_runs_the_plugins_without_a_result_again() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    let plugins = vec![
        PluginResult { attempt: Some(AttemptNumber(1)), ..PluginResult::new("whatweb", PluginStatus::Completed) },
        PluginResult::new("testssl", PluginStatus::Failed),
        PluginResult::new("katana", PluginStatus::Failed),
    ];
    app.finish(&scan, Resolution::Complete(Verdict { plugins, dry_run: false })).await;
    let html = text_of(app.get("/scans/1").await).await;
    assert!(html.contains("Run the 2 failed plugins again"), "{html}");
    assert!(html.contains("The results of 1 plugin are kept from attempt 1."), "{html}");
    let note = "The results of 1 plugin are kept from attempt 1. The report has only those of the last attempt.";
    assert_eq!(json_of(app.get("/api/scans/1").await).await["kept"], note);
    std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
    std::fs::write(app.attempt_folder(&scan).join("kast_report.html"), "x").unwrap();
    let report = text_of(app.get("/scans/1/report").await).await;
    assert!(report.contains(note), "{report}");
    assert!(text_of(app.get("/scans/1/plugins/whatweb").await).await.contains("id=\"kept-from\""));
    let submitted = app.post_form("/scans/1/rerun", "action=failed").await;
    assert_eq!(header_of(&submitted, "location"), "/scans/2?submitted=1");
    let second = json_of(app.get("/api/scans/2").await).await;
    assert_eq!(second["request"]["plugins"], serde_json::json!(["testssl", "katana"]));
    app.post_form("/scans/2/cancel", "").await;
    let html = text_of(app.get("/scans/2").await).await;
    assert!(!html.contains("id=\"rerun-failed\""), "a re-run of all does the same: {html}");
    let plugin = |name: &str, status| PluginResult::new(name, status);
    for (status, text) in [
        (PluginStatus::Failed, "Run the failed plugin again"),
        (PluginStatus::NotRun, "Run the plugin without a result again"),
    ] {
        let scan = app.running("example.com").await;
        let plugins = vec![plugin("whatweb", PluginStatus::Completed), plugin("testssl", status)];
        app.finish(&scan, Resolution::Complete(Verdict { plugins, dry_run: false })).await;
        let html = text_of(app.get(&format!("/scans/{}", scan.id)).await).await;
        assert!(html.contains(text), "{html}");
    }
}

#[tokio::test]
async fn rerun_of_an_active_scan_asks_for_permission_each_time() {
    let app = TestApp::new();
    app.post_form("/scans", "target=example.com&mode=active&confirm=yes").await;
    app.post_form("/scans/1/cancel", "").await;
    let asked = app.post_form("/scans/1/rerun", "").await;
    assert_eq!(asked.status(), 200);
    let asked = text_of(asked).await;
    assert!(
        asked.contains("Re-run scan 1?")
            && asked.contains(r#"action="/scans/1/rerun""#)
            && asked.contains("permission to attack this target"),
        "{asked}"
    );
    let refused = app.post_form("/scans/1/rerun", "confirmed=yes").await;
    assert_eq!(refused.status(), 422);
    assert!(
        text_of(refused)
            .await
            .contains(r#"id="wrong-confirm">Confirm that you have permission to run active plugins."#)
    );
    assert_eq!(app.services.reporting.stats(&fixtures::context()).await.unwrap().all(), 1);
    assert_eq!(
        header_of(&app.post_form("/scans/1/rerun", "confirmed=yes&confirm=yes").await, "location"),
        "/scans/2?submitted=1"
    );
}

#[tokio::test]
async fn a_scan_is_run_again_only_when_it_has_finished() {
    let app = TestApp::new();
    let scan = app.running("example.com").await;
    let html = text_of(app.get("/scans/1").await).await;
    assert!(!html.contains("/scans/1/rerun") && !html.contains("Re-run"), "{html}");
    assert_eq!(app.post_form("/scans/1/rerun", "").await.status(), 409);
    app.finish(&scan, Resolution::Complete(Verdict::default())).await;
    assert!(text_of(app.get("/scans/1").await).await.contains("/scans/1/rerun"));
    assert_eq!(app.post_form("/scans/1/rerun", "").await.status(), 303);
}
