//! `/api/scans/{id}/notes`: the tags and notes of a scan.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{ProblemBody, ScanNotesBody};
use crate::web::error::Problem;
use crate::web::path::{PathId, no_scan};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Shows the tags and notes of a scan.
#[utoipa::path(
    get, path = "/api/scans/{id}/notes", tag = "findings",
    params(("id" = u64, Path, description = "The scan's number")),
    responses(
        (status = 200, description = "The tags and notes", body = ScanNotesBody, content_type = "application/json"),
        (status = 404, description = "Scan not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_notes(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let notes = web.findings().scan_notes(&viewer.context, id).await?.ok_or_else(no_scan)?;
    Ok(fresh(StatusCode::OK, &ScanNotesBody::from(notes)))
}

/// Sets the tags and notes of a scan, in place of the earlier ones.
#[utoipa::path(
    put, path = "/api/scans/{id}/notes", tag = "findings",
    params(("id" = u64, Path, description = "The scan's number")),
    request_body(content = Option<ScanNotesBody>, content_type = "application/json"),
    responses(
        (status = 200, description = "The tags and notes", body = ScanNotesBody, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site, or right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn set_notes(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: ScanNotesBody = read_object(&headers, body)?;
    if !web.findings().set_scan_notes(&viewer.context, id, body.into()).await? {
        return Err(no_scan());
    }
    let notes = web.findings().scan_notes(&viewer.context, id).await?.ok_or_else(no_scan)?;
    Ok(fresh(StatusCode::OK, &ScanNotesBody::from(notes)))
}
