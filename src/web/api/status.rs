//! `GET /api/scans/{id}/status`: the route that every open page polls every few seconds, in
//! kast-web's JSON shape.
//!
//! While the scan is in the live snapshot cache, the route reads only that cache. The status is
//! serialized once for each change of the scan.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::ScanSnapshot;
use kastrel_actors::policy::waiting::Waiting;

use crate::api_types::{ProblemBody, StatusBody};
use crate::web::error::Problem;
use crate::web::path::{PathId, no_scan};
use crate::web::state::Web;
use crate::web::viewer::Context;

/// Returns the status of a scan as JSON. A scan that does not wait is serialized once for each
/// change, for all requests and event streams together.
pub(crate) fn status_json(web: &Web, scan: &Arc<ScanSnapshot>, waiting: Option<&Waiting>) -> Result<Bytes, Problem> {
    let json = || to_json(&StatusBody::new(scan, waiting, web.state.max_attempts, |trace| web.trace_url(trace)));
    match waiting {
        None => web.statuses.json(scan, json),
        // Not cached: the reason can change while the scan does not.
        Some(_) => json().map(Bytes::from),
    }
}

/// Returns the JSON bytes of a status.
pub(crate) fn to_json(status: &StatusBody) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(1024 + 320 * status.results.len());
    serde_json::to_writer(&mut bytes, status).map_err(Problem::internal)?;
    Ok(bytes)
}

/// Shows the status of a scan. The route is cheap enough to poll every second.
#[utoipa::path(
    get, path = "/api/scans/{id}/status", tag = "scans",
    params(("id" = u64, Path, description = "The scan's number")),
    responses(
        (status = 200, description = "The state of the scan", body = StatusBody, content_type = "application/json"),
        (status = 404, description = "Scan not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
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
