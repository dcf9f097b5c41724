//! `/api/projects/{id}/clearances`: what may be done to hosts in scans of a project.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{ClearanceBody, ClearanceList, NewClearanceBody, ProblemBody};
use crate::web::error::Problem;
use crate::web::manager::Manager;
use crate::web::path::{part, project_id};
use crate::web::state::Web;

/// Lists the clearances of a project.
#[utoipa::path(
    get, path = "/api/projects/{id}/clearances", tag = "accounts",
    params(("id" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "The clearances", body = ClearanceList, content_type = "application/json"),
        (status = 404, description = "Project not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_clearances(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let clearances = web.access().clearances(&viewer.context, &project_id(&path)?).await?;
    Ok(fresh(StatusCode::OK, &ClearanceList::of(&clearances)))
}

/// Sets the clearance of hosts in a project, in place of an earlier one of the same pattern.
#[utoipa::path(
    put, path = "/api/projects/{id}/clearances/{pattern}", tag = "accounts",
    params(
        ("id" = String, Path, description = "The project's id"),
        ("pattern" = String, Path, description = "A host, such as `example.com`, or `*.example.com` for all names below a domain"),
    ),
    request_body(content = NewClearanceBody, content_type = "application/json"),
    responses(
        (status = 200, description = "Clearance set", body = ClearanceBody, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Project not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn set_clearance(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: NewClearanceBody = read_object(&headers, body)?;
    let project = project_id(&path)?;
    let draft = body.draft(part(&path, "pattern"));
    let clearance = web.access().set_clearance(&viewer.context, &project, &draft).await?;
    Ok(fresh(StatusCode::OK, &ClearanceBody::from(&clearance)))
}

/// Removes the clearance of hosts from a project.
#[utoipa::path(
    delete, path = "/api/projects/{id}/clearances/{pattern}", tag = "accounts",
    params(
        ("id" = String, Path, description = "The project's id"),
        ("pattern" = String, Path, description = "A host, or `*.` and a domain"),
    ),
    responses(
        (status = 204, description = "Clearance removed"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Project or clearance not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid pattern", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn remove_clearance(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let project = project_id(&path)?;
    if web.access().remove_clearance(&viewer.context, &project, part(&path, "pattern")).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::not_found("clearance not found"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::web::testing::{TestApp, json_of};

    const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

    #[tokio::test]
    async fn clearance_is_set_listed_and_removed() {
        let app = TestApp::as_system();
        let list = async || json_of(app.get("/api/projects/default/clearances").await).await["clearances"].clone();
        assert_eq!(list().await, json!([]));
        let body = json!({ "level": "active", "until": "2026-12-31", "text": " contract 7 " }).to_string();
        let set = app.send("PUT", "/api/projects/default/clearances/*.Example.com", &JSON, &body).await;
        assert_eq!(set.status(), 200);
        let set = json_of(set).await;
        let expected = json!({
            "pattern": "*.example.com",
            "level": "active",
            "authorised_by": "system",
            "at": set["at"],
            "until": "2027-01-01T00:00:00Z",
            "text": "contract 7",
        });
        assert_eq!(set, expected);
        for host in ["[::1]", "%5B::1%5D", "::1"] {
            let path = format!("/api/projects/default/clearances/{host}");
            assert_eq!(app.send("PUT", &path, &JSON, r#"{"level":"none"}"#).await.status(), 200, "{host}");
        }
        let all = list().await;
        assert_eq!((all.as_array().unwrap().len(), &all[0], &all[1]["pattern"]), (2, &expected, &json!("[::1]")));
        for (path, status) in [
            ("/api/projects/default/clearances/[::1]", 204),
            ("/api/projects/default/clearances/[::1]", 404),
            ("/api/projects/default/clearances/%2A.example.com", 204),
            ("/api/projects/default/clearances/*", 422),
        ] {
            assert_eq!(app.send("DELETE", path, &[], "").await.status(), status, "{path}");
        }
        assert_eq!(list().await, json!([]));
    }

    #[tokio::test]
    async fn invalid_fields_and_unknown_projects_are_named() {
        let app = TestApp::as_system();
        let put = async |pattern: &str, body: Value| {
            let path = format!("/api/projects/default/clearances/{pattern}");
            let refused = app.send("PUT", &path, &JSON, &body.to_string()).await;
            assert_eq!(refused.status(), 422, "{pattern} {body}");
            let problem = json_of(refused).await;
            let errors = problem["errors"].as_array().unwrap().iter();
            errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(put("*", json!({})).await, ["pattern", "level"]);
        assert_eq!(put("a.test", json!({ "level": "active" })).await, ["text"]);
        assert_eq!(put("a.test", json!({ "level": "king" })).await, ["level"]);
        assert_eq!(put("a.test", json!({ "level": "none", "until": "2026-12-31" })).await, ["until"]);
        assert_eq!(put("a.test", json!({ "level": "active", "text": "x", "until": "2020-01-01" })).await, ["until"]);
        let unknown = put("a.test", json!({ "level": "none", "why": 1 })).await;
        assert!(unknown.len() == 1 && unknown[0].contains("why"), "{unknown:?}");
        for path in ["/api/projects/none/clearances", "/api/projects/No/clearances"] {
            assert_eq!(app.get(path).await.status(), 404, "{path}");
            let path = format!("{path}/a.test");
            assert_eq!(app.send("PUT", &path, &JSON, r#"{"level":"none"}"#).await.status(), 404, "{path}");
            assert_eq!(app.send("DELETE", &path, &[], "").await.status(), 404, "{path}");
        }
    }
}
