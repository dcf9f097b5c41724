//! `GET /api/scans/{id}/events`: the status of a scan as an event stream.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};

use crate::api_types::{ProblemBody, StatusBody};
use crate::web::error::{Problem, ProblemKind};
use crate::web::path::{PathId, no_scan};
use crate::web::sse::{EventId, Lag, StatusStream, events};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Streams the status of a scan: an event `status` for each change, with the JSON of the status
/// route as its data, and an event `end` when the scan has ended.
///
/// A slow reader may miss states in between, but always gets the last one. After a lost connection,
/// the client sends the id of the last event in `Last-Event-ID`.
#[utoipa::path(
    get, path = "/api/scans/{id}/events", tag = "scans",
    params(
        ("id" = u64, Path, description = "The scan's number"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last event received; the current state is not sent again"),
    ),
    responses(
        (status = 200, description = "The stream", body = StatusBody, content_type = "text/event-stream"),
        (status = 204, description = "The end was already delivered; do not reconnect"),
        (status = 404, description = "Scan not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Too many open streams, or database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn scan_events(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Ok(permit) = web.streams.clone().try_acquire_owned() else {
        return Err(Problem::new(ProblemKind::TooManyStreams, "close another page, or poll the status route instead")
            .retry_after(10));
    };
    let updates = web.scans().watch(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let seen = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| EventId::parse(text, web.run));
    if seen.is_some_and(EventId::is_end) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let lag = Lag(web.state.telemetry.instruments().clone());
    let stream = StatusStream::new(updates, seen, Web::clone(&web), permit, lag);
    let keep_alive = KeepAlive::new().interval(web.limits.keep_alive).text("alive");
    Ok((
        axum::response::AppendHeaders([("cache-control", "no-store"), ("x-accel-buffering", "no")]),
        Sse::new(events(stream)).keep_alive(keep_alive),
    )
        .into_response())
}
