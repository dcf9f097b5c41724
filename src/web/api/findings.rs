//! `/api/findings`: the findings of all targets, one finding, and what people do to them.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kastrel_findings::identity::FindingId;

use super::finding_query;
use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{
    CommentBody, Explanation, FindingDetailBody, FindingGroupList, FindingGroupParams, FindingList, FindingParams,
    ProblemBody, TriageBody, TriageList,
};
use crate::web::error::Problem;
use crate::web::path::part;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Lists findings of all targets that the caller may read.
#[utoipa::path(
    get, path = "/api/findings", tag = "findings", params(FindingParams),
    responses(
        (status = 200, description = "A page of findings", body = FindingList, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_findings(
    State(web): State<Web>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = finding_query::findings(query.as_deref())?;
    let page = web.findings().list(&viewer.context, &query).await?;
    Ok(fresh(StatusCode::OK, &FindingList::from(&page)))
}

/// Lists issues with their numbers of findings and targets.
#[utoipa::path(
    get, path = "/api/findings/groups", tag = "findings", params(FindingGroupParams),
    responses(
        (status = 200, description = "A page of issues", body = FindingGroupList, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_groups(
    State(web): State<Web>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (filter, skip, limit) = finding_query::groups(query.as_deref())?;
    let page = web.findings().groups(&viewer.context, &filter, skip, limit).await?;
    Ok(fresh(StatusCode::OK, &FindingGroupList::from(&page)))
}

/// Shows a finding with its history.
#[utoipa::path(
    get, path = "/api/findings/{id}", tag = "findings",
    params(("id" = String, Path, description = "The finding's id")),
    responses(
        (status = 200, description = "The finding", body = FindingDetailBody, content_type = "application/json"),
        (status = 404, description = "Finding not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_finding(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let detail = web.findings().get(&viewer.context, finding_id(&path)?).await?.ok_or_else(no_finding)?;
    Ok(fresh(StatusCode::OK, &FindingDetailBody::from(&detail)))
}

/// Decides about findings, or assigns them. Each finding has a result of its own.
#[utoipa::path(
    post, path = "/api/findings/triage", tag = "findings",
    request_body(content = TriageBody, content_type = "application/json"),
    responses(
        (status = 200, description = "What became of each finding", body = TriageList, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site, or right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Finding not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn triage_findings(
    State(web): State<Web>,
    viewer: Viewer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: TriageBody = read_object(&headers, body)?;
    let results = web.findings().change_many(&viewer.context, &body.into()).await?;
    Ok(fresh(StatusCode::OK, &TriageList::of(&results)))
}

/// Adds a comment to a finding.
#[utoipa::path(
    post, path = "/api/findings/{id}/comments", tag = "findings",
    params(("id" = String, Path, description = "The finding's id")),
    request_body(content = CommentBody, content_type = "application/json"),
    responses(
        (status = 204, description = "Comment stored"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site, or right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Finding not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn comment_finding(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let CommentBody { text } = read_object(&headers, body)?;
    if web.findings().comment(&viewer.context, finding_id(&path)?, &text).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(no_finding())
    }
}

/// Explains why the sightings of a finding are one finding.
#[utoipa::path(
    get, path = "/api/findings/{id}/explain", tag = "findings",
    params(("id" = String, Path, description = "The finding's id")),
    responses(
        (status = 200, description = "The explanation", body = Explanation, content_type = "application/json"),
        (status = 404, description = "Finding not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn explain_finding(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let lines = web.findings().explain(&viewer.context, finding_id(&path)?).await?.ok_or_else(no_finding)?;
    Ok(fresh(StatusCode::OK, &Explanation { lines }))
}

/// Returns the finding of the path. A text that is no id is the id of no finding.
pub(crate) fn finding_id(path: &RawPathParams) -> Result<FindingId, Problem> {
    part(path, "id").parse().map_err(|_| no_finding())
}

/// The response for a finding that does not exist.
pub(crate) fn no_finding() -> Problem {
    Problem::not_found("finding not found")
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
