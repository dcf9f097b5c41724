//! `GET /api/whoami`: who makes the request, and what it may do.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::scans::fresh;
use crate::api_types::{ProblemBody, Whoami};
use crate::web::error::Problem;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Shows the caller and its rights.
#[utoipa::path(
    get, path = "/api/whoami", tag = "accounts",
    responses(
        (status = 200, description = "The caller", body = Whoami, content_type = "application/json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn whoami(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    let projects = web.access().projects(&viewer.context).await?;
    let token = viewer.signed_in.as_ref().and_then(|signed_in| signed_in.token.clone());
    Ok(fresh(StatusCode::OK, &Whoami::of(&viewer.context, token, &projects)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::web::testing::{TestApp, json_of};

    #[tokio::test]
    async fn anonymous_client_of_a_server_without_accounts_has_all_rights() {
        let body = json_of(TestApp::new().get("/api/whoami").await).await;
        assert_eq!(
            body,
            json!({ "principal": "anonymous", "account": null, "token": null, "server_role": "admin", "projects": { "default": "owner" } })
        );
    }
}
