//! `/api/scans/{id}/shares`, `/api/shared-scans` and `/api/scans/{id}/transfer`: with whom a scan
//! is shared, which scans are shared with the caller, and the transfer of a scan to another
//! project. A server without accounts has no shares.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kastrel_actors::service::TransferOutcome;

use super::query::Reader;
use super::scans::{detail, fresh};
use super::submission::read_object;
use crate::api_types::{
    NewShareBody, ProblemBody, ScanDetail, ScanSummary, ShareBody, ShareList, SharedScanBody, SharedScanList,
    SharedScanParams, TransferBody,
};
use crate::web::error::{Problem, ProblemKind};
use crate::web::pages::accounts::Accounts;
use crate::web::path::{PathId, no_scan, part};
use crate::web::shared_scans::SharedScans;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// The number of scans without a `limit`, and the largest limit.
const DEFAULT_LIMIT: usize = 50;
const MOST_SCANS: usize = 100;

/// Lists the shares of a scan.
#[utoipa::path(
    get, path = "/api/scans/{id}/shares", tag = "scans",
    params(("id" = u64, Path, description = "The scan's id")),
    responses(
        (status = 200, description = "The shares", body = ShareList, content_type = "application/json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found, or no accounts", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_shares(
    Accounts(web): Accounts,
    viewer: Viewer,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let shares = web.access().shares(&viewer.context, id).await?;
    Ok(fresh(StatusCode::OK, &ShareList::of(&shares)))
}

/// Shares a scan with a user or with the members of a project. A second share with the same grantee
/// replaces the first one.
#[utoipa::path(
    post, path = "/api/scans/{id}/shares", tag = "scans",
    params(("id" = u64, Path, description = "The scan's id")),
    request_body(content = NewShareBody, content_type = "application/json"),
    responses(
        (status = 201, description = "Scan shared", body = ShareBody, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found, or no accounts", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_share(
    Accounts(web): Accounts,
    viewer: Viewer,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: NewShareBody = read_object(&headers, body)?;
    let share = web.access().create_share(&viewer.context, id, body.into()).await?;
    Ok(fresh(StatusCode::CREATED, &ShareBody::from(&share)))
}

/// Revokes the share of a scan with a grantee.
#[utoipa::path(
    delete, path = "/api/scans/{id}/shares/{grantee}", tag = "scans",
    params(
        ("id" = u64, Path, description = "The scan's id"),
        ("grantee" = String, Path, description = "`user:NAME` or `project:ID`"),
    ),
    responses(
        (status = 204, description = "Share revoked"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan or share not found, or no accounts", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn revoke_share(
    Accounts(web): Accounts,
    viewer: Viewer,
    PathId(id): PathId,
    path: RawPathParams,
) -> Result<Response, Problem> {
    if web.access().revoke_share(&viewer.context, id, part(&path, "grantee")).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::not_found("share not found"))
    }
}

/// Lists the scans that are shared with the caller, newest first. They are in no other list, unless
/// the caller has a role in their project.
#[utoipa::path(
    get, path = "/api/shared-scans", tag = "scans", params(SharedScanParams),
    responses(
        (status = 200, description = "A page of scans", body = SharedScanList, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_shared_scans(
    State(web): State<Web>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (before, limit) = read_query(query.as_deref())?;
    let page = SharedScans::read(&web, &viewer, before, limit).await?;
    let scans = page.scans.iter().map(|(scan, received)| SharedScanBody::of(ScanSummary::from(&**scan), received));
    Ok(fresh(StatusCode::OK, &SharedScanList { scans: scans.collect(), next_before: page.next_before }))
}

/// Returns the `before` and the `limit` of a query.
fn read_query(query: Option<&str>) -> Result<(Option<u64>, usize), Problem> {
    let mut reader = Reader::new(query, &["before", "limit"]);
    let before = reader.scan("before", 0);
    let limit = reader.number("limit", 1, MOST_SCANS, DEFAULT_LIMIT);
    reader.done((before, limit))
}

/// Transfers a scan that has ended to another project. Its public links and shares end.
#[utoipa::path(
    post, path = "/api/scans/{id}/transfer", tag = "scans",
    params(("id" = u64, Path, description = "The scan's id")),
    request_body(content = TransferBody, content_type = "application/json"),
    responses(
        (status = 200, description = "Scan transferred", body = ScanDetail, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site, or a right in one of the projects is missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Scan not finished", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "There is no such project, or the scan is in it", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn transfer_scan(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let TransferBody { project } = read_object(&headers, body)?;
    match web.scans().transfer(&viewer.context, id, &project).await? {
        TransferOutcome::Transferred(record) => {
            let scan = web.scans().live(record);
            Ok(fresh(StatusCode::OK, &detail(&web, &scan, None)))
        }
        TransferOutcome::NotEnded(record) => Err(not_ended(&record)),
        TransferOutcome::Missing => Err(no_scan()),
    }
}

/// The problem of a transfer before the end of the scan.
pub(crate) fn not_ended(record: &kastrel_actors::model::ScanRecord) -> Problem {
    let text = format!("scan {} is {}; it can be transferred when it has finished", record.id, record.status().word());
    Problem::new(ProblemKind::NotEnded, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_of_shared_scans_has_defaults_and_bounds_and_names_each_wrong_parameter() {
        assert_eq!(read_query(None).unwrap(), (None, 50));
        assert_eq!(read_query(Some("before=&limit=")).unwrap(), (None, 50));
        assert_eq!(read_query(Some("before=7&limit=100")).unwrap(), (Some(7), 100));
        let wrong = read_query(Some("before=9223372036854775808&limit=101&page=2")).unwrap_err();
        let fields: Vec<&str> = wrong.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["page", "before", "limit"]);
    }
}
