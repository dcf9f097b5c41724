//! `/api/nodes`: the processes that run scans, and the drain command.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use kastrel_actors::model::NodeId;

use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{DrainBody, NodeBody, NodeList, ProblemBody};
use crate::web::error::Problem;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Lists the nodes by id.
#[utoipa::path(
    get, path = "/api/nodes", tag = "server",
    responses(
        (status = 200, description = "The nodes", body = NodeList, content_type = "application/json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_nodes(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    let nodes = web.nodes().list(&viewer.context).await?;
    Ok(fresh(StatusCode::OK, &NodeList::of(&nodes, web.now())))
}

/// Drains a node: it takes no new scan, and hands back the scans that still run at the time limit.
#[utoipa::path(
    post, path = "/api/nodes/{id}/drain", tag = "server", params(("id" = String, Path, description = "The node's id")),
    request_body(content = Option<DrainBody>, content_type = "application/json"),
    responses(
        (status = 200, description = "Drain order stored", body = NodeBody, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Node not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid field", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn drain_node(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: DrainBody = read_object(&headers, body)?;
    let within = body.within_seconds.map(Duration::from_secs);
    let node = web.nodes().drain(&viewer.context, &node_id(&path)?, within).await?.ok_or_else(no_node)?;
    Ok(fresh(StatusCode::OK, &NodeBody::of(&node, web.now())))
}

/// Ends the drain of a node.
#[utoipa::path(
    delete, path = "/api/nodes/{id}/drain", tag = "server", params(("id" = String, Path, description = "The node's id")),
    responses(
        (status = 200, description = "Drain order removed", body = NodeBody, content_type = "application/json"),
        (status = 404, description = "Node not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn undo_drain(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let node = web.nodes().undo_drain(&viewer.context, &node_id(&path)?).await?.ok_or_else(no_node)?;
    Ok(fresh(StatusCode::OK, &NodeBody::of(&node, web.now())))
}

fn no_node() -> Problem {
    Problem::not_found("node not found")
}

fn node_id(path: &RawPathParams) -> Result<NodeId, Problem> {
    path.iter().find(|(name, _)| *name == "id").and_then(|(_, id)| id.parse().ok()).ok_or_else(no_node)
}

#[cfg(test)]
mod tests {
    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;
    use serde_json::json;

    use super::*;
    use crate::web::testing::{TestApp, json_of};

    async fn app_with_nodes() -> TestApp {
        let app = TestApp::new();
        for (name, running) in [("b", 3), ("a", 1)] {
            let mut node = fixtures::registration(name);
            node.running = running;
            app.memory.register(node, Duration::from_secs(30)).await.unwrap();
        }
        app
    }

    #[tokio::test]
    async fn node_list_has_the_capacity() {
        let app = app_with_nodes().await;
        let body = json_of(app.get("/api/nodes").await).await;
        assert_eq!((&body["nodes"][0]["id"], &body["nodes"][1]["id"]), (&json!("a"), &json!("b")));
        assert_eq!((&body["capacity"], &body["running"]), (&json!(8), &json!(4)));
        assert_eq!((&body["nodes"][0]["alive"], &body["nodes"][0]["activity"]), (&json!(true), &json!("active")));
    }

    #[tokio::test]
    async fn node_drains_and_the_drain_can_be_ended() {
        let app = app_with_nodes().await;
        let told = app.post_json("/api/nodes/a/drain", &[], &json!({ "within_seconds": 60 })).await;
        assert_eq!(told.status(), 200);
        let told = json_of(told).await;
        assert_eq!(told["activity"], "draining", "it runs one scan");
        assert!(told["drain_by"].is_string());
        assert!(app.memory.all().await.unwrap()[0].drain_by.is_some());
        let undone = app.send("DELETE", "/api/nodes/a/drain", &[], "").await;
        let undone = json_of(undone).await;
        assert_eq!((&undone["drain_by"], &undone["activity"]), (&json!(null), &json!("active")));
        assert_eq!(app.send("POST", "/api/nodes/a/drain", &[], "").await.status(), 200, "a body is not needed");
    }

    #[tokio::test]
    async fn invalid_drain_requests_are_problems() {
        let app = app_with_nodes().await;
        assert_eq!(app.post_json("/api/nodes/nobody/drain", &[], &json!({})).await.status(), 404);
        assert_eq!(app.send("DELETE", "/api/nodes/%20/drain", &[], "").await.status(), 404);
        for body in [json!({ "within_seconds": -1 }), json!({ "within_seconds": 2_592_001 }), json!({ "within": 3 })] {
            let wrong = app.post_json("/api/nodes/a/drain", &[], &body).await;
            assert_eq!(wrong.status(), 422, "{body}");
            assert!(json_of(wrong).await["errors"][0]["field"].as_str().unwrap().starts_with("within"), "{body}");
        }
        assert_eq!(
            app.send("POST", "/api/nodes/a/drain", &[("content-type", "application/json")], "[").await.status(),
            400
        );
        assert!(app.memory.all().await.unwrap()[0].drain_by.is_none());
    }
}
