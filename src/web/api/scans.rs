//! `/api/scans`: list, submit, show, cancel, repeat and delete scans.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::{CancelledBy, ScanRecord, ScanRequestDraft, ScanSnapshot};
use kastrel_actors::policy::waiting::Waiting;
use kastrel_actors::service::{Accepted, CancelOutcome, RerunPlugins, SubmitError};
use serde::Serialize;

use super::submission::{in_batch, read_batch, read_batch_key, read_key, read_object, read_submission};
use crate::api_types::{
    AcceptedScan, BatchBody, BatchItem, BatchResult, ProblemBody, ReportsBody, RerunBody, ScanDetail, ScanList,
    ScanListParams, ScanSummary,
};
use crate::service::DeletionOutcome;
use crate::web::error::{Problem, ProblemKind};
use crate::web::files::reports_at_end;
use crate::web::path::{PathId, no_scan};
use crate::web::problem_response::problem_body;
use crate::web::query::{ScanListQuery, place_text};
use crate::web::state::{Web, WebInner};
use crate::web::viewer::Viewer;

/// The path of batches.
const BATCH: &str = "/api/scans/batch";

/// Lists scans, by default newest first.
#[utoipa::path(
    get, path = "/api/scans", tag = "scans", params(ScanListParams),
    responses(
        (status = 200, description = "A page of scans", body = ScanList, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_scans(
    State(web): State<Web>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (mut query, mut errors) = ScanListQuery::parse(query.as_deref());
    errors.extend(query.take_unknown_project(web.access(), &viewer.context).await?);
    if !errors.is_empty() {
        return Err(Problem::fields(ProblemKind::InvalidQuery, errors));
    }
    let page = web.scans().list(&viewer.context, query.for_store()).await?;
    let total = page.total.unwrap_or_default();
    let scans = page.scans.iter().map(|scan| ScanSummary::from(&**scan)).collect();
    let by_number = page.order.is_by_number();
    let list = ScanList {
        scans,
        total,
        total_is_floor: page.total_is_floor,
        pages: query.pages(total),
        current_page: query.page,
        per_page: query.per_page,
        next_before: page.next.as_ref().filter(|_| by_number).map(|next| next.id.0),
        next_at: page.next.as_ref().filter(|_| !by_number).map(place_text),
        is_partial: page.is_partial,
        unreadable: page.unreadable.len(),
        unreadable_scans: page.unreadable.iter().map(|id| id.0).collect(),
    };
    Ok(fresh(StatusCode::OK, &list))
}

/// Submits a scan. A response with status 201 means that the scan is stored and will run.
#[utoipa::path(
    post, path = "/api/scans", tag = "scans", request_body(content = ScanRequestDraft, content_type = "application/json"),
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]{1,255}$", description = "1 to 255 visible ASCII characters; a second submission with the same key gets the first one's scan"),
        ("traceparent" = Option<String>, Header, description = "The W3C trace context that the scan continues"),
    ),
    responses(
        (status = 201, description = "Accepted and stored", body = AcceptedScan, content_type = "application/json", headers(("Location" = String, description = "The scan"))),
        (status = 200, description = "The scan of an earlier submission with this key", body = AcceptedScan, content_type = "application/json", headers(("Location" = String, description = "The scan"))),
        (status = 400, description = "Not a JSON object, or an invalid idempotency key", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site, or a right or the clearance of the target is missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed; or an idempotency key that belongs to another request", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "This client has its maximum number of queued scans", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds after which to try again"))),
        (status = 503, description = "The queue is full, or database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn submit_scan(
    State(web): State<Web>,
    viewer: Viewer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let key = read_key(&headers)?;
    let submission = read_submission(&headers, body)?;
    let draft = submission.readable(|draft| web.scans().check(&viewer.context, draft))?;
    let accepted = web.scans().submit(&viewer.context, viewer.client, &draft, key.as_ref()).await?;
    Ok(answer(&web, &accepted))
}

/// Submits up to 500 scans. All are checked before the first one is stored; an invalid field of
/// one keeps all from being stored.
#[utoipa::path(
    post, path = "/api/scans/batch", tag = "scans", request_body(content = BatchBody, content_type = "application/json"),
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 251, pattern = "^[!-~]{1,251}$", description = "1 to 251 visible ASCII characters. The scan at place n, counted from 0, has this key with `/n`: a repeated request gets the scans of the first one"),
        ("traceparent" = Option<String>, Header, description = "The W3C trace context that the scans continue"),
    ),
    responses(
        (status = 201, description = "All accepted and stored", body = BatchResult, content_type = "application/json"),
        (status = 200, description = "The scans of an earlier submission with this key", body = BatchResult, content_type = "application/json"),
        (status = 207, description = "Some accepted and stored; each other one has its problem", body = BatchResult, content_type = "application/json"),
        (status = 400, description = "Not a JSON object, or an invalid idempotency key", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site, or a right or the clearance of a target is missing; nothing is stored", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed as `scans[0].target`, and nothing is stored; or idempotency keys that belong to other requests", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "This client has its maximum number of queued scans; none is stored", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds after which to try again"))),
        (status = 503, description = "The queue is full, or database not responding; none is known to be stored", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn submit_batch(
    State(web): State<Web>,
    viewer: Viewer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let key = read_batch_key(&headers)?;
    let drafts = read_batch(&headers, body)?.readable(|draft| web.scans().check(&viewer.context, draft))?;
    let results = web.scans().submit_all(&viewer.context, viewer.client, &drafts, key.as_ref()).await;
    batch_answer(&viewer, &drafts, results.map_err(refused_batch)?)
}

/// The problem of a batch of which some drafts do not pass their checks: the wrong fields of all,
/// or else the first other reason.
fn refused_batch(refused: Vec<(usize, SubmitError)>) -> Problem {
    let (mut errors, mut other) = (Vec::new(), None);
    for (place, error) in refused {
        match error {
            SubmitError::Invalid(of_scan) => errors.extend(in_batch(place, of_scan)),
            error @ SubmitError::Store(_) => other = Some(error.into()),
            error => {
                other.get_or_insert_with(|| Problem::from(error).after(&format!("scans[{place}] is refused")));
            }
        }
    }
    let invalid = |errors| Problem::fields(ProblemKind::InvalidFields, errors);
    other.filter(|_| errors.is_empty()).unwrap_or_else(|| invalid(errors))
}

/// The response to a batch that was accepted at least in part.
fn batch_answer(
    viewer: &Viewer,
    drafts: &[ScanRequestDraft],
    results: Vec<Result<Accepted, SubmitError>>,
) -> Result<Response, Problem> {
    let is_created = results.iter().flatten().any(|accepted| accepted.created);
    let accepted = results.iter().flatten().count();
    let mut first = None;
    let item = |(draft, result): (&ScanRequestDraft, Result<Accepted, SubmitError>)| {
        let target = draft.target.clone();
        match result {
            Ok(accepted) => BatchItem {
                target,
                scan_id: Some(accepted.scan.record.id.0),
                created: accepted.created,
                warnings: accepted.warnings(),
                problem: None,
            },
            Err(error) => {
                let problem = Problem::from(error);
                let body = problem_body(&problem, BATCH, &viewer.context.trace);
                first.get_or_insert(problem);
                BatchItem { target, scan_id: None, created: false, warnings: Vec::new(), problem: Some(body) }
            }
        }
    };
    let scans = drafts.iter().zip(results).map(item).collect();
    let status = match first {
        Some(problem) if accepted == 0 => return Err(problem),
        Some(_) => StatusCode::MULTI_STATUS,
        None if is_created => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    Ok(fresh(status, &BatchResult { accepted, scans }))
}

/// Shows the details of a scan.
#[utoipa::path(
    get, path = "/api/scans/{id}", tag = "scans",
    params(("id" = u64, Path, description = "The scan's number")),
    responses(
        (status = 200, description = "The scan", body = ScanDetail, content_type = "application/json"),
        (status = 404, description = "Scan not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_scan(State(web): State<Web>, viewer: Viewer, PathId(id): PathId) -> Result<Response, Problem> {
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let waiting = web.scans().waiting(&scan.record).await;
    let reports = reports_at_end(&web, &scan.record).await;
    let mut body = detail(&web, &scan, waiting.as_ref());
    body.reports = ReportsBody::of(&scan.record, reports);
    Ok(fresh(StatusCode::OK, &body))
}

/// Cancels a scan on any node.
#[utoipa::path(
    post, path = "/api/scans/{id}/cancel", tag = "scans",
    params(("id" = u64, Path, description = "The scan's number")),
    responses(
        (status = 200, description = "Cancelled: the scan was queued", body = ScanDetail, content_type = "application/json"),
        (status = 202, description = "Cancelling: the scanner is being stopped", body = ScanDetail, content_type = "application/json"),
        (status = 403, description = "Sent by another site", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Scan already finished", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cancel_scan(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let show = |status, record: ScanRecord| {
        let scan = web.scans().live(record);
        Ok(fresh(status, &detail(&web, &scan, None)))
    };
    match web.scans().cancel(&viewer.context, id, CancelledBy::User).await? {
        CancelOutcome::Cancelled(record) => show(StatusCode::OK, record),
        CancelOutcome::Requested(record) => show(StatusCode::ACCEPTED, record),
        CancelOutcome::AlreadyEnded(record) => Err(already_ended(&record)),
        CancelOutcome::Missing => Err(no_scan()),
    }
}

/// Repeats a scan: submits its request again as a new scan, with all its plugins or only those that
/// have no result.
#[utoipa::path(
    post, path = "/api/scans/{id}/rerun", tag = "scans", request_body(content = Option<RerunBody>, content_type = "application/json"),
    params(("id" = u64, Path, description = "The number of the scan to re-run")),
    responses(
        (status = 201, description = "The new scan, accepted and stored", body = AcceptedScan, content_type = "application/json", headers(("Location" = String, description = "The new scan"))),
        (status = 403, description = "Sent by another site", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 400, description = "The body is not a JSON object", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Scan not finished", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The target is no longer in scope, a setting is locked, `confirm_active` is missing, or no plugin is without a result", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "This client has its maximum number of queued scans", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds after which to try again"))),
        (status = 503, description = "The queue is full, or database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn rerun_scan(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let RerunBody { confirm_active, plugins } = read_object(&headers, body)?;
    let which = RerunPlugins::from(plugins);
    let accepted = web.scans().rerun_plugins(&viewer.context, viewer.client, id, confirm_active, &which).await?;
    Ok(answer(&web, &accepted.ok_or_else(no_scan)?))
}

/// Deletes a scan that has ended, with its results and files. Its number is never used again.
#[utoipa::path(
    delete, path = "/api/scans/{id}", tag = "scans",
    params(("id" = u64, Path, description = "The scan's number")),
    responses(
        (status = 204, description = "Scan deleted"),
        (status = 403, description = "Sent by another site", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Scan not finished: cancel it first", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_scan(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    match web.state.deletion.delete(&viewer.context, id).await? {
        // The response does not mention files that could not be deleted: the operator has to handle
        // them.
        DeletionOutcome::Gone { .. } => Ok(StatusCode::NO_CONTENT.into_response()),
        DeletionOutcome::Refused(record) => Err(Problem::new(
            ProblemKind::NotEnded,
            format!("scan {id} is {}; cancel it first", record.status().word()),
        )),
        DeletionOutcome::Missing => Err(no_scan()),
    }
}

/// The problem of a cancel after the end of the scan.
pub(crate) fn already_ended(record: &ScanRecord) -> Problem {
    Problem::new(ProblemKind::AlreadyEnded, format!("scan {} is already {}", record.id, record.status().word()))
}

pub(super) fn detail(web: &WebInner, scan: &ScanSnapshot, waiting: Option<&Waiting>) -> ScanDetail {
    ScanDetail::new(scan, waiting, web.state.max_attempts, |trace| web.trace_url(trace))
}

pub(super) fn answer(web: &Web, accepted: &Accepted) -> Response {
    let status = if accepted.created { StatusCode::CREATED } else { StatusCode::OK };
    let waiting = web.scans().waiting_seen(&accepted.scan.record);
    let body = AcceptedScan {
        scan: detail(web, &accepted.scan, waiting.as_ref()),
        warning: accepted.warning(),
        warnings: accepted.warnings(),
    };
    let mut response = fresh(status, &body);
    if let Ok(location) = HeaderValue::try_from(format!("/api/scans/{}", accepted.scan.record.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// A JSON response that must not be cached.
pub(crate) fn fresh(status: StatusCode, body: &impl Serialize) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, headers, Json(body)).into_response()
}

#[cfg(test)]
#[path = "scans_tests.rs"]
mod tests;
