//! `/api/accounts/{name}/tokens`: the API tokens of an account.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::TokenId;

use super::accounts::refuse_own_token;
use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{CreatedToken, NewTokenBody, ProblemBody, SecretText, TokenBody, TokenList};
use crate::web::error::Problem;
use crate::web::manager::Manager;
use crate::web::path::{account_name, no_account, part};
use crate::web::state::Web;

/// Lists the tokens of an account, without their secrets. Everybody may read those of the own
/// account.
#[utoipa::path(
    get, path = "/api/accounts/{name}/tokens", tag = "accounts",
    params(("name" = String, Path, description = "The account's name")),
    responses(
        (status = 200, description = "The tokens", body = TokenList, content_type = "application/json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Account not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_tokens(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let name = account_name(&path)?;
    web.access().account(&viewer.context, &name).await?.ok_or_else(no_account)?;
    let tokens = web.access().tokens(&viewer.context, &name).await?;
    Ok(fresh(StatusCode::OK, &TokenList::of(&tokens)))
}

/// Creates a token. The response has its secret, which is shown only once. A request with a token
/// creates none for its own account.
#[utoipa::path(
    post, path = "/api/accounts/{name}/tokens", tag = "accounts",
    params(("name" = String, Path, description = "The account's name")),
    request_body(content = NewTokenBody, content_type = "application/json"),
    responses(
        (status = 201, description = "Token created", body = CreatedToken, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Account not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_token(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: NewTokenBody = read_object(&headers, body)?;
    let name = account_name(&path)?;
    refuse_own_token(&viewer, &name)?;
    let (token, record) = web.access().create_token(&viewer.context, body.request(name)).await?;
    let created = CreatedToken { secret: SecretText::new(token.expose()), token: TokenBody::from(&record) };
    Ok(fresh(StatusCode::CREATED, &created))
}

/// Revokes a token: from now on it is refused. Everybody may revoke those of the own account.
#[utoipa::path(
    delete, path = "/api/accounts/{name}/tokens/{id}", tag = "accounts",
    params(
        ("name" = String, Path, description = "The account's name"),
        ("id" = String, Path, description = "The token's id"),
    ),
    responses(
        (status = 204, description = "Token revoked"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Token not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn revoke_token(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("token not found");
    let name = account_name(&path)?;
    let id: TokenId = part(&path, "id").parse().map_err(|_| missing())?;
    if web.access().revoke_token(&viewer.context, &name, &id).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(missing())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::web::testing::{TestApp, json_of};

    const TOKENS: &str = "/api/accounts/ci/tokens";

    #[tokio::test]
    async fn token_is_created_listed_without_its_secret_and_revoked() {
        let app = TestApp::as_system();
        app.post_json("/api/accounts", &[], &json!({ "name": "ci", "kind": "service" })).await;
        let body = json!({ "label": "deploy", "role": "scanner", "days": 7, "networks": ["192.0.2.0/24"] });
        let created = app.post_json(TOKENS, &[], &body).await;
        assert_eq!(created.status(), 201);
        let created = json_of(created).await;
        let (secret, id) = (created["secret"].as_str().unwrap(), created["token"]["id"].as_str().unwrap());
        assert!(secret.starts_with(&format!("kst_{id}_")));
        let list = json_of(app.get(TOKENS).await).await;
        assert_eq!((&list["tokens"][0]["label"], &list["tokens"][0]["role"]), (&json!("deploy"), &json!("scanner")));
        assert_eq!(list["tokens"][0]["networks"], json!(["192.0.2.0/24"]));
        assert!(!list.to_string().contains(secret));
        let path = format!("{TOKENS}/{id}");
        assert_eq!(app.send("DELETE", &path, &[], "").await.status(), 204);
        assert_eq!(app.send("DELETE", &path, &[], "").await.status(), 404);
        assert_eq!(json_of(app.get(TOKENS).await).await["tokens"], json!([]));
        assert_eq!(app.send("DELETE", &format!("{TOKENS}/x"), &[], "").await.status(), 404);
    }

    #[tokio::test]
    async fn invalid_fields_of_a_token_are_named() {
        let app = TestApp::as_system();
        app.post_json("/api/accounts", &[], &json!({ "name": "ci", "kind": "service" })).await;
        for (body, field) in [
            (json!({}), "label"),
            (json!({ "label": "x", "days": 0 }), "days"),
            (json!({ "label": "x", "networks": ["10.0.0.1/8"] }), "networks"),
            (json!({ "label": "x", "project": "none" }), "project"),
            (json!({ "label": "x", "role": "king" }), "role"),
        ] {
            let answer = app.post_json(TOKENS, &[], &body).await;
            assert_eq!(answer.status(), 422, "{body}");
            let answer = json_of(answer).await;
            assert_eq!(answer["errors"][0]["field"], field, "{answer}");
        }
        let unknown = app.post_json(TOKENS, &[], &json!({ "label": "x", "scope": "all" })).await;
        assert_eq!(unknown.status(), 422);
        assert!(json_of(unknown).await.to_string().contains("scope"));
        let missing = app.post_json("/api/accounts/bo/tokens", &[], &json!({ "label": "x" })).await;
        assert_eq!(
            (missing.status().as_u16(), &json_of(missing).await["errors"][0]["field"]),
            (422, &json!("account"))
        );
        assert_eq!(app.get("/api/accounts/bo/tokens").await.status(), 404);
    }
}
