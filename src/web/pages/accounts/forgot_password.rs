//! The request for a link with which a forgotten password is replaced. The response is the same for
//! every name and every address. Only a server that sends mails has this page.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::fields::{Accounts, Errors, Fields, Input, with_status};
use super::sign_in::whole_seconds;
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::layout::{Layout, Notice};
use crate::web::state::WebInner;
use crate::web::text::counted;
use crate::web::viewer::Viewer;

/// The only answer to a request.
const ANSWER: &str = "If an account matches and has a mail address, a link is on its way.";
const NO_MAILS: &str = "this server sends no mails; ask an administrator for a link that sets a new password";

/// The page with the request.
#[derive(Template)]
#[template(path = "accounts/forgot_password.html")]
pub(crate) struct ForgotPasswordPage {
    layout: Layout,
    notice: Option<Notice>,
    /// The field of the form; `None` once it was sent.
    name: Option<Input>,
}

fn render(viewer: &Viewer, typed: &Fields, mut errors: Errors) -> Response {
    let status = errors.status();
    let name = Input { label: "Name or mail address", ..Input::user(typed, &mut errors) };
    let layout = Layout::public(viewer, "Forgot your password?");
    with_status(status, page(&ForgotPasswordPage { layout, notice: errors.notice(), name: Some(name.focused()) }))
}

fn with_mails(web: &WebInner) -> Result<(), Problem> {
    if web.access().mails_password_links() { Ok(()) } else { Err(Problem::not_found(NO_MAILS)) }
}

/// Shows the form.
pub(crate) async fn show(Accounts(web): Accounts, viewer: Viewer) -> Result<Response, Problem> {
    with_mails(&web)?;
    Ok(render(&viewer, &Fields::default(), Errors::default()))
}

/// Takes the request. What follows from it happens after the response.
pub(crate) async fn request(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    with_mails(&web)?;
    if fields.text("name").is_empty() {
        return Ok(render(&viewer, &fields, Errors::of("name", "enter a name or a mail address")));
    }
    match web.access().request_password_link(fields.text("name"), viewer.address) {
        Ok(()) => {
            let layout = Layout::public(&viewer, "Forgot your password?");
            let notice = Some(Notice::new("done", ANSWER));
            Ok(page(&ForgotPasswordPage { layout, notice, name: None }))
        }
        Err(retry_after) => {
            let seconds = whole_seconds(retry_after);
            let wait = counted(seconds.div_ceil(60), "minute", "minutes");
            let errors = Errors::of("name", &format!("Too many requests. Try again in {wait}."));
            let mut response = with_status(StatusCode::TOO_MANY_REQUESTS, render(&viewer, &fields, errors));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
    }
}
