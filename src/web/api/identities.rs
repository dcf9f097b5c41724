//! `/api/accounts/{name}/identity`: who signs in to an account with the identity provider.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::accounts::refuse_own_token;
use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{IdentityBody, NewIdentityBody, ProblemBody};
use crate::web::error::Problem;
use crate::web::manager::Manager;
use crate::web::path::{account_name, no_account};
use crate::web::state::Web;

/// Shows the identity of an account.
#[utoipa::path(
    get, path = "/api/accounts/{name}/identity", tag = "accounts",
    params(("name" = String, Path, description = "The account's name")),
    responses(
        (status = 200, description = "The identity", body = IdentityBody, content_type = "application/json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Account or identity not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_identity(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let linked = web.access().identity(&viewer.context, &account_name(&path)?).await?.ok_or_else(no_identity)?;
    Ok(fresh(StatusCode::OK, &IdentityBody::from(&linked)))
}

/// Links a person of the identity provider to an account: the person then signs in to it.
#[utoipa::path(
    put, path = "/api/accounts/{name}/identity", tag = "accounts",
    params(("name" = String, Path, description = "The account's name")),
    request_body(content = NewIdentityBody, content_type = "application/json"),
    responses(
        (status = 200, description = "Identity linked", body = IdentityBody, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Account not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn link_identity(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: NewIdentityBody = read_object(&headers, body)?;
    let name = account_name(&path)?;
    refuse_own_token(&viewer, &name)?;
    let access = web.access();
    let linked = access.link_identity(&viewer.context, &name, body.issuer.as_deref(), &body.subject).await?;
    Ok(fresh(StatusCode::OK, &IdentityBody::from(&linked.ok_or_else(no_account)?)))
}

/// Unlinks the identity of an account. The sessions of the account end.
#[utoipa::path(
    delete, path = "/api/accounts/{name}/identity", tag = "accounts",
    params(("name" = String, Path, description = "The account's name")),
    responses(
        (status = 204, description = "Identity unlinked"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Account or identity not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn unlink_identity(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    if web.access().unlink_identity(&viewer.context, &account_name(&path)?).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(no_identity())
    }
}

fn no_identity() -> Problem {
    Problem::not_found("there is no such account, or it is not linked to the identity provider")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::web::testing::{TestApp, json_of};

    const PATH: &str = "/api/accounts/ana/identity";

    async fn put(app: &TestApp, path: &str, body: &Value) -> axum::response::Response {
        app.send("PUT", path, &[("content-type", "application/json")], &body.to_string()).await
    }

    #[tokio::test]
    async fn identity_is_linked_shown_and_unlinked() {
        let app = TestApp::as_system();
        for name in ["ana", "ben"] {
            app.post_json("/api/accounts", &[], &json!({ "name": name })).await;
        }
        assert_eq!(app.get(PATH).await.status(), 404);
        let body = json!({ "subject": "auth0|7", "issuer": "https://id.example" });
        let linked = put(&app, PATH, &body).await;
        assert_eq!(linked.status(), 200);
        let linked = json_of(linked).await;
        assert_eq!((&linked["account"], &linked["subject"]), (&json!("ana"), &json!("auth0|7")));
        assert_eq!(json_of(app.get(PATH).await).await, linked);
        assert_eq!(put(&app, PATH, &body).await.status(), 200, "it is so already");
        let taken = put(&app, "/api/accounts/ben/identity", &body).await;
        assert_eq!(taken.status(), 422);
        assert_eq!(json_of(taken).await["errors"][0]["field"], "subject");
        assert_eq!(app.send("DELETE", PATH, &[], "").await.status(), 204);
        for missing in [PATH, "/api/accounts/nobody/identity"] {
            assert_eq!(app.send("DELETE", missing, &[], "").await.status(), 404, "{missing}");
        }
    }

    #[tokio::test]
    async fn wrong_fields_of_an_identity_are_named() {
        let app = TestApp::as_system();
        app.post_json("/api/accounts", &[], &json!({ "name": "ana" })).await;
        app.post_json("/api/accounts", &[], &json!({ "name": "ci", "kind": "service" })).await;
        let issuer = "https://id.example";
        for (path, body, field) in [
            (PATH, json!({ "subject": "7" }), "issuer"),
            (PATH, json!({ "subject": "", "issuer": issuer }), "subject"),
            (PATH, json!({ "subject": "a b", "issuer": issuer }), "subject"),
            (PATH, json!({ "subject": "7", "issuer": "" }), "issuer"),
            (PATH, json!({ "issuer": issuer }), "."),
            ("/api/accounts/ci/identity", json!({ "subject": "7", "issuer": issuer }), "name"),
        ] {
            let answer = put(&app, path, &body).await;
            assert_eq!(answer.status(), 422, "{body}");
            assert_eq!(json_of(answer).await["errors"][0]["field"], field, "{body}");
        }
        let missing = put(&app, "/api/accounts/nobody/identity", &json!({ "subject": "7", "issuer": issuer })).await;
        assert_eq!(missing.status(), 404);
        assert_eq!(app.get(PATH).await.status(), 404);
    }
}
