//! `/api/device`: device logins, by which `kastrel login` gets an API token. Any client may call
//! these routes; a server without accounts has no device logins.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{DeviceCode, DeviceCodeBody, DeviceToken, NewDeviceLoginBody, ProblemBody};
use crate::identity::secret::RandomSecret;
use crate::service::access::DevicePoll;
use crate::web::error::{Problem, ProblemKind};
use crate::web::pages::accounts::Accounts;
use crate::web::viewer::Viewer;

/// The path of the page on which somebody enters a user code.
const PAGE: &str = "/device";

/// Creates a device login: the codes with which a command line gets an API token, after its user
/// allowed that in a browser (RFC 8628).
#[utoipa::path(
    post, path = "/api/device/code", tag = "accounts",
    request_body(content = NewDeviceLoginBody, content_type = "application/json"),
    responses(
        (status = 200, description = "The codes", body = DeviceCode, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No accounts", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "Too many logins wait for a decision", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_code(
    Accounts(web): Accounts,
    viewer: Viewer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: NewDeviceLoginBody = read_object(&headers, body)?;
    let new = web.access().start_device_login(body.request(viewer.address)).await?;
    let public = web.state.public_url.as_deref();
    let page = public.map_or_else(|| PAGE.to_owned(), |public| public.page(PAGE));
    Ok(fresh(StatusCode::OK, &DeviceCode::of(&new, page)))
}

/// Returns the API token of a device login, once, after its user allowed it. Until then, the type
/// of the problem says what to do: `authorization-pending` means to poll again after the interval,
/// `slow-down` the same with 5 seconds more from now on, `access-denied` and `expired-token` to
/// stop.
#[utoipa::path(
    post, path = "/api/device/token", tag = "accounts",
    request_body(content = DeviceCodeBody, content_type = "application/json"),
    responses(
        (status = 200, description = "The token", body = DeviceToken, content_type = "application/json"),
        (status = 400, description = "No token yet, or none at all; or body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No accounts", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_device_token(
    Accounts(web): Accounts,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: DeviceCodeBody = read_object(&headers, body)?;
    let expired = || {
        let why = "this login was used, has expired or never existed; start a new one";
        Problem::new(ProblemKind::ExpiredToken, why)
    };
    let Ok(code) = RandomSecret::parse(body.device_code.expose()) else { return Err(expired()) };
    match web.access().poll_device_login(&code).await? {
        DevicePoll::Token(token, record) => Ok(fresh(StatusCode::OK, &DeviceToken::of(&token, &record))),
        DevicePoll::Pending => {
            let why = "nobody has allowed this login yet; poll again after the interval";
            Err(Problem::new(ProblemKind::AuthorizationPending, why))
        }
        DevicePoll::SlowDown { interval } => {
            let why = format!("this poll came too early; wait {interval} s between two polls from now on");
            Err(Problem::new(ProblemKind::SlowDown, why).retry_after(interval))
        }
        DevicePoll::Denied => Err(Problem::new(ProblemKind::AccessDenied, "this login was denied")),
        DevicePoll::Expired => Err(expired()),
    }
}

/// Ends a device login that its client gave up. A code that does not exist has the same response.
#[utoipa::path(
    post, path = "/api/device/cancel", tag = "accounts",
    request_body(content = DeviceCodeBody, content_type = "application/json"),
    responses(
        (status = 204, description = "The login has ended"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No accounts", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cancel_device_login(
    Accounts(web): Accounts,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: DeviceCodeBody = read_object(&headers, body)?;
    if let Ok(code) = RandomSecret::parse(body.device_code.expose()) {
        web.access().cancel_device_login(&code).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::web::testing::{TestApp, header_of, json_of};

    const CODE: &str = "/api/device/code";
    const TOKEN: &str = "/api/device/token";

    async fn started(app: &TestApp) -> Value {
        let answer = app.post_json(CODE, &[], &json!({ "label": "ana@laptop" })).await;
        assert_eq!((answer.status().as_u16(), header_of(&answer, "cache-control")), (200, "no-store"));
        json_of(answer).await
    }

    async fn polled(app: &TestApp, code: &Value) -> (u16, String) {
        let answer = app.post_json(TOKEN, &[], &json!({ "device_code": code })).await;
        let status = answer.status().as_u16();
        (status, json_of(answer).await["type"].as_str().unwrap().trim_start_matches("urn:kastrel:problem:").to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn device_login_has_the_fields_of_rfc_8628() {
        let new = started(&TestApp::with_accounts()).await;
        let code = new["user_code"].as_str().unwrap();
        assert_eq!((code.len(), new["device_code"].as_str().unwrap().len()), (9, 64));
        assert_eq!(new["verification_uri"], "/device");
        assert_eq!(new["verification_uri_complete"], format!("/device?code={code}"));
        assert_eq!((&new["expires_in"], &new["interval"]), (&json!(600), &json!(5)));
        let new = started(&TestApp::with_public_url("https://scans.example.com/tools")).await;
        let complete = new["verification_uri_complete"].as_str().unwrap();
        assert!(complete.starts_with("https://scans.example.com/tools/device?code="), "{complete}");
    }

    #[tokio::test(start_paused = true)]
    async fn poll_without_a_token_names_what_to_do() {
        let app = TestApp::with_accounts();
        let new = started(&app).await;
        assert_eq!(polled(&app, &new["device_code"]).await, (400, "authorization-pending".into()));
        let early = app.post_json(TOKEN, &[], &json!({ "device_code": new["device_code"] })).await;
        assert_eq!((early.status().as_u16(), header_of(&early, "retry-after")), (400, "10"));
        for code in [json!("0".repeat(64)), json!(""), json!("x"), new["user_code"].clone()] {
            assert_eq!(polled(&app, &code).await, (400, "expired-token".into()), "{code}");
        }
        let cancelled = app.post_json("/api/device/cancel", &[], &json!({ "device_code": new["device_code"] })).await;
        assert_eq!(cancelled.status(), 204);
        assert_eq!(polled(&app, &new["device_code"]).await, (400, "expired-token".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_fields_and_floods_of_device_logins_are_refused() {
        let app = TestApp::with_accounts();
        for (body, field) in [
            (json!({}), "label"),
            (json!({ "label": "x", "days": 0 }), "days"),
            (json!({ "label": "x", "role": "king" }), "role"),
        ] {
            let answer = app.post_json(CODE, &[], &body).await;
            assert_eq!(answer.status(), 422, "{body}");
            assert_eq!(json_of(answer).await["errors"][0]["field"], field);
        }
        for _ in 0..20 {
            started(&app).await;
        }
        let full = app.post_json(CODE, &[], &json!({ "label": "x" })).await;
        assert_eq!((full.status().as_u16(), header_of(&full, "retry-after")), (429, "600"));
    }

    #[tokio::test]
    async fn server_without_accounts_has_no_device_logins() {
        let answer = TestApp::new().post_json(CODE, &[], &json!({ "label": "x" })).await;
        assert_eq!(answer.status(), 404);
        assert!(json_of(answer).await["detail"].as_str().unwrap().contains("no accounts"));
    }
}
