//! The actions on one finding from its page: a comment, and another check.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::FieldError;

use super::detail::read;
use super::form::{Typed, field_error};
use super::marks::finding_url;
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::pages::targets::check::{CheckAgain, check_again};
use crate::web::path::{FindingPath, no_finding};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Adds a comment.
pub(crate) async fn comment(
    State(web): State<Web>,
    viewer: Viewer,
    FindingPath(id): FindingPath,
    form: Typed,
) -> Result<Response, Problem> {
    let text = form.text("text");
    match web.findings().comment(&viewer.context, id, text).await {
        Ok(true) => Ok(Redirect::to(&format!("{}?notice=commented", finding_url(id))).into_response()),
        Ok(false) => Err(no_finding()),
        Err(error) => {
            let error = FieldError { field: "text".into(), ..field_error(error)? };
            let shown = read(&web, &viewer, id, text, &[error]).await?;
            Ok((ProblemKind::InvalidFields.about().0, page(&shown)).into_response())
        }
    }
}

/// Checks the target of the finding again, with its plugin alone.
pub(crate) async fn check(
    State(web): State<Web>,
    viewer: Viewer,
    FindingPath(id): FindingPath,
    form: Typed,
) -> Result<Response, Problem> {
    let row = web.findings().get(&viewer.context, id).await?.ok_or_else(no_finding)?.row;
    let again = CheckAgain {
        target: row.target,
        plugin: Some(&row.plugin),
        post_url: format!("{}/check", finding_url(id)),
        back_url: finding_url(id),
        is_confirmed: form.has("confirmed"),
        is_permitted: form.has("confirm"),
    };
    check_again(&web, &viewer, again, no_finding).await
}
