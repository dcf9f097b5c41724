//! `/api/scans/{id}/links`: the public links of a scan. A server without accounts has none.

use axum::body::Bytes;
use axum::extract::RawPathParams;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::PublicLinkId;

use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{CreatedPublicLink, NewPublicLinkBody, ProblemBody, PublicLinkList};
use crate::web::error::Problem;
use crate::web::pages::accounts::Accounts;
use crate::web::path::{PathId, part};
use crate::web::viewer::Viewer;

/// Lists the public links of a scan, without their secrets.
#[utoipa::path(
    get, path = "/api/scans/{id}/links", tag = "scans",
    params(("id" = u64, Path, description = "The scan's id")),
    responses(
        (status = 200, description = "The links", body = PublicLinkList, content_type = "application/json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found, or no accounts", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_links(
    Accounts(web): Accounts,
    viewer: Viewer,
    PathId(id): PathId,
) -> Result<Response, Problem> {
    let links = web.access().public_links(&viewer.context, id).await?;
    Ok(fresh(StatusCode::OK, &PublicLinkList::of(&links)))
}

/// Creates a public link of a scan that runs or has ended. Who has the link sees the scan, its
/// report and its files without an account. The response has the secret, which is shown only once.
#[utoipa::path(
    post, path = "/api/scans/{id}/links", tag = "scans",
    params(("id" = u64, Path, description = "The scan's id")),
    request_body(content = NewPublicLinkBody, content_type = "application/json"),
    responses(
        (status = 201, description = "Link created", body = CreatedPublicLink, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan not found, or no accounts", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create_link(
    Accounts(web): Accounts,
    viewer: Viewer,
    PathId(id): PathId,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: NewPublicLinkBody = read_object(&headers, body)?;
    let (secret, link) = web.access().create_public_link(&viewer.context, id, body.into()).await?;
    Ok(fresh(StatusCode::CREATED, &CreatedPublicLink::of(&secret, &link)))
}

/// Revokes a public link of a scan: from now on it opens nothing.
#[utoipa::path(
    delete, path = "/api/scans/{id}/links/{link}", tag = "scans",
    params(
        ("id" = u64, Path, description = "The scan's id"),
        ("link" = String, Path, description = "The link's id"),
    ),
    responses(
        (status = 204, description = "Link revoked"),
        (status = 403, description = "Right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Scan or link not found, or no accounts", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn revoke_link(
    Accounts(web): Accounts,
    viewer: Viewer,
    PathId(id): PathId,
    path: RawPathParams,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("link not found");
    let link: PublicLinkId = part(&path, "link").parse().map_err(|_| missing())?;
    if web.access().revoke_public_link(&viewer.context, id, &link).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(missing())
    }
}
