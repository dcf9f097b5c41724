//! The page of a one-time link with which somebody sets the password of an account.

use askama::Template;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{AccountName, LinkPurpose};

use super::fields::{Accounts, Errors, Fields, Input, with_status};
use super::links::GonePage;
use super::set_up::new_password;
use crate::identity::secret::RandomSecret;
use crate::web::error::Problem;
use crate::web::headers::{page, with_secret_address};
use crate::web::pages::layout::{Layout, Notice};
use crate::web::state::WebInner;
use crate::web::viewer::Viewer;

/// The page of a link for a password.
#[derive(Template)]
#[template(path = "accounts/set_password.html")]
pub(crate) struct SetPasswordPage {
    layout: Layout,
    notice: Option<Notice>,
    link: String,
    account: String,
    password: Input,
    repeat: Input,
}

/// Returns the link of a form and its account; `None` if it is not valid any more.
async fn valid(web: &WebInner, text: &str) -> Result<Option<(RandomSecret, AccountName)>, Problem> {
    let Ok(link) = RandomSecret::parse(text) else { return Ok(None) };
    Ok(match web.access().link(&link).await? {
        Some(LinkPurpose::SetPassword(account)) => Some((link, account)),
        Some(LinkPurpose::SetUp) | None => None,
    })
}

fn render(viewer: &Viewer, (link, account): &(RandomSecret, AccountName), mut errors: Errors) -> Response {
    let status = errors.status();
    let shown = SetPasswordPage {
        layout: Layout::public(viewer, "Set a password"),
        link: link.expose().to_owned(),
        account: account.to_string(),
        password: new_password("password", "New password", &mut errors).focused(),
        repeat: Input::password("repeat", "New password again", "new-password", &mut errors),
        notice: errors.notice(),
    };
    with_secret_address(with_status(status, page(&shown)))
}

/// Shows the form of a valid link.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    Ok(match valid(&web, query.text("link")).await? {
        Some(link) => render(&viewer, &link, Errors::default()),
        None => GonePage::answer(&viewer, false),
    })
}

/// Sets the password, and leads to the sign-in.
pub(crate) async fn set(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    let Some(link) = valid(&web, fields.text("link")).await? else { return Ok(GonePage::answer(&viewer, false)) };
    let password = match fields.repeated("password", "repeat") {
        Ok(password) => password,
        Err(errors) => return Ok(render(&viewer, &link, errors)),
    };
    match web.access().set_password_by_link(&link.0, password).await {
        Ok(Some(_)) => Ok(Redirect::to("/login?notice=password").into_response()),
        Ok(None) => Ok(GonePage::answer(&viewer, false)),
        Err(error) => Ok(render(&viewer, &link, Errors::from_service(error)?)),
    }
}
