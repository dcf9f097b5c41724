//! `/api/audit` and `/api/dead-letters`: who did what, and the events that could not be delivered.

use axum::extract::{RawPathParams, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::{FieldError, OutboxKey, ScanId};
use url::form_urlencoded;

use super::scans::fresh;
use crate::api_types::{AuditList, AuditParams, DeadLetterList, ProblemBody};
use crate::web::error::{Problem, ProblemKind};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// The number of entries without a `limit`.
const DEFAULT_LIMIT: usize = 100;

/// The largest `limit`.
const MAX_LIMIT: usize = 1000;

/// Reads the query by hand, so that each wrong parameter is named.
fn params_of(query: Option<&str>) -> Result<AuditParams, Problem> {
    let (mut params, mut errors) = (AuditParams::default(), Vec::new());
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "scan" => match value.parse() {
                Ok(number) if i64::try_from(number).is_ok() => params.scan = Some(number),
                _ => errors.push(FieldError::new("scan", "expected a scan number")),
            },
            "limit" => match value.parse() {
                Ok(number) if (1..=MAX_LIMIT as u64).contains(&number) => params.limit = Some(number),
                _ => errors.push(FieldError::new("limit", format!("expected a number from 1 to {MAX_LIMIT}"))),
            },
            _ => {}
        }
    }
    if errors.is_empty() { Ok(params) } else { Err(Problem::fields(ProblemKind::InvalidQuery, errors)) }
}

/// Lists the newest entries of the audit log. Each command and each end of an attempt has one.
#[utoipa::path(
    get, path = "/api/audit", tag = "server", params(AuditParams),
    responses(
        (status = 200, description = "The entries, newest first", body = AuditList, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_audit(
    State(web): State<Web>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let AuditParams { scan, limit } = params_of(query.as_deref())?;
    let limit = limit.map_or(DEFAULT_LIMIT, |limit| usize::try_from(limit).unwrap_or(MAX_LIMIT));
    let entries = web.audit().entries(&viewer.context, scan.map(ScanId), limit).await?;
    Ok(fresh(StatusCode::OK, &AuditList { entries: entries.into_iter().map(Into::into).collect() }))
}

/// Lists the events whose delivery was given up, with the reason.
#[utoipa::path(
    get, path = "/api/dead-letters", tag = "server",
    responses(
        (status = 200, description = "The newest dead letters, at most 1000", body = DeadLetterList, content_type = "application/json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_dead_letters(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    let letters = web.audit().dead_letters(&viewer.context, MAX_LIMIT).await?;
    let dead_letters = letters.into_iter().map(Into::into).collect();
    Ok(fresh(StatusCode::OK, &DeadLetterList { dead_letters }))
}

/// Delivers a dead letter again, to the consumers that have not accepted it.
#[utoipa::path(
    post, path = "/api/dead-letters/{id}/resend", tag = "server",
    params(("id" = String, Path, description = "The dead letter's id")),
    responses(
        (status = 204, description = "Returned to the outbox"),
        (status = 404, description = "Dead letter not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn resend_dead_letter(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("dead letter not found");
    let id = path.iter().find(|(name, _)| *name == "id").map_or("", |(_, value)| value);
    let key: OutboxKey = id.parse().map_err(|_| missing())?;
    if web.audit().resend(&viewer.context, key).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(missing())
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::CancelledBy;
    use kastrel_actors::policy::delivery::LEASE;
    use kastrel_actors::ports::Outbox;
    use kastrel_actors::testing::fixtures;

    use crate::web::testing::{TestApp, json_of};

    #[tokio::test]
    async fn audit_log_names_who_did_what() {
        let app = TestApp::new();
        let id = app.submitted("example.com").await;
        let cancel = format!("/api/scans/{id}/cancel");
        let cancelled = app.send("POST", &cancel, &[("sec-fetch-site", "same-origin")], "").await;
        assert!(cancelled.status().is_success());
        app.submitted("example.org").await;
        let body = json_of(app.get(&format!("/api/audit?scan={id}")).await).await;
        let actions: Vec<(&str, &str)> = body["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| (entry["action"].as_str().unwrap(), entry["principal"].as_str().unwrap()))
            .collect();
        assert_eq!(actions[0], ("scan_ended", "anonymous"));
        assert_eq!((actions.len(), actions[1].0), (2, "scan_submitted"));
        assert_eq!(body["entries"][0]["event"]["status"], "cancelled");
        let newest = json_of(app.get("/api/audit?limit=1").await).await;
        assert_eq!((newest["entries"].as_array().unwrap().len(), &newest["entries"][0]["scan"]), (1, &2.into()));
        let wrong = app.get("/api/audit?limit=0&scan=x").await;
        assert_eq!(wrong.status(), 400);
        let fields = json_of(wrong).await["errors"].to_string();
        assert!(fields.contains("limit") && fields.contains("scan"), "{fields}");
    }

    #[tokio::test]
    async fn dead_letter_is_listed_with_its_reason_and_sent_again() {
        let app = TestApp::new();
        let id = app.submitted("example.com").await;
        app.services.scans.cancel(&fixtures::context(), id, CancelledBy::User).await.unwrap();
        let entry = app.memory.lease_entries("relay", 1, LEASE).await.unwrap().entries.remove(0);
        app.memory.bury("relay", entry.key, &[], "outcomes: no disk").await.unwrap();
        let body = json_of(app.get("/api/dead-letters").await).await;
        let letter = &body["dead_letters"][0];
        assert_eq!(
            (letter["action"].as_str(), letter["reason"].as_str()),
            (Some("scan_ended"), Some("outcomes: no disk"))
        );
        let path = format!("/api/dead-letters/{}/resend", letter["id"].as_str().unwrap());
        let resend = || app.send("POST", &path, &[("sec-fetch-site", "same-origin")], "");
        assert_eq!(resend().await.status(), 204);
        assert_eq!(resend().await.status(), 404, "it is no dead letter any more");
        let audit = json_of(app.get(&format!("/api/audit?scan={id}&limit=1")).await).await;
        let newest = &audit["entries"][0];
        assert_eq!((&newest["action"], &newest["principal"]), (&"dead_letter_resent".into(), &"anonymous".into()));
        let event: serde_json::Value = serde_json::from_str(letter["event"].as_str().unwrap()).unwrap();
        assert_eq!(event["action"], "scan_ended");
        assert_eq!(app.memory.lease_entries("relay", 9, LEASE).await.unwrap().len(), 1);
        assert_eq!(
            app.send("POST", "/api/dead-letters/x/resend", &[("sec-fetch-site", "same-origin")], "").await.status(),
            404
        );
    }
}
