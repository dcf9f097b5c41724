//! A server with scans in every state, and the list of its pages.

use serde_json::json;

use super::stage::Stage;
use crate::browser_driver::Browser;
use crate::product::app::TestApp;

/// The environment of the fake KAST's demo.
pub(super) const DEMO: &[(&str, &str)] =
    &[("FAKE_KAST_DEMO", "1"), ("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_DEMO"), ("KASTREL_SCANS__MAX_ATTEMPTS", "2")];

/// Starts a server with a scan in each state and a paused queue.
pub(super) async fn every_state() -> Stage {
    let stage = Stage::of(Browser::start().await, TestApp::with(DEMO).await).await;
    let done = stage.submit("www.example.com").await;
    let partly = stage.submit("intranet.example.com").await;
    let failed = stage.submit("legacy.example.com").await;
    let cancelled = stage.submit("staging.example.org").await;
    let running = stage.submit("staging.example.com").await;
    for (id, status) in [(done, "completed"), (partly, "completed"), (failed, "failed")] {
        stage.until_status(id, status).await;
    }
    stage.until_busy(cancelled).await;
    stage.cancel(cancelled).await;
    stage.until_status(cancelled, "cancelled").await;
    stage
        .until(running, |scan| {
            scan["results"]
                .as_array()
                .is_some_and(|all| all.iter().filter(|one| one["status"] == "completed").count() >= 4)
        })
        .await;
    stage.post("/api/queue/pause", &json!({ "reason": "maintenance" })).await;
    stage.submit("waiting.example.com").await;
    stage
}

/// One page of each kind.
pub(super) const PAGES: &[&str] = &[
    "/",
    "/new",
    "/new?from=1",
    "/scans",
    "/scans?status=failed&status=cancelled",
    "/scans?target=nothing-like-it",
    "/scans/1",
    "/scans/2",
    "/scans/3",
    "/scans/5",
    "/scans/6",
    "/scans/1/plugins/testssl",
    "/scans/2/plugins/cors_analyzer",
    "/scans/1/report",
    "/scans/1/files",
    "/scans/1/attempts/1/view/kast_info.json",
    "/scans/1/log",
    "/scans/1/delete",
    "/targets",
    "/targets?group=tag",
    "/findings",
    "/findings?group=issue",
    "/findings?q=severity%3Aloud",
    "/supervision",
    "/audit",
    "/settings",
    "/nothing",
];
