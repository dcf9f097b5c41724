//! `/api/accounts`: the accounts of people and programs.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use kastrel_actors::model::{AccountName, FieldError};
use url::form_urlencoded;

use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{
    AccountBody, AccountChangeBody, AccountList, AccountParams, CreatedAccount, NewAccountBody, PasswordLink,
    ProblemBody, RequestedChange,
};
use crate::web::error::{Problem, ProblemKind};
use crate::web::manager::Manager;
use crate::web::path::{account_name, no_account};
use crate::web::state::{Web, WebInner};
use crate::web::viewer::Viewer;

/// Refuses a request that proves itself with a token of `account` and would give that account
/// another credential: a token that leaked must not outlive its own end.
pub(super) fn refuse_own_token(viewer: &Viewer, account: &AccountName) -> Result<(), Problem> {
    let has_token = viewer.signed_in.as_ref().is_some_and(|signed_in| signed_in.token.is_some());
    if has_token && viewer.context.principal.account() == Some(account) {
        return Err(Problem::new(
            ProblemKind::Forbidden,
            "an API token creates no credentials of its own account: sign in with the password",
        ));
    }
    Ok(())
}

/// Reads the query by hand, so that each wrong parameter is named.
fn params_of(query: Option<&str>) -> Result<AccountParams, Problem> {
    let mut params = AccountParams::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name == "kind" {
            let wrong = |_| {
                Problem::fields(
                    ProblemKind::InvalidQuery,
                    vec![FieldError::new("kind", "expected `user` or `service`")],
                )
            };
            params.kind = Some(value.parse().map_err(wrong)?);
        }
    }
    Ok(params)
}

/// Lists the accounts.
#[utoipa::path(
    get, path = "/api/accounts", tag = "accounts", params(AccountParams),
    responses(
        (status = 200, description = "The accounts", body = AccountList, content_type = "application/json"),
        (status = 400, description = "Invalid parameter", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_accounts(
    State(web): State<Web>,
    Manager(viewer): Manager,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let AccountParams { kind } = params_of(query.as_deref())?;
    let accounts = web.access().accounts(&viewer.context).await?;
    Ok(fresh(StatusCode::OK, &AccountList::of(&accounts, kind)))
}

/// Creates an account. A user without a password gets a one-time link that sets it, in the response
/// or by mail.
#[utoipa::path(
    post, path = "/api/accounts", tag = "accounts",
    request_body(content = NewAccountBody, content_type = "application/json"),
    responses(
        (status = 201, description = "Account created", body = CreatedAccount, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_account(
    State(web): State<Web>,
    Manager(viewer): Manager,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: NewAccountBody = read_object(&headers, body)?;
    let (account, secret) = web.access().create_account(&viewer.context, body.into()).await?;
    let link = secret.map(|secret| PasswordLink::of(&secret, web.access().link_lifetime()));
    Ok(fresh(StatusCode::CREATED, &CreatedAccount { account: (&account).into(), link }))
}

/// Shows an account.
#[utoipa::path(
    get, path = "/api/accounts/{name}", tag = "accounts",
    params(("name" = String, Path, description = "The account's name")),
    responses(
        (status = 200, description = "The account", body = AccountBody, content_type = "application/json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Account not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_account(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    show(&web, &viewer, &account_name(&path)?).await
}

/// Disables or enables an account, or sets its role on the server or its mail address. Disabling
/// and another role end the sessions of the account.
#[utoipa::path(
    patch, path = "/api/accounts/{name}", tag = "accounts",
    params(("name" = String, Path, description = "The account's name")),
    request_body(content = AccountChangeBody, content_type = "application/json"),
    responses(
        (status = 200, description = "Account changed", body = AccountBody, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Account not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Last administrator", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn change_account(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: AccountChangeBody = read_object(&headers, body)?;
    let change = body.change().map_err(|error| Problem::fields(ProblemKind::InvalidFields, vec![error]))?;
    let name = account_name(&path)?;
    let is_known = match change {
        RequestedChange::Account(change) => web.access().change_account(&viewer.context, &name, change).await?,
        RequestedChange::Mail(mail) => web.access().set_mail(&viewer.context, &name, mail.as_deref()).await?,
    };
    if !is_known {
        return Err(no_account());
    }
    show(&web, &viewer, &name).await
}

/// Creates a one-time link with which a user sets a new password.
#[utoipa::path(
    post, path = "/api/accounts/{name}/password-link", tag = "accounts",
    params(("name" = String, Path, description = "The account's name")),
    responses(
        (status = 201, description = "Link created", body = PasswordLink, content_type = "application/json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Account not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Account of a program", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_password_link(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let name = account_name(&path)?;
    refuse_own_token(&viewer, &name)?;
    let secret = web.access().password_link(&viewer.context, &name).await?.ok_or_else(no_account)?;
    Ok(fresh(StatusCode::CREATED, &PasswordLink::of(&secret, web.access().link_lifetime())))
}

/// Removes the second factor of an account whose user lost it: the authenticator app with its
/// recovery codes, and all passkeys. The sessions of the account end.
#[utoipa::path(
    delete, path = "/api/accounts/{name}/second-factor", tag = "accounts",
    params(("name" = String, Path, description = "The account's name")),
    responses(
        (status = 204, description = "Second factor removed"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Account or second factor not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The own account", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn remove_second_factor(
    State(web): State<Web>,
    Manager(viewer): Manager,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let name = account_name(&path)?;
    refuse_own_token(&viewer, &name)?;
    if web.access().reset_second_factor(&viewer.context, &name).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::not_found("there is no such account, or it has no second factor"))
    }
}

async fn show(web: &WebInner, viewer: &Viewer, name: &AccountName) -> Result<Response, Problem> {
    let account = web.access().account(&viewer.context, name).await?.ok_or_else(no_account)?;
    Ok(fresh(StatusCode::OK, &AccountBody::from(&account)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kastrel_actors::model::{AccountKind, NewSecondFactor, Principal, ProjectRole, ServerRole};
    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;
    use serde_json::{Value, json};

    use crate::service::access::{AccountRequest, TokenRequest};
    use crate::web::testing::{TestApp, json_of};

    async fn patch(app: &TestApp, path: &str, body: &Value) -> axum::response::Response {
        app.send("PATCH", path, &[("content-type", "application/json")], &body.to_string()).await
    }

    #[tokio::test]
    async fn account_is_created_with_a_link_and_listed() {
        let app = TestApp::as_system();
        let body = json!({ "name": "ana", "server_role": "admin", "memberships": { "default": "scanner" } });
        let created = app.post_json("/api/accounts", &[], &body).await;
        assert_eq!(created.status(), 201);
        let created = json_of(created).await;
        assert_eq!(
            (&created["account"]["server_role"], &created["account"]["has_password"]),
            (&json!("admin"), &json!(false))
        );
        assert!(created["link"]["path"].as_str().unwrap().starts_with("/set-password?link="));
        assert_eq!(created["link"]["lifetime_seconds"], 86_400);
        let service =
            json_of(app.post_json("/api/accounts", &[], &json!({ "name": "ci", "kind": "service" })).await).await;
        assert_eq!(service["link"], Value::Null);

        let names = async |path: &str| {
            let list = json_of(app.get(path).await).await;
            list["accounts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("/api/accounts").await, ["ana", "ci"]);
        assert_eq!(names("/api/accounts?kind=service").await, ["ci"]);
        let wrong = app.get("/api/accounts?kind=robot").await;
        assert_eq!(wrong.status(), 400);
        assert_eq!(json_of(wrong).await["errors"][0]["field"], "kind");
        let shown = json_of(app.get("/api/accounts/ana").await).await;
        assert_eq!((&shown["memberships"]["default"], &shown["kind"]), (&json!("scanner"), &json!("user")));
    }

    #[tokio::test]
    async fn invalid_fields_of_an_account_are_named() {
        let app = TestApp::as_system();
        app.post_json("/api/accounts", &[], &json!({ "name": "ana" })).await;
        for (body, field) in [
            (json!({}), "name"),
            (json!({ "name": "Ana" }), "name"),
            (json!({ "name": "ana" }), "name"),
            (json!({ "name": "bo", "password": "short" }), "password"),
            (json!({ "name": "bo", "kind": "robot" }), "kind"),
            (json!({ "name": "bo", "memberships": { "default": "king" } }), "memberships.default"),
        ] {
            let answer = app.post_json("/api/accounts", &[], &body).await;
            assert_eq!(answer.status(), 422, "{body}");
            let answer = json_of(answer).await;
            assert_eq!(answer["errors"][0]["field"], field, "{answer}");
        }
        let unknown = app.post_json("/api/accounts", &[], &json!({ "name": "bo", "colour": "red" })).await;
        assert_eq!(unknown.status(), 422);
        assert!(json_of(unknown).await.to_string().contains("colour"));
        assert_eq!(app.get("/api/accounts/bo").await.status(), 404);
        assert_eq!(app.get("/api/accounts/No").await.status(), 404, "a text that is no name");
    }

    #[tokio::test]
    async fn account_changes_and_the_last_administrator_stays() {
        let app = TestApp::as_system();
        let admin = json!({ "name": "ana", "server_role": "admin", "password": "correct horse battery staple" });
        assert_eq!(app.post_json("/api/accounts", &[], &admin).await.status(), 201);
        app.post_json("/api/accounts", &[], &json!({ "name": "bo" })).await;
        for body in [json!({ "disabled": true }), json!({ "server_role": null }), json!({ "server_role": "auditor" })] {
            let refused = patch(&app, "/api/accounts/ana", &body).await;
            assert_eq!(refused.status(), 409, "{body}");
            assert_eq!(json_of(refused).await["type"], "urn:kastrel:problem:last-admin");
        }
        let changed = json_of(patch(&app, "/api/accounts/bo", &json!({ "server_role": "auditor" })).await).await;
        assert_eq!(changed["server_role"], "auditor");
        let changed = json_of(patch(&app, "/api/accounts/bo", &json!({ "disabled": true })).await).await;
        assert_eq!((&changed["disabled"], &changed["server_role"]), (&json!(true), &json!("auditor")));
        let changed = json_of(patch(&app, "/api/accounts/bo", &json!({ "server_role": null })).await).await;
        assert_eq!(changed["server_role"], Value::Null);
        for body in [json!({}), json!({ "disabled": true, "server_role": "admin" }), json!({ "name": "cy" })] {
            assert_eq!(patch(&app, "/api/accounts/bo", &body).await.status(), 422, "{body}");
        }
        assert_eq!(patch(&app, "/api/accounts/nobody", &json!({ "disabled": true })).await.status(), 404);
    }

    #[tokio::test]
    async fn mail_address_is_set_removed_and_checked() {
        let app = TestApp::as_system();
        let body = json!({ "name": "ana", "mail": "ana@example.com" });
        let created = json_of(app.post_json("/api/accounts", &[], &body).await).await;
        assert_eq!(created["account"]["mail"], "ana@example.com");
        app.post_json("/api/accounts", &[], &json!({ "name": "ci", "kind": "service" })).await;
        let path = "/api/accounts/ana";
        for mail in [json!("a@example.org"), Value::Null] {
            let changed = json_of(patch(&app, path, &json!({ "mail": mail })).await).await;
            assert_eq!(changed["mail"], mail);
        }
        for (path, mail) in [(path, json!("ana")), (path, json!("")), ("/api/accounts/ci", json!("ci@example.com"))] {
            let refused = patch(&app, path, &json!({ "mail": mail })).await;
            assert_eq!(refused.status(), 422, "{mail}");
            assert_eq!(json_of(refused).await["errors"][0]["field"], "mail");
        }
        assert_eq!(patch(&app, "/api/accounts/nobody", &json!({ "mail": null })).await.status(), 404);
        for (body, field) in [
            (json!({ "name": "bo", "mail": "bo" }), "mail"),
            (json!({ "name": "bo", "mail": "bo@example.com", "send_link": true }), "send_link"),
            (json!({ "name": "bo", "kind": "service", "mail": "bo@example.com" }), "mail"),
        ] {
            let refused = app.post_json("/api/accounts", &[], &body).await;
            assert_eq!(refused.status(), 422, "{body}");
            assert_eq!(json_of(refused).await["errors"][0]["field"], field, "{body}");
        }
    }

    #[tokio::test]
    async fn password_link_is_only_for_a_user() {
        let app = TestApp::as_system();
        app.post_json("/api/accounts", &[], &json!({ "name": "ana" })).await;
        app.post_json("/api/accounts", &[], &json!({ "name": "ci", "kind": "service" })).await;
        let link = app.send("POST", "/api/accounts/ana/password-link", &[], "").await;
        assert_eq!(link.status(), 201);
        assert!(json_of(link).await["path"].as_str().unwrap().starts_with("/set-password?link="));
        assert_eq!(app.send("POST", "/api/accounts/ci/password-link", &[], "").await.status(), 422);
        assert_eq!(app.send("POST", "/api/accounts/bo/password-link", &[], "").await.status(), 404);
    }

    #[tokio::test]
    async fn token_creates_no_credentials_of_its_own_account() {
        let app = TestApp::with_anonymous(None);
        let (web, system) = (app.web(), fixtures::context());
        for (name, kind) in [("ana", AccountKind::User), ("ci", AccountKind::Service)] {
            let server_role = Some(ServerRole::Admin);
            let request = AccountRequest {
                name: name.into(),
                kind,
                server_role,
                password: None,
                mail: None,
                send_link: false,
                memberships: BTreeMap::new(),
            };
            web.access().create_account(&system, request).await.unwrap();
        }
        let request = TokenRequest {
            account: "ana".parse().unwrap(),
            label: "x".into(),
            role: ProjectRole::Owner,
            project: None,
            has_server_role: true,
            networks: Vec::new(),
            days: None,
        };
        let (token, record) = web.access().create_token(&system, request).await.unwrap();
        let bearer = format!("Bearer {}", token.expose());
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let post = async |path: &str| app.send("POST", path, &headers, r#"{"label":"x"}"#).await;
        for path in ["/api/accounts/ana/tokens", "/api/accounts/ana/password-link"] {
            let refused = post(path).await;
            assert_eq!(refused.status(), 403, "{path}");
            let refused = json_of(refused).await;
            assert!(refused["detail"].as_str().unwrap().contains("its own account"), "{refused}");
        }
        assert_eq!(post("/api/accounts/ci/tokens").await.status(), 201, "an administrator, for another account");
        let whoami = json_of(app.send("GET", "/api/whoami", &headers, "").await).await;
        assert_eq!((&whoami["account"], &whoami["token"]), (&json!("ana"), &json!(record.id)));
    }

    #[tokio::test]
    async fn second_factor_is_shown_and_removed_by_an_administrator() {
        let app = TestApp::as_system();
        app.post_json("/api/accounts", &[], &json!({ "name": "ana" })).await;
        let factor = NewSecondFactor {
            account: "ana".parse().unwrap(),
            sealed_secret: "sealed".into(),
            last_step: 0,
            recovery_codes: Vec::new(),
            created_at: app.web().now(),
        };
        assert!(app.memory.add_second_factor(factor, None, &Principal::System).await.unwrap());
        let listed = json_of(app.get("/api/accounts").await).await;
        assert_eq!(listed["accounts"][0]["has_second_factor"], true);
        let path = "/api/accounts/ana/second-factor";
        assert_eq!(app.send("DELETE", path, &[], "").await.status(), 204);
        assert_eq!(json_of(app.get("/api/accounts/ana").await).await["has_second_factor"], false);
        for missing in [path, "/api/accounts/bo/second-factor"] {
            assert_eq!(app.send("DELETE", missing, &[], "").await.status(), 404, "{missing}");
        }
    }
}
