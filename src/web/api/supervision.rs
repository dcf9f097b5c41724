//! `GET /api/supervision`: the actor tree of this node.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::scans::fresh;
use crate::api_types::{ActorBody, ProblemBody};
use crate::web::error::Problem;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Shows the actor tree of this node: states, restarts and last failures.
#[utoipa::path(
    get, path = "/api/supervision", tag = "server",
    responses(
        (status = 200, description = "The root of the tree", body = ActorBody, content_type = "application/json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_supervision(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    Ok(fresh(StatusCode::OK, &ActorBody::from(web.nodes().supervision(&viewer.context)?)))
}

#[cfg(test)]
mod tests {
    use crate::web::testing::{TestApp, json_of};

    #[tokio::test]
    async fn supervision_has_the_tree_down_to_the_scans() {
        let app = TestApp::new();
        for name in ["node", "supervisor"] {
            app.snapshots.status.actor(name, jiff::Timestamp::UNIX_EPOCH, |view| view.state = "running".into());
        }
        let scan = app.running("example.com").await;
        app.snapshots.update_attempt(scan.id, scan.token, |live| {
            live.phase(kastrel_actors::model::AttemptPhase::Running);
        });
        let tree = json_of(app.get("/api/supervision").await).await;
        assert_eq!((tree["name"].as_str(), tree["since"].as_str()), (Some("node"), Some("1970-01-01T00:00:00Z")));
        assert_eq!(tree["children"][0]["children"][0]["name"], format!("scan-{}", scan.id));
    }
}
