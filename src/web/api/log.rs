//! `GET /api/scans/{id}/log`: the log of an attempt, from a given offset.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use kastrel_actors::model::{AttemptNumber, FieldError};
use url::form_urlencoded;

use super::scans::fresh;
use crate::api_types::{LogBody, ProblemBody};
use crate::web::error::{Problem, ProblemKind};
use crate::web::files::log_since;
use crate::web::path::{PathId, no_scan};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// The attempt and the offset to read.
#[derive(Debug, Default, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogParams {
    /// The number of the attempt; the last attempt if left out.
    attempt: Option<u32>,
    /// The offset of the first byte; 0 if left out.
    from: Option<u64>,
}

impl LogParams {
    /// Reads the query by hand, so that each wrong parameter is named.
    fn read(query: Option<&str>) -> Result<Self, Problem> {
        let (mut params, mut errors) = (Self::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "attempt" => match value.parse() {
                    Ok(number) if i32::try_from(number).is_ok() => params.attempt = Some(number),
                    _ => errors.push(FieldError::new("attempt", "expected an attempt number")),
                },
                "from" => match value.parse() {
                    Ok(offset) if i64::try_from(offset).is_ok() => params.from = Some(offset),
                    _ => errors.push(FieldError::new("from", "expected a number of bytes")),
                },
                _ => {}
            }
        }
        if errors.is_empty() { Ok(params) } else { Err(Problem::fields(ProblemKind::InvalidQuery, errors)) }
    }
}

/// Reads a part of the log: at most 64 KB, in complete lines.
#[utoipa::path(
    get, path = "/api/scans/{id}/log", tag = "scans",
    params(("id" = u64, Path, description = "The scan's number"), LogParams),
    responses(
        (status = 200, description = "A part of the log; empty if there is nothing more, or nothing yet", body = LogBody, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn scan_log(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let LogParams { attempt, from } = LogParams::read(query.as_deref())?;
    let (attempt, from) = (attempt.map(AttemptNumber), from.unwrap_or_default());
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let wanted = attempt.or_else(|| scan.record.last_attempt().map(|attempt| attempt.number)).unwrap_or_default();
    let running = scan.record.attempts.iter().any(|attempt| attempt.number == wanted && attempt.end.is_none());
    let part = log_since(&web, &scan.record, wanted, from, !running).await;
    let body = match part {
        Some(part) => {
            LogBody { lines: part.lines, growing: part.growing, next: part.next, running, window: part.is_window }
        }
        None => LogBody { lines: Vec::new(), growing: None, next: from, running, window: false },
    };
    Ok(fresh(StatusCode::OK, &body))
}

#[cfg(test)]
mod tests {
    use crate::web::files::LOG_NAME;
    use crate::web::testing::{TestApp, json_of};

    #[tokio::test]
    async fn log_continues_where_the_reader_left_off() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        assert_eq!(
            json_of(app.get("/api/scans/1/log").await).await,
            serde_json::json!({"lines": [], "growing": null, "next": 0, "running": true, "window": false})
        );
        std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
        std::fs::write(app.attempt_folder(&scan).join(LOG_NAME), "one\n\u{1b}[31mtwo\nthr").unwrap();
        let part = json_of(app.get("/api/scans/1/log?attempt=1&from=4").await).await;
        assert_eq!(
            part,
            serde_json::json!({"lines": ["two"], "growing": "thr", "next": 13, "running": true, "window": false})
        );
        assert_eq!(app.get("/api/scans/1/log?from=-1&attempt=x").await.status(), 400);
        assert_eq!(app.get("/api/scans/9/log").await.status(), 404);
    }
}
