//! `/api/targets`: the targets, their tags and notes, and new checks of them.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use kastrel_findings::identity::TargetId;

use super::finding_query;
use super::scans::{answer, fresh};
use super::submission::read_object;
use crate::api_types::{
    AcceptedScan, ProblemBody, RecheckBody, TargetDetailBody, TargetEditBody, TargetList, TargetParams,
};
use crate::web::error::Problem;
use crate::web::path::part;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Lists the targets that the caller may read, those with the worst open findings first.
#[utoipa::path(
    get, path = "/api/targets", tag = "findings", params(TargetParams),
    responses(
        (status = 200, description = "A page of targets", body = TargetList, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_targets(
    State(web): State<Web>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = finding_query::targets(query.as_deref())?;
    let page = web.targets().list(&viewer.context, &query).await?;
    Ok(fresh(StatusCode::OK, &TargetList::from(&page)))
}

/// Shows a target with its scans, assets and coverage.
#[utoipa::path(
    get, path = "/api/targets/{id}", tag = "findings",
    params(("id" = String, Path, description = "The target's id")),
    responses(
        (status = 200, description = "The target", body = TargetDetailBody, content_type = "application/json"),
        (status = 404, description = "Target not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_target(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let detail = web.targets().get(&viewer.context, target_id(&path)?).await?.ok_or_else(no_target)?;
    Ok(fresh(StatusCode::OK, &TargetDetailBody::from(&detail)))
}

/// Changes the tags and the notes of a target.
#[utoipa::path(
    patch, path = "/api/targets/{id}", tag = "findings",
    params(("id" = String, Path, description = "The target's id")),
    request_body(content = Option<TargetEditBody>, content_type = "application/json"),
    responses(
        (status = 200, description = "The changed target", body = TargetDetailBody, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site, or right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Target not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn edit_target(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: TargetEditBody = read_object(&headers, body)?;
    let id = target_id(&path)?;
    if !web.targets().edit(&viewer.context, id, body.into()).await? {
        return Err(no_target());
    }
    let detail = web.targets().get(&viewer.context, id).await?.ok_or_else(no_target)?;
    Ok(fresh(StatusCode::OK, &TargetDetailBody::from(&detail)))
}

/// Scans a target again, with one plugin or with those of its newest scan.
#[utoipa::path(
    post, path = "/api/targets/{id}/check", tag = "findings",
    params(("id" = String, Path, description = "The target's id")),
    request_body(content = Option<RecheckBody>, content_type = "application/json"),
    responses(
        (status = 201, description = "The new scan, accepted and stored", body = AcceptedScan, content_type = "application/json", headers(("Location" = String, description = "The new scan"))),
        (status = 400, description = "The body is not a JSON object", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site, or a right or the clearance of the target is missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Target not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed, or `confirm_active` is missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "This client has its maximum number of queued scans", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "Seconds after which to try again"))),
        (status = 503, description = "The queue is full, or database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn check_target(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let RecheckBody { plugin, confirm_active } = read_object(&headers, body)?;
    let id = target_id(&path)?;
    let check = web.targets().check_again(&viewer.context, viewer.client, id, plugin.as_deref(), confirm_active);
    let accepted = check.await?.ok_or_else(no_target)?;
    Ok(answer(&web, &accepted))
}

/// Returns the target of the path. A text that is no id is the id of no target.
pub(crate) fn target_id(path: &RawPathParams) -> Result<TargetId, Problem> {
    part(path, "id").parse().map_err(|_| no_target())
}

/// The response for a target that does not exist.
pub(crate) fn no_target() -> Problem {
    Problem::not_found("target not found")
}
