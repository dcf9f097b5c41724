//! `/api/audit` and `/api/dead-letters`: who did what, and the events that could not be delivered.

use axum::extract::{RawPathParams, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::OutboxKey;

use super::scans::fresh;
use crate::api_types::{AuditList, AuditParams, DeadLetterList, ProblemBody};
use crate::web::error::{Problem, ProblemKind};
use crate::web::query::AuditLogQuery;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// The number of entries without a `limit`.
const DEFAULT_LIMIT: usize = 100;

/// The number of dead letters.
const MOST_LETTERS: usize = 1000;

/// Lists the entries of the audit log, newest first. Each command, each end of an attempt, each
/// sign-in and each download has one.
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
    let (query, errors) = AuditLogQuery::parse(query.as_deref());
    if !errors.is_empty() {
        return Err(Problem::fields(ProblemKind::InvalidQuery, errors));
    }
    let page = web.audit().entries(&viewer.context, &query.for_store(DEFAULT_LIMIT)).await?;
    Ok(fresh(StatusCode::OK, &AuditList::from(page)))
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
    let letters = web.audit().dead_letters(&viewer.context, MOST_LETTERS).await?;
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
    async fn audit_log_is_filtered_and_read_page_by_page() {
        let app = TestApp::new();
        for target in ["a.example.com", "b.example.com", "c.example.com"] {
            app.submitted(target).await;
        }
        app.post_form("/queue/pause", "reason=upgrade").await;
        let list = async |query: &str| json_of(app.get(&format!("/api/audit?{query}")).await).await;
        let scans = |body: &serde_json::Value| {
            body["entries"].as_array().unwrap().iter().map(|entry| entry["scan"].as_u64()).collect::<Vec<_>>()
        };
        let first = list("action=scan_submitted&limit=2").await;
        assert_eq!((scans(&first), &first["is_partial"]), (vec![Some(3), Some(2)], &false.into()));
        let next = first["next"].as_str().unwrap();
        let second = list(&format!("action=scan_submitted&limit=2&before={next}")).await;
        assert_eq!((scans(&second), &second["next"]), (vec![Some(1)], &serde_json::Value::Null));
        assert_eq!(scans(&list("action=queue_paused").await), [None]);
        assert_eq!(scans(&list("principal=system&scan=2").await), [Some(2)]);
        // The clock of the tests stands at the beginning of 2026.
        for (query, count) in [
            ("principal=user%3Aana", 0),
            ("principal=system", 3),
            ("principal=anonymous", 1),
            ("from=2026-01-01&to=2026-01-01", 4),
            ("from=2026-01-02", 0),
            ("to=2025-12-31", 0),
            ("to=2026-01-01T00:00:00Z", 0),
            ("from=2026-01-01&zone=Pacific%2FAuckland", 4),
            ("from=2026-01-02&zone=Pacific%2FAuckland", 0),
        ] {
            assert_eq!(list(query).await["entries"].as_array().unwrap().len(), count, "{query}");
        }
        let wrong = app.get("/api/audit?principal=ana&action=scan_moved&from=x&to=y&zone=z&before=1").await;
        assert_eq!(wrong.status(), 400);
        let errors = json_of(wrong).await["errors"].as_array().unwrap().clone();
        let fields: Vec<&str> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!(fields, ["principal", "action", "zone", "before", "from", "to"]);
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
