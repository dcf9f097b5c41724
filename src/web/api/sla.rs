//! `/api/projects/{id}/sla`: the days within which the findings of a project must be fixed.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use kastrel_actors::model::FieldError;
use kastrel_findings::lifecycle::SlaPolicy;

use super::scans::fresh;
use super::submission::read_object;
use crate::api_types::{ProblemBody, SlaBody};
use crate::web::error::{Problem, ProblemKind};
use crate::web::path::ProjectPath;
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// The longest time to fix in days.
const MOST_DAYS: u32 = 3_650;

/// Shows the days within which the findings of a project must be fixed.
#[utoipa::path(
    get, path = "/api/projects/{id}/sla", tag = "findings",
    params(("id" = String, Path, description = "The project's id")),
    responses(
        (status = 200, description = "The days by severity", body = SlaBody, content_type = "application/json"),
        (status = 404, description = "Project not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_sla(
    State(web): State<Web>,
    viewer: Viewer,
    ProjectPath(project): ProjectPath,
) -> Result<Response, Problem> {
    let policy = web.findings().sla_policy(&viewer.context, &project).await?;
    Ok(fresh(StatusCode::OK, &SlaBody::from(&policy)))
}

/// Sets the days within which the findings of a project must be fixed. A severity that is left out
/// is never due.
#[utoipa::path(
    put, path = "/api/projects/{id}/sla", tag = "findings",
    params(("id" = String, Path, description = "The project's id")),
    request_body(content = SlaBody, content_type = "application/json"),
    responses(
        (status = 200, description = "The days by severity", body = SlaBody, content_type = "application/json"),
        (status = 400, description = "Body not readable", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "Sent by another site, or right missing", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Project not found", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Invalid fields, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn set_sla(
    State(web): State<Web>,
    viewer: Viewer,
    ProjectPath(project): ProjectPath,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body: SlaBody = read_object(&headers, body)?;
    let policy = SlaPolicy::from(body);
    let wrong = policy.days.iter().filter(|(_, days)| !(1..=MOST_DAYS).contains(*days));
    let errors: Vec<FieldError> = wrong
        .map(|(severity, _)| FieldError::new(severity.name(), format!("expected a number from 1 to {MOST_DAYS}")))
        .collect();
    if !errors.is_empty() {
        return Err(Problem::fields(ProblemKind::InvalidFields, errors));
    }
    web.findings().set_sla_policy(&viewer.context, &project, policy).await?;
    Ok(fresh(StatusCode::OK, &body))
}
