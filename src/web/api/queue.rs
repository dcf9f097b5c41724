//! `/api/queue`: the state of the queue, and its pause.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::scans::fresh;
use super::stats::queue_depth;
use super::submission::read_object;
use crate::api_types::{PauseBody, ProblemBody, QueueBody};
use crate::web::error::Problem;
use crate::web::state::{Web, WebInner};
use crate::web::viewer::Viewer;

/// Shows the state of the queue.
#[utoipa::path(
    get, path = "/api/queue", tag = "server",
    responses(
        (status = 200, description = "The queue", body = QueueBody, content_type = "application/json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_queue(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    show(&web, &viewer).await
}

/// Pauses the queue: no scan starts on any node until it is resumed.
#[utoipa::path(
    post, path = "/api/queue/pause", tag = "server", request_body(content = Option<PauseBody>, content_type = "application/json"),
    responses(
        (status = 200, description = "Queue paused", body = QueueBody, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid field", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn pause_queue(
    State(web): State<Web>,
    viewer: Viewer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: PauseBody = read_object(&headers, body)?;
    web.queue().pause(&viewer.context, body.reason.as_deref()).await?;
    show(&web, &viewer).await
}

/// Resumes the queue.
#[utoipa::path(
    post, path = "/api/queue/resume", tag = "server",
    responses(
        (status = 200, description = "Queue not paused", body = QueueBody, content_type = "application/json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn resume_queue(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    web.queue().resume(&viewer.context).await?;
    show(&web, &viewer).await
}

async fn show(web: &WebInner, viewer: &Viewer) -> Result<Response, Problem> {
    let status = web.queue().status(&viewer.context).await?;
    let body = QueueBody::of(status, queue_depth(web).await);
    Ok(fresh(StatusCode::OK, &body))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::web::testing::{TestApp, json_of};

    #[tokio::test]
    async fn queue_pauses_with_a_reason_and_resumes() {
        let app = TestApp::new();
        app.submitted("example.com").await;
        let body = json_of(app.get("/api/queue").await).await;
        assert_eq!(
            body,
            json!({ "paused": false, "paused_since": null, "reason": null, "waiting": 1, "max_waiting": 10_000, "full": false, "signals": 1, "blockers": [] })
        );
        let body = json_of(app.post_json("/api/queue/pause", &[], &json!({ "reason": "upgrade <b>" })).await).await;
        assert_eq!((&body["paused"], &body["reason"]), (&json!(true), &json!("upgrade <b>")));
        assert!(body["paused_since"].is_string());
        assert_eq!(body["blockers"][0]["reason"], "paused");
        assert_eq!(
            body["blockers"][0]["text"],
            "Queue paused: no scan starts. Reason: upgrade <b>. Running scans continue."
        );
        let body = json_of(app.send("POST", "/api/queue/resume", &[], "").await).await;
        assert_eq!(body["paused"], false);
        assert_eq!(app.send("POST", "/api/queue/resume", &[], "").await.status(), 200, "as often as you like");
        assert_eq!(
            json_of(app.send("POST", "/api/queue/pause", &[], "").await).await["paused"],
            true,
            "a reason is not needed"
        );
    }

    #[tokio::test]
    async fn invalid_pause_reason_is_named() {
        let app = TestApp::new();
        for body in [json!({ "reason": "x".repeat(201) }), json!({ "reason": 3 }), json!({ "why": "x" })] {
            let wrong = app.post_json("/api/queue/pause", &[], &body).await;
            assert_eq!(wrong.status(), 422, "{body}");
        }
        assert_eq!(json_of(app.get("/api/queue").await).await["paused"], false);
    }

    #[tokio::test]
    async fn another_site_cannot_pause() {
        let app = TestApp::new();
        assert_eq!(app.send("POST", "/api/queue/pause", &[("sec-fetch-site", "cross-site")], "").await.status(), 403);
    }
}
