//! `/api/projects`: the projects and their members.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::FieldError;

use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{MemberList, MemberRoleBody, NewProjectBody, ProblemBody, ProjectBody, ProjectList};
use crate::web::error::{Problem, ProblemKind};
use crate::web::manager::Manager;
use crate::web::path::{part, project_id};
use crate::web::state::Web;

/// Lists the projects that the caller may see.
#[utoipa::path(
    get, path = "/api/projects", tag = "accounts",
    responses(
        (status = 200, description = "The projects", body = ProjectList, content_type = "application/json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_projects(State(web): State<Web>, Manager(viewer): Manager) -> Result<Response, Problem> {
    let projects = web.access().projects(&viewer.context).await?;
    Ok(fresh(StatusCode::OK, &ProjectList::of(&projects)))
}

/// Creates a project.
#[utoipa::path(
    post, path = "/api/projects", tag = "accounts",
    request_body(content = NewProjectBody, content_type = "application/json"),
    responses(
        (status = 201, description = "Project created", body = ProjectBody, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_project(
    State(web): State<Web>,
    Manager(viewer): Manager,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: NewProjectBody = read_object(&headers, body)?;
    let project = web.access().create_project(&viewer.context, &body.id, body.title()).await?;
    Ok(fresh(StatusCode::CREATED, &ProjectBody::from(&project)))
}

/// Lists the members of a project.
#[utoipa::path(
    get, path = "/api/projects/{id}/members", tag = "accounts",
    params(("id" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "The members", body = MemberList, content_type = "application/json"),
        (status = 404, description = "Project not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_members(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let project = project_id(&path)?;
    let members = web.access().members(&viewer.context, &project).await?;
    Ok(fresh(StatusCode::OK, &MemberList::of(&members, &project)))
}

/// Gives an account a role in a project.
#[utoipa::path(
    put, path = "/api/projects/{id}/members/{name}", tag = "accounts",
    params(
        ("id" = String, Path, description = "The project's id"),
        ("name" = String, Path, description = "The account's name"),
    ),
    request_body(content = MemberRoleBody, content_type = "application/json"),
    responses(
        (status = 204, description = "Role set"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Project not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn set_member(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let MemberRoleBody { role } = read_object(&headers, body)?;
    let Some(role) = role else {
        return Err(Problem::fields(ProblemKind::InvalidFields, vec![FieldError::new("role", "a role is needed")]));
    };
    let project = project_id(&path)?;
    web.access().set_member(&viewer.context, &project, part(&path, "name"), Some(role)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Removes an account from a project.
#[utoipa::path(
    delete, path = "/api/projects/{id}/members/{name}", tag = "accounts",
    params(
        ("id" = String, Path, description = "The project's id"),
        ("name" = String, Path, description = "The account's name"),
    ),
    responses(
        (status = 204, description = "The account is no member"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Project not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Account not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn remove_member(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let project = project_id(&path)?;
    web.access().set_member(&viewer.context, &project, part(&path, "name"), None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::web::testing::{TestApp, json_of};

    #[tokio::test]
    async fn project_is_created_and_has_members() {
        let app = TestApp::as_system();
        app.post_json("/api/accounts", &[], &json!({ "name": "ana" })).await;
        let list = json_of(app.get("/api/projects").await).await;
        assert_eq!(
            list["projects"],
            json!([{ "id": "default", "title": "Default", "created_at": null }]),
            "the default project always exists"
        );
        let created = app.post_json("/api/projects", &[], &json!({ "id": "shop" })).await;
        assert_eq!(created.status(), 201);
        let created = json_of(created).await;
        assert_eq!((&created["title"], created["created_at"].is_string()), (&json!("shop"), true));

        let member = "/api/projects/shop/members/ana";
        let put = async |body: Value| {
            app.send("PUT", member, &[("content-type", "application/json")], &body.to_string()).await.status()
        };
        assert_eq!(put(json!({ "role": "scanner" })).await, 204);
        assert_eq!(put(json!({ "role": "owner" })).await, 204);
        for body in [json!({}), json!({ "role": "king" }), json!({ "role": "owner", "until": 1 })] {
            assert_eq!(put(body.clone()).await, 422, "{body}");
        }
        let members = json_of(app.get("/api/projects/shop/members").await).await;
        assert_eq!(members["members"], json!([{ "name": "ana", "kind": "user", "role": "owner", "disabled": false }]));
        assert_eq!(app.send("DELETE", member, &[], "").await.status(), 204);
        assert_eq!(json_of(app.get("/api/projects/shop/members").await).await["members"], json!([]));
    }

    #[tokio::test]
    async fn unknown_projects_and_accounts_are_named() {
        let app = TestApp::as_system();
        for path in ["/api/projects/none/members", "/api/projects/No/members"] {
            assert_eq!(app.get(path).await.status(), 404, "{path}");
        }
        let of_none = app.send("DELETE", "/api/projects/default/members/bo", &[], "").await;
        assert_eq!((of_none.status().as_u16(), &json_of(of_none).await["errors"][0]["field"]), (422, &json!("name")));
        app.post_json("/api/accounts", &[], &json!({ "name": "ana" })).await;
        assert_eq!(app.send("DELETE", "/api/projects/none/members/ana", &[], "").await.status(), 404);
        for body in [json!({}), json!({ "id": "A" }), json!({ "id": "default" }), json!({ "id": "b", "title": "" })] {
            assert_eq!(app.post_json("/api/projects", &[], &body).await.status(), 422, "{body}");
        }
    }
}
