//! The actions on a target from its page: tags and notes, and another check.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::check::{CheckAgain, check_again};
use super::detail::{Edited, read};
use super::tags::tags;
use crate::service::findings::TargetEdit;
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::pages::findings::form::{Typed, field_error};
use crate::web::pages::findings::marks::target_url;
use crate::web::path::{TargetPath, no_target};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Changes the tags and the notes.
pub(crate) async fn edit(
    State(web): State<Web>,
    viewer: Viewer,
    TargetPath(id): TargetPath,
    form: Typed,
) -> Result<Response, Problem> {
    let edit = TargetEdit { tags: Some(tags(form.text("tags"))), notes: Some(form.text("notes").to_owned()) };
    match web.targets().edit(&viewer.context, id, edit).await {
        Ok(true) => Ok(Redirect::to(&format!("{}?notice=changed", target_url(id))).into_response()),
        Ok(false) => Err(no_target()),
        Err(error) => {
            let error = field_error(error)?;
            let typed = Edited { tags: form.text("tags"), notes: form.text("notes") };
            let shown = read(&web, &viewer, id, Some(typed), &[error]).await?;
            Ok((ProblemKind::InvalidFields.about().0, page(&shown)).into_response())
        }
    }
}

/// Checks the target again with one plugin, or with all of its last scan.
pub(crate) async fn check(
    State(web): State<Web>,
    viewer: Viewer,
    TargetPath(id): TargetPath,
    RawQuery(query): RawQuery,
    form: Typed,
) -> Result<Response, Problem> {
    // The page that asks for the permission keeps the plugin in its address.
    let query = Typed::parse(query.unwrap_or_default().as_bytes());
    let plugin = [form.text("plugin"), query.text("plugin")].into_iter().find(|plugin| !plugin.is_empty());
    let address = format!("{}/check", target_url(id));
    let again = CheckAgain {
        target: id,
        plugin,
        post_url: plugin.map_or_else(
            || address.clone(),
            |plugin| {
                let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("plugin", plugin).finish();
                format!("{address}?{query}")
            },
        ),
        back_url: target_url(id),
        is_confirmed: form.has("confirmed"),
        is_permitted: form.has("confirm"),
    };
    check_again(&web, &viewer, again, no_target).await
}
