//! The buttons that pause and resume the queue.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

use crate::web::api::submission::unreadable;
use crate::web::back::back;
use crate::web::error::Problem;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Pauses the queue: no scan starts any more.
pub(crate) async fn pause(
    State(web): State<Web>,
    viewer: Viewer,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let reason = form_urlencoded::parse(&body).find(|(name, _)| name == "reason").map(|(_, value)| value);
    web.queue().pause(&viewer.context, reason.as_deref()).await?;
    Ok(Redirect::to("/supervision").into_response())
}

/// Resumes the queue. The button is on every page.
pub(crate) async fn resume(State(web): State<Web>, viewer: Viewer, headers: HeaderMap) -> Result<Response, Problem> {
    web.queue().resume(&viewer.context).await?;
    Ok(Redirect::to(&back(&headers, "/supervision")).into_response())
}

#[cfg(test)]
mod tests {
    use crate::web::testing::{TestApp, header_of, text_of};

    #[tokio::test]
    async fn too_long_reason_is_refused_and_named() {
        let app = TestApp::new();
        let refused = app.post_form("/queue/pause", &format!("reason={}", "x".repeat(201))).await;
        assert_eq!(refused.status(), 422);
        let html = text_of(refused).await;
        assert!(html.to_lowercase().contains("reason") && html.contains("expected at most 200 characters"), "{html}");
    }

    #[tokio::test]
    async fn pause_is_shown_on_every_page_until_the_queue_resumes() {
        let app = TestApp::new();
        let paused = app.post_form("/queue/pause", "reason=+upgrade+%3Cb%3E%1b ").await;
        assert_eq!((paused.status().as_u16(), header_of(&paused, "location")), (303, "/supervision"));
        for path in ["/", "/scans", "/new", "/supervision", "/settings"] {
            let html = text_of(app.get(path).await).await;
            assert!(html.contains(r#"id="queue-paused""#) && html.contains("upgrade &#60;b&#62;"), "{path}");
        }
        let resumed = app
            .send(
                "POST",
                "/queue/resume",
                &[("sec-fetch-site", "same-origin"), ("referer", "http://localhost:5000/scans?status=failed")],
                "",
            )
            .await;
        assert_eq!((resumed.status().as_u16(), header_of(&resumed, "location")), (303, "/scans?status=failed"));
        assert!(!text_of(app.get("/").await).await.contains("queue-paused"));
        assert_eq!(app.send("POST", "/queue/pause", &[("sec-fetch-site", "cross-site")], "").await.status(), 403);
    }
}
