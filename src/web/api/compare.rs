//! `/api/scans/{id}/findings` and `/api/scans/{id}/compare`: what a scan saw, and the comparison
//! with an earlier scan of its target.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::finding_query;
use super::scans::fresh;
use crate::api_types::{CompareParams, ComparisonBody, ProblemBody, ScanFindingList, ScanFindingParams};
use crate::web::error::Problem;
use crate::web::path::PathId;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Lists what a scan saw on its target, in the order of the fingerprints.
#[utoipa::path(
    get, path = "/api/scans/{id}/findings", tag = "findings",
    params(("id" = u64, Path, description = "The scan's number"), ScanFindingParams),
    responses(
        (status = 200, description = "A page of findings", body = ScanFindingList, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found, or it has no result yet", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_scan_findings(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (skip, limit) = finding_query::of_scan(query.as_deref())?;
    let page = web.findings().seen_page(&viewer.context, id, skip, limit).await?.ok_or_else(no_result)?;
    Ok(fresh(StatusCode::OK, &ScanFindingList::from(&page)))
}

/// Compares a scan with an earlier one of its target: new, fixed with proof, unchanged, not
/// checked.
#[utoipa::path(
    get, path = "/api/scans/{id}/compare", tag = "findings",
    params(("id" = u64, Path, description = "The scan's number"), CompareParams),
    responses(
        (status = 200, description = "The comparison", body = ComparisonBody, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found, or it has no result yet, or nothing to compare it with", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The scans are one, or have different targets", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn compare_scans(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let comparison = match finding_query::compared_with(query.as_deref())? {
        Some(with) => Some(web.findings().compare(&viewer.context, with, id).await?),
        None => web.findings().compare_with_last(&viewer.context, id).await?,
    };
    let comparison =
        comparison.ok_or_else(|| Problem::not_found(format!("scan {id} has no earlier scan to compare it with")))?;
    Ok(fresh(StatusCode::OK, &ComparisonBody::from(&comparison)))
}

fn no_result() -> Problem {
    Problem::not_found("scan not found, or it has no result yet")
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
