//! `/api/scans`: list, submit, show, cancel, repeat and delete scans.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::{CancelledBy, ScanRecord};
use kastrel_actors::service::{Accepted, CancelOutcome};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{ReportsBody, ScanDetail, ScanSummary};
use super::submission::{read_key, read_object, read_submission};
use super::wire::{FormatName, ModeName, PriorityName};
use crate::service::DeletionOutcome;
use crate::web::error::{Problem, ProblemBody, ProblemKind};
use crate::web::files::reports_at_end;
use crate::web::path::{PathId, no_scan};
use crate::web::query::{ScanListQuery, place_text};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// A page of scans.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScanList<'a> {
    /// The scans of the page, newest first by default.
    scans: Vec<ScanSummary<'a>>,
    /// The number of scans that match.
    total: u64,
    /// Whether more scans may match than `total`: with filters, counting is bounded.
    total_is_floor: bool,
    /// The number of pages.
    pages: u64,
    current_page: usize,
    per_page: usize,
    /// The value of `before` that gets the next scans without counting pages; null after the last
    /// scan.
    next_before: Option<u64>,
    /// The value of `at` that gets the next scans, in the orders that are not by number; null after
    /// the last scan.
    next_at: Option<String>,
    /// Whether the search stopped before the page was full. A search is bounded; continue it with
    /// `next_before` (as `before` or `after`) or `next_at`.
    is_partial: bool,
    /// How many scans are left out because their rows cannot be read. The log has the reason.
    unreadable: usize,
    /// The numbers of the scans that cannot be read.
    unreadable_scans: Vec<u64>,
}

/// The filters, the order and the page of a scan list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents ScanListQuery, which also reads repeated parameters")]
pub(crate) struct ScanListParams {
    /// The page number, from 1.
    #[param(minimum = 1, maximum = 10_000_000, default = 1)]
    page: Option<u32>,
    /// The number of scans on a page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    per_page: Option<u32>,
    /// Only scans in these states. Repeat the parameter, or separate the states by commas.
    #[param(
        pattern = "^ *(pending|running|completed|failed|cancelled)?( *,( *(pending|running|completed|failed|cancelled))?)* *$"
    )]
    status: Option<String>,
    /// Only scans whose target contains this text.
    #[param(max_length = 280)]
    target: Option<String>,
    /// Only scans of this mode.
    #[param(pattern = "^ *(passive|active|both)? *$")]
    mode: Option<String>,
    /// Only scans in which this plugin has results: collected items or issues. Not case-sensitive.
    #[param(max_length = 280)]
    plugin: Option<String>,
    /// Only scans that have ended with an issue of this severity or worse.
    #[param(pattern = "^ *(critical|high|medium|low|informational|unknown)? *$")]
    min_severity: Option<String>,
    /// Only scans that were accepted on this day or later, or from this moment on.
    #[param(
        pattern = "^ *(([012][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([012][0-9](0[48]|[2468][048]|[13579][26])|(0[048]|1[26]|2[048])00)-02-29)(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?)? *$"
    )]
    from: Option<String>,
    /// Only scans that were accepted on this day or earlier, or before this moment.
    #[param(
        pattern = "^ *(([012][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([012][0-9](0[48]|[2468][048]|[13579][26])|(0[048]|1[26]|2[048])00)-02-29)(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?)? *$"
    )]
    to: Option<String>,
    /// The time zone of the days, such as Europe/Berlin. Default: UTC.
    zone: Option<String>,
    /// The order: newest (default), oldest, target, longest, findings or worst.
    #[param(pattern = "^ *(newest|oldest|target|longest|findings|worst)? *$")]
    sort: Option<String>,
    /// Only scans with a number below this one. New scans do not shift such a page.
    before: Option<u64>,
    /// Only scans with a number above this one.
    after: Option<u64>,
    /// Where the page begins, in the orders that are not by number: the `next_at` of the previous
    /// page.
    #[param(pattern = "^(.{0,280}~[0-9]{1,18})?$")]
    at: Option<String>,
}

/// A submission. Every field except the target is optional.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Submission)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "documents ScanRequestDraft of the model, which knows nothing of OpenAPI")]
pub(crate) struct SubmissionBody {
    /// A host, host:port, or http(s) URL.
    #[schema(example = "example.com")]
    target: String,
    #[schema(value_type = Option<ModeName>, default = "passive")]
    mode: Option<String>,
    /// The plugin names; empty means all plugins of the mode.
    #[schema(required = false, max_items = 100)]
    plugins: Vec<String>,
    /// Whether plugins run in parallel.
    #[schema(default = true)]
    parallel: Option<bool>,
    #[schema(minimum = 1, maximum = 32, default = 5)]
    max_workers: Option<u8>,
    /// Whether the scanner writes a verbose log.
    #[schema(default = false)]
    verbose: Option<bool>,
    /// Whether the scanner only lists its steps and scans nothing.
    #[schema(default = false)]
    dry_run: Option<bool>,
    #[schema(value_type = Option<FormatName>, default = "html")]
    format: Option<String>,
    /// The overrides as `plugin.key=value`, with `secret:` in front of one whose value is a secret.
    #[schema(required = false, max_items = 100)]
    overrides: Vec<String>,
    #[schema(value_type = Option<PriorityName>, default = "normal")]
    priority: Option<String>,
    /// Confirms that you have permission to run active plugins against the target. Required in the
    /// modes active and both.
    #[schema(default = false)]
    confirm_active: Option<bool>,
}

/// The options of a rerun, besides those of the repeated scan.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Rerun)]
pub(crate) struct RerunBody {
    /// Confirms that you have permission to run active plugins against the target. Required at each
    /// rerun of a scan in mode active or both.
    #[schema(required = false, default = false)]
    confirm_active: bool,
}

/// An accepted scan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedScan<'a> {
    #[serde(flatten)]
    #[schema(inline)]
    scan: ScanDetail<'a>,
    /// All warnings in one line, such as that a selected plugin is left out, that the queue does
    /// not respond or is paused, or that no worker takes scans.
    warning: Option<String>,
    /// The warnings one by one; empty if no plugin is left out and nothing keeps the scan from
    /// starting.
    warnings: Vec<String>,
}

/// Lists scans, by default newest first.
#[utoipa::path(
    get, path = "/api/scans", tag = "scans", params(ScanListParams),
    responses(
        (status = 200, description = "A page of scans", body = ScanList<'_>, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_scans(
    State(web): State<Web>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (query, errors) = ScanListQuery::parse(query.as_deref());
    if !errors.is_empty() {
        return Err(Problem::fields(ProblemKind::InvalidQuery, errors));
    }
    let page = web.scans().list(&viewer.context, query.for_store()).await?;
    let total = page.total.unwrap_or_default();
    let scans: Vec<ScanSummary<'_>> = page.scans.iter().map(|scan| ScanSummary::from(&**scan)).collect();
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
    post, path = "/api/scans", tag = "scans", request_body(content = SubmissionBody, content_type = "application/json"),
    params(
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]{1,255}$", description = "1 to 255 visible ASCII characters; a second submission with the same key gets the first one's scan"),
        ("traceparent" = Option<String>, Header, description = "The W3C trace context that the scan continues"),
    ),
    responses(
        (status = 201, description = "Accepted and stored", body = AcceptedScan<'_>, content_type = "application/json", headers(("Location" = String, description = "The scan"))),
        (status = 200, description = "The scan of an earlier submission with this key", body = AcceptedScan<'_>, content_type = "application/json", headers(("Location" = String, description = "The scan"))),
        (status = 400, description = "Not a JSON object, or an invalid idempotency key", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed; or an idempotency key that belongs to another request", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 429, description = "This client has its maximum number of queued scans", body = ProblemBody<'_>, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds after which to try again"))),
        (status = 503, description = "The queue is full, or database not responding", body = ProblemBody<'_>, content_type = "application/problem+json"),
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

/// Shows the details of a scan.
#[utoipa::path(
    get, path = "/api/scans/{id}", tag = "scans",
    params(("id" = u64, Path, description = "The scan's number")),
    responses(
        (status = 200, description = "The scan", body = ScanDetail<'_>, content_type = "application/json"),
        (status = 404, description = "Scan not found", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_scan(State(web): State<Web>, viewer: Viewer, PathId(id): PathId) -> Result<Response, Problem> {
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let waiting = web.scans().waiting(&scan.record).await;
    let reports = reports_at_end(&web, &scan.record).await;
    let mut body = ScanDetail::new(&scan, waiting.as_ref(), &web);
    body.reports = ReportsBody::of(&scan.record, reports);
    Ok(fresh(StatusCode::OK, &body))
}

/// Cancels a scan on any node.
#[utoipa::path(
    post, path = "/api/scans/{id}/cancel", tag = "scans",
    params(("id" = u64, Path, description = "The scan's number")),
    responses(
        (status = 200, description = "Cancelled: the scan was queued", body = ScanDetail<'_>, content_type = "application/json"),
        (status = 202, description = "Cancelling: the scanner is being stopped", body = ScanDetail<'_>, content_type = "application/json"),
        (status = 403, description = "Sent by another site", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 409, description = "Scan already finished", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn cancel_scan(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let show = |status, record: ScanRecord| {
        let scan = web.scans().live(record);
        Ok(fresh(status, &ScanDetail::new(&scan, None, &web)))
    };
    match web.scans().cancel(&viewer.context, id, CancelledBy::User).await? {
        CancelOutcome::Cancelled(record) => show(StatusCode::OK, record),
        CancelOutcome::Requested(record) => show(StatusCode::ACCEPTED, record),
        CancelOutcome::AlreadyEnded(record) => Err(already_ended(&record)),
        CancelOutcome::Missing => Err(no_scan()),
    }
}

/// Repeats a scan: submits its request again as a new scan.
#[utoipa::path(
    post, path = "/api/scans/{id}/rerun", tag = "scans", request_body(content = Option<RerunBody>, content_type = "application/json"),
    params(("id" = u64, Path, description = "The number of the scan to re-run")),
    responses(
        (status = 201, description = "The new scan, accepted and stored", body = AcceptedScan<'_>, content_type = "application/json", headers(("Location" = String, description = "The new scan"))),
        (status = 403, description = "Sent by another site", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 400, description = "The body is not a JSON object", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 409, description = "Scan not finished", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 422, description = "The target is no longer in scope, a setting is locked, or `confirm_active` is missing", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 429, description = "This client has its maximum number of queued scans", body = ProblemBody<'_>, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds after which to try again"))),
        (status = 503, description = "The queue is full, or database not responding", body = ProblemBody<'_>, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn rerun_scan(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let RerunBody { confirm_active } = read_object(&headers, body)?;
    let accepted = web.scans().rerun(&viewer.context, viewer.client, id, confirm_active).await?.ok_or_else(no_scan)?;
    Ok(answer(&web, &accepted))
}

/// Deletes a scan that has ended, with its results and files. Its number is never used again.
#[utoipa::path(
    delete, path = "/api/scans/{id}", tag = "scans",
    params(("id" = u64, Path, description = "The scan's number")),
    responses(
        (status = 204, description = "Scan deleted"),
        (status = 403, description = "Sent by another site", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 409, description = "Scan not finished: cancel it first", body = ProblemBody<'_>, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody<'_>, content_type = "application/problem+json"),
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

fn answer(web: &Web, accepted: &Accepted) -> Response {
    let status = if accepted.created { StatusCode::CREATED } else { StatusCode::OK };
    let waiting = web.scans().waiting_seen(&accepted.scan.record);
    let body = AcceptedScan {
        scan: ScanDetail::new(&accepted.scan, waiting.as_ref(), web),
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
