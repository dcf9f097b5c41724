//! The saved filters of an account.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};

use super::address::ListAddress;
use super::form::{Typed, field_error};
use super::list::with_error;
use crate::web::error::Problem;
use crate::web::state::Web;
use crate::web::text::{clean, sentence};
use crate::web::viewer::Viewer;

/// Saves the filter of the list under a name, in place of one with this name.
pub(crate) async fn save(State(web): State<Web>, viewer: Viewer, form: Typed) -> Result<Response, Problem> {
    let list = ListAddress::of_link(form.text("back"));
    match web.findings().save_filter(&viewer.context, form.text("name"), &list.tokens).await {
        Ok(()) => Ok(back(&list, "saved")),
        Err(error) => {
            let error = field_error(error)?;
            let text = sentence(&clean(&format!("{}: {}.", error.field, error.message)));
            with_error(&web, &viewer, &list, text).await
        }
    }
}

/// Deletes a saved filter. One that is already gone is no error.
pub(crate) async fn delete(State(web): State<Web>, viewer: Viewer, form: Typed) -> Result<Response, Problem> {
    let list = ListAddress::of_link(form.text("back"));
    web.findings().delete_filter(&viewer.context, form.text("name")).await?;
    Ok(back(&list, "deleted"))
}

fn back(list: &ListAddress, done: &str) -> Response {
    let link = list.link();
    let sign = if link.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{link}{sign}done={done}")).into_response()
}
