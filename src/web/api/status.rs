//! `GET /api/scans/{id}/status`: the route that every open page polls every few seconds, in
//! kast-web's JSON shape.
//!
//! While the scan is in the live snapshot cache, the route reads only that cache. It serializes
//! borrowed values straight into bytes, once for each change of the scan.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::{AttemptPhase, CancelledBy, PluginResult, PluginStatus, ScanSnapshot, ScanStatus, Target};
use kastrel_actors::policy::waiting::Waiting;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::wire::{
    AsText, CancelledByName, CoverageBody, Moment, PhaseName, PluginStatusName, ScannerBody, Severities, StatusName,
    WaitingBody, error_of, plugins_of, seconds,
};
use crate::config::TraceUrl;
use crate::web::error::{Problem, ProblemBody};
use crate::web::path::{PathId, no_scan};
use crate::web::state::Web;
use crate::web::viewer::Context;

/// The status of a scan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScanStatusReport)]
pub(crate) struct StatusBody<'a> {
    scan_id: u64,
    #[schema(value_type = StatusName)]
    status: ScanStatus,
    #[schema(value_type = String, example = "example.com")]
    target: AsText<&'a Target>,
    /// When the first attempt started.
    started_at: Option<Moment>,
    /// When the scan ended, in any state.
    completed_at: Option<Moment>,
    /// The time from the first attempt's start to the end, in seconds; null until the end.
    duration: Option<f64>,
    /// Why the scan failed.
    error_message: Option<&'a str>,
    /// The plugins known so far.
    #[schema(value_type = Vec<PluginStatusBody<'_>>)]
    results: Results<'a>,
    results_count: usize,
    plugins_failed: usize,
    /// Which checks of the scan ran.
    coverage: CoverageBody,
    /// How many items the plugins collected. Items are not issues.
    findings_count: u64,
    /// How many issues the plugins reported.
    issues_count: u64,
    severities: Severities,
    /// The last attempt's number; 0 before the first.
    attempt: u32,
    max_attempts: u32,
    /// The phase of the running attempt; null unless the scan is running.
    #[schema(value_type = Option<PhaseName>)]
    phase: Option<AttemptPhase>,
    /// The scanner of the last attempt, once known.
    scanner: Option<ScannerBody<'a>>,
    /// Why the scan waits; null unless it is pending.
    waiting: Option<WaitingBody>,
    /// The earliest start of the next attempt; null unless the scan is pending.
    next_attempt_at: Option<Moment>,
    /// Who requested a cancel that waits for the end of the running attempt.
    #[schema(value_type = Option<CancelledByName>)]
    cancel_requested: Option<CancelledBy>,
    trace_id: String,
    /// The address of the trace in the tracing UI; null if none is configured.
    trace_url: Option<String>,
}

/// The status of a plugin.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginStatusReport)]
struct PluginStatusBody<'a> {
    plugin_name: &'a str,
    #[schema(value_type = PluginStatusName)]
    status: PluginStatus,
    /// How many items the plugin collected.
    findings_count: u64,
    /// How many issues the plugin reported.
    issues_count: u64,
    /// When the plugin ended.
    executed_at: Option<Moment>,
    /// The plugin's summary, or why it failed.
    message: Option<&'a str>,
    severities: Severities,
}

#[derive(Debug)]
struct Results<'a>(&'a [PluginResult]);

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|plugin| PluginStatusBody {
            plugin_name: &plugin.name,
            status: plugin.status,
            findings_count: plugin.findings_count,
            issues_count: plugin.issues_count(),
            executed_at: plugin.ended_at.map(Moment),
            message: plugin.message.as_deref(),
            severities: plugin.severity_counts().into(),
        }))
    }
}

impl<'a> StatusBody<'a> {
    pub(crate) fn new(
        scan: &'a ScanSnapshot,
        waiting: Option<&Waiting>,
        max_attempts: u32,
        trace_url: Option<&TraceUrl>,
    ) -> Self {
        let (record, overview) = (&scan.record, scan.overview());
        let severities = overview.severities;
        let attempt = record.last_attempt();
        let waiting = WaitingBody::of(&record.state, waiting);
        let trace_id = record.trace.trace_id();
        Self {
            scan_id: record.id.0,
            status: record.status(),
            target: AsText(&record.request.target),
            started_at: record.started_at.map(Moment),
            completed_at: record.ended_at().map(Moment),
            duration: overview.took().map(seconds),
            error_message: error_of(&record.state),
            results: Results(plugins_of(scan)),
            results_count: overview.plugins,
            plugins_failed: overview.failed,
            findings_count: overview.items,
            coverage: overview.coverage.into(),
            issues_count: severities.total(),
            severities: severities.into(),
            attempt: attempt.map_or(0, |attempt| attempt.number.0),
            max_attempts,
            phase: scan.phase,
            scanner: attempt.and_then(|attempt| attempt.scanner.as_ref()).map(Into::into),
            next_attempt_at: waiting.as_ref().map(|waiting| waiting.due),
            waiting,
            cancel_requested: record.cancel_requested,
            trace_url: trace_url.map(|url| url.of(&trace_id)),
            trace_id,
        }
    }

    /// Returns the JSON bytes of the response.
    pub(crate) fn json(&self) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::with_capacity(640 + 256 * self.results_count);
        serde_json::to_writer(&mut bytes, self).map_err(Problem::internal)?;
        Ok(bytes)
    }
}

/// Returns the status of a scan as JSON. A scan that does not wait is serialized once for each
/// change, for all requests and event streams together.
pub(crate) fn status_json(web: &Web, scan: &Arc<ScanSnapshot>, waiting: Option<&Waiting>) -> Result<Bytes, Problem> {
    let json = || StatusBody::new(scan, waiting, web.state.max_attempts, web.state.trace_url.as_deref()).json();
    match waiting {
        None => web.statuses.json(scan, json),
        // Not cached: the reason can change while the scan does not.
        Some(_) => json().map(Bytes::from),
    }
}

/// Shows the status of a scan. The route is cheap enough to poll every second.
#[utoipa::path(
    get, path = "/api/scans/{id}/status", tag = "scans",
    params(("id" = u64, Path, description = "The scan's number")),
    responses(
        (status = 200, description = "The state of the scan", body = StatusBody<'_>, content_type = "application/json"),
        (status = 404, description = "Scan not found", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn scan_status(
    State(web): State<Web>,
    Context(context): Context,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let scan = web.scans().scan(&context, id).await?.ok_or_else(no_scan)?;
    let waiting = web.scans().waiting_soon(&scan.record).await;
    let json = status_json(&web, &scan, waiting.as_ref())?;
    let mut response = json.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{
        AttemptPhase, Failure, FailureKind, FaultKind, PluginResult, PluginStatus, Resolution,
    };

    use crate::web::testing::{TestApp, json_of};

    #[tokio::test]
    async fn a_new_scan_has_kast_webs_shape() {
        let app = TestApp::new();
        let id = app.submitted("example.com").await;
        let response = app.get(&format!("/api/scans/{id}/status")).await;
        assert_eq!(response.status(), 200);
        let body = json_of(response).await;
        for (key, value) in [
            ("scan_id", serde_json::json!(id.0)),
            ("status", "pending".into()),
            ("target", "example.com".into()),
            ("results", serde_json::json!([])),
        ] {
            assert_eq!(body[key], value, "{key}");
        }
        for key in ["started_at", "completed_at", "duration", "error_message"] {
            assert!(body.get(key).is_some_and(serde_json::Value::is_null), "{key}");
        }
        assert_eq!((body["results_count"].as_u64(), body["waiting"]["reason"].as_str()), (Some(0), Some("queued")));
    }

    #[tokio::test]
    async fn running_scan_shows_its_plugins_and_ended_scan_its_duration() {
        let app = TestApp::new();
        let running = app.running("example.com").await;
        app.snapshots.update_attempt(running.id, running.token, |live| {
            live.phase(AttemptPhase::Running).plugins(vec![PluginResult::new("whatweb", PluginStatus::InProgress)]);
        });
        let path = format!("/api/scans/{}/status", running.id);
        let body = json_of(app.get(&path).await).await;
        assert_eq!(
            (body["status"].as_str(), body["phase"].as_str(), body["attempt"].as_u64()),
            (Some("running"), Some("running"), Some(1))
        );
        assert_eq!(body["started_at"], "2026-01-01T00:00:00Z");
        assert_eq!(body["results"][0]["plugin_name"], "whatweb");
        assert_eq!(
            (&body["results"][0]["status"], &body["results"][0]["executed_at"]),
            (&"in_progress".into(), &serde_json::Value::Null)
        );

        app.finish(&running, Resolution::Fail(Failure::new(FailureKind::Crashed, "a traceback"))).await;
        let body = json_of(app.get(&path).await).await;
        assert_eq!((body["status"].as_str(), body["error_message"].as_str()), (Some("failed"), Some("a traceback")));
        assert!(body["duration"].is_number() && body["completed_at"].is_string());
    }

    #[tokio::test]
    async fn a_scan_that_no_node_can_start_is_held_back_and_says_why() {
        let app = TestApp::new();
        let id = app.submitted("example.com").await;
        let waiting = async |path: &str| json_of(app.get(path).await).await["waiting"].clone();
        for path in [format!("/api/scans/{id}/status"), format!("/api/scans/{id}")] {
            app.hold(FaultKind::ResultsFolder, "the results folder /r is missing");
            let detail = "the results folder /r is missing (make it again)";
            let expected = serde_json::json!({
                "reason": "held_back", "position": null, "kind": "results_folder", "detail": detail,
                "text": format!("Held back: {detail}. Not counted as an attempt; starts automatically."), "due": "2026-01-01T00:00:00Z"
            });
            assert_eq!(waiting(&path).await, expected, "{path}");
            app.hold_nothing();
            assert_eq!(waiting(&path).await["reason"], "queued", "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_scan_shows_reason_and_queue_position() {
        let app = TestApp::new();
        let (first, second) = (app.submitted("a.example.com").await, app.submitted("b.example.com").await);
        let waiting = async |id| json_of(app.get(&format!("/api/scans/{id}")).await).await["waiting"].clone();
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
        assert_eq!((&waiting(first).await["position"], &waiting(second).await["position"]), (&1.into(), &2.into()));
        assert_eq!(waiting(second).await["text"], "Queued, 2nd in line. Starts when a slot is free.");
        app.post_json("/api/queue/pause", &[], &serde_json::json!({ "reason": "an upgrade" })).await;
        let paused = waiting(first).await;
        assert_eq!(
            (&paused["reason"], &paused["detail"], &paused["position"]),
            (&"paused".into(), &"an upgrade".into(), &serde_json::Value::Null)
        );
    }

    #[tokio::test]
    async fn status_needs_no_store_while_the_scan_is_cached() {
        let app = TestApp::new();
        let id = app.submitted("example.com").await;
        app.store.fail_with("down");
        assert_eq!(app.get(&format!("/api/scans/{id}/status")).await.status(), 200);
        assert_eq!(app.get("/api/scans/99/status").await.status(), 503);
    }

    #[tokio::test]
    async fn status_of_an_invalid_id_is_not_found() {
        let app = TestApp::new();
        for id in ["99", "0", "abc", "+1", "-1", "1.0", "99999999999999999999999"] {
            assert_eq!(app.get(&format!("/api/scans/{id}/status")).await.status(), 404, "{id}");
        }
    }
}
