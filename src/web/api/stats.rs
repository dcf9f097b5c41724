//! `GET /api/stats`: counts of scans, queue signals and event streams.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use kastrel_actors::model::Operation;
use kastrel_actors::policy::access::decide;

use super::scans::fresh;
use crate::api_types::{ProblemBody, Stats};
use crate::web::error::Problem;
use crate::web::state::{Web, WebInner};
use crate::web::viewer::Viewer;

/// How long to wait for the queue's response, in case the queue is down.
const QUEUE_PATIENCE: Duration = Duration::from_secs(2);

/// Counts scans by state, queue signals and event streams.
#[utoipa::path(
    get, path = "/api/stats", tag = "server",
    responses(
        (status = 200, description = "The counts", body = Stats, content_type = "application/json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_stats(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    let stats = web.reporting().stats(&viewer.context).await?;
    let catalogue = web.catalogue();
    // These numbers are about all projects.
    let sees_server = decide(&viewer.context.grants, Operation::ReadServer, None).is_ok();
    let body = Stats {
        version: web.state.info.version.clone(),
        scanner: catalogue.as_ref().map(|catalogue| catalogue.scanner.clone()),
        scans: (&stats).into(),
        running_here: sees_server.then(|| web.nodes().running_here()),
        queue_depth: if sees_server { queue_depth(&web).await } else { None },
        open_event_streams: sees_server.then(|| open_streams(&web)),
    };
    Ok(fresh(StatusCode::OK, &body))
}

/// Returns how many signals the queue holds, or `None` if the queue does not respond in time.
pub(crate) async fn queue_depth(web: &WebInner) -> Option<usize> {
    web.queue().signals(QUEUE_PATIENCE).await
}

/// Returns how many event streams are open.
pub(crate) fn open_streams(web: &WebInner) -> usize {
    web.limits.event_streams.saturating_sub(web.streams.available_permits())
}

#[cfg(test)]
mod tests {
    use crate::web::testing::{TestApp, json_of};

    #[tokio::test]
    async fn stats_count_scans_by_state() {
        let app = TestApp::new();
        app.submitted("example.com").await;
        app.running("example.org").await;
        let body = json_of(app.get("/api/stats").await).await;
        assert_eq!(
            (&body["scans"]["pending"], &body["scans"]["running"], &body["scans"]["total"]),
            (&1.into(), &1.into(), &2.into())
        );
        assert_eq!(
            (&body["running_here"], &body["version"], &body["queue_depth"]),
            (&1.into(), &"0.0.0-test".into(), &2.into())
        );
    }
}
