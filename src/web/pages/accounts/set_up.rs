//! The set-up: a one-time link creates the first administrator.

use askama::Template;
use axum::extract::RawQuery;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{LinkPurpose, SetUpResult};

use super::fields::{Accounts, Errors, Fields, Input, with_status};
use super::links::GonePage;
use crate::identity::secret::RandomSecret;
use crate::web::error::Problem;
use crate::web::headers::{page, with_secret_address};
use crate::web::pages::layout::{Layout, Notice};
use crate::web::viewer::Viewer;

/// The page of the set-up.
#[derive(Template)]
#[template(path = "accounts/set_up.html")]
pub(crate) struct SetUpPage {
    layout: Layout,
    notice: Option<Notice>,
    link: String,
    name: Input,
    password: Input,
    repeat: Input,
}

impl SetUpPage {
    fn new(layout: Layout, link: &RandomSecret, typed: &Fields, errors: &mut Errors) -> Self {
        Self {
            layout,
            link: link.expose().to_owned(),
            name: Input::user(typed, errors).focused(),
            password: new_password("password", "Password", errors),
            repeat: Input::password("repeat", "Password again", "new-password", errors),
            notice: errors.notice(),
        }
    }
}

/// Returns the field for a new password.
pub(super) fn new_password(name: &'static str, label: &'static str, errors: &mut Errors) -> Input {
    Input::password(name, label, "new-password", errors)
        .with_hint("At least 12 characters: several words that do not belong together.")
}

/// Shows the form of a valid link.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let Ok(link) = RandomSecret::parse(query.text("link")) else { return Ok(GonePage::answer(&viewer, true)) };
    if web.access().link(&link).await? != Some(LinkPurpose::SetUp) {
        return Ok(GonePage::answer(&viewer, true));
    }
    Ok(render(&viewer, &link, &Fields::default(), Errors::default()))
}

fn render(viewer: &Viewer, link: &RandomSecret, typed: &Fields, mut errors: Errors) -> Response {
    let status = errors.status();
    let layout = Layout::public(viewer, "Create the first administrator");
    with_secret_address(with_status(status, page(&SetUpPage::new(layout, link, typed, &mut errors))))
}

/// Creates the first administrator, who then signs in.
pub(crate) async fn create(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    let Ok(link) = RandomSecret::parse(fields.text("link")) else { return Ok(GonePage::answer(&viewer, true)) };
    let password = match fields.repeated("password", "repeat") {
        Ok(password) => password,
        Err(errors) => return Ok(render(&viewer, &link, &fields, errors)),
    };
    match web.access().set_up(&link, fields.text("name"), password).await {
        Ok(SetUpResult::Done) => Ok(Redirect::to("/login?notice=set-up").into_response()),
        Ok(SetUpResult::NoLink) => Ok(GonePage::answer(&viewer, true)),
        Ok(SetUpResult::NameTaken) => {
            let errors = Errors::of("name", "another account has this name; choose another one");
            Ok(render(&viewer, &link, &fields, errors))
        }
        Err(error) => Ok(render(&viewer, &link, &fields, Errors::from_service(error)?)),
    }
}
