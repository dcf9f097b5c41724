//! `/api/filters`: the filters of findings that the caller has saved.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::FieldError;

use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{NewFilterBody, ProblemBody, SavedFilterList};
use crate::web::error::{Problem, ProblemKind};
use crate::web::path::part;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Lists the saved filters of the caller, by name.
#[utoipa::path(
    get, path = "/api/filters", tag = "findings",
    responses(
        (status = 200, description = "The filters", body = SavedFilterList, content_type = "application/json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_filters(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    let filters = web.findings().saved_filters(&viewer.context).await?;
    Ok(fresh(StatusCode::OK, &SavedFilterList { filters: filters.into_iter().map(Into::into).collect() }))
}

/// Saves a filter under a name, in place of an earlier one.
#[utoipa::path(
    put, path = "/api/filters/{name}", tag = "findings",
    params(("name" = String, Path, description = "The name: 1 to 60 characters")),
    request_body(content = NewFilterBody, content_type = "application/json"),
    responses(
        (status = 204, description = "Filter saved"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn save_filter(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let NewFilterBody { filter } = read_object(&headers, body)?;
    let missing = || Problem::fields(ProblemKind::InvalidFields, vec![FieldError::new("filter", "expected a filter")]);
    let filter = filter.ok_or_else(missing)?;
    web.findings().save_filter(&viewer.context, part(&path, "name"), &filter).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Deletes a saved filter.
#[utoipa::path(
    delete, path = "/api/filters/{name}", tag = "findings",
    params(("name" = String, Path, description = "The name")),
    responses(
        (status = 204, description = "Filter deleted"),
        (status = 403, description = "Sent by another site", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Filter not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete_filter(
    State(web): State<Web>,
    viewer: Viewer,
    path: RawPathParams,
) -> Result<Response, Problem> {
    if web.findings().delete_filter(&viewer.context, part(&path, "name")).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(Problem::not_found("filter not found"))
    }
}
