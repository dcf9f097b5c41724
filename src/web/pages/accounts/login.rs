//! Sign-in and sign-out.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::fields::{Accounts, Errors, Fields, Input, with_status};
use super::sign_in::{agent_of, local, step_url, whole_seconds, with_cookie, with_session};
use crate::identity::cookie::{cleared_cookie, pending_cookie};
use crate::service::access::{SignIn, SignInError, SignInStart};
use crate::web::base_path::of_cookies;
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::layout::{Layout, Notice};
use crate::web::state::WebInner;
use crate::web::text::{clean, counted};
use crate::web::viewer::Viewer;

const WRONG: &str = "The name or the password is wrong.";

/// The page for the sign-in.
#[derive(Template)]
#[template(path = "accounts/login.html")]
pub(crate) struct LoginPage {
    layout: Layout,
    notice: Option<Notice>,
    /// Whether the server has no administrator yet.
    needs_set_up: bool,
    /// Whether a link for a new password can be requested.
    has_mail: bool,
    /// The path to which the sign-in leads.
    next: String,
    name: Input,
    password: Input,
}

impl LoginPage {
    fn new(
        layout: Layout,
        (needs_set_up, has_mail): (bool, bool),
        typed: &Fields,
        next: &str,
        mut errors: Errors,
    ) -> Self {
        let name = Input::user(typed, &mut errors);
        let password = Input::password("password", "Password", "current-password", &mut errors);
        let is_again = password.error.is_some();
        Self {
            layout,
            notice: None,
            needs_set_up,
            has_mail,
            next: clean(next),
            name: if is_again { name } else { name.focused() },
            password: if is_again { password.focused() } else { password },
        }
    }
}

/// Shows the page. A viewer who has signed in is sent on.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let next = local(query.text("next"));
    if viewer.signed_in.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let shown = render(&web, &viewer, &Fields::default(), next, Errors::default()).await?;
    Ok(page(&LoginPage { notice: notice_of(query.text("notice")), ..shown }))
}

async fn render(
    web: &WebInner,
    viewer: &Viewer,
    typed: &Fields,
    next: &str,
    errors: Errors,
) -> Result<LoginPage, Problem> {
    let needs_set_up = web.access().needs_set_up().await?;
    let shown = (needs_set_up, web.access().has_mail());
    Ok(LoginPage::new(Layout::public(viewer, "Sign in"), shown, typed, next, errors))
}

fn notice_of(name: &str) -> Option<Notice> {
    let text = match name {
        "set-up" => "The account was created. Sign in with it.",
        "password" => "The password was set. Sign in with it.",
        _ => return None,
    };
    Some(Notice::new("done", text))
}

/// Starts a session. The browser gets its cookie, and is sent to the page that it came for. If a
/// second factor must follow, the browser gets the cookie of the pending sign-in instead, and is
/// sent to its page.
pub(crate) async fn sign_in(
    Accounts(web): Accounts,
    viewer: Viewer,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    let next = local(fields.text("next"));
    let attempt = SignIn {
        name: fields.text("name").to_owned(),
        password: fields.password("password"),
        address: viewer.address,
        agent: agent_of(&headers),
    };
    match web.access().sign_in(attempt).await {
        Ok(SignInStart::Pending(pending)) => {
            let cookie = pending_cookie(&pending.secret, viewer.is_https, &of_cookies(), pending.max_age);
            Ok(with_cookie(Redirect::to(&step_url(pending.step, next)).into_response(), &cookie))
        }
        Ok(SignInStart::Session(session)) => {
            // The cookie of an earlier session in this browser is replaced.
            if let Some(earlier) = viewer.signed_in.as_ref().filter(|who| who.session.is_some()) {
                web.access().sign_out(earlier).await?;
            }
            Ok(with_session(Redirect::to(next).into_response(), &viewer, &session))
        }
        Err(SignInError::Wrong) => {
            let shown = render(&web, &viewer, &fields, next, Errors::of("password", WRONG)).await?;
            Ok(with_status(StatusCode::UNAUTHORIZED, page(&shown)))
        }
        Err(SignInError::Throttled { retry_after }) => {
            let seconds = whole_seconds(retry_after);
            let errors = Errors::of("password", &format!("Try again in {}.", counted(seconds, "second", "seconds")));
            let shown = render(&web, &viewer, &fields, next, errors).await?;
            let mut response = with_status(StatusCode::TOO_MANY_REQUESTS, page(&shown));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        Err(SignInError::Store(error)) => Err(error.into()),
    }
}

/// Ends the session, and removes its cookie and the pages that the browser keeps.
pub(crate) async fn sign_out(Accounts(web): Accounts, viewer: Viewer) -> Result<Response, Problem> {
    if let Some(who) = &viewer.signed_in {
        web.access().sign_out(who).await?;
    }
    let cookie = cleared_cookie(viewer.is_https, &of_cookies());
    let mut response = with_cookie(Redirect::to("/login").into_response(), &cookie);
    let name = HeaderName::from_static("clear-site-data");
    response.headers_mut().insert(name, HeaderValue::from_static("\"cache\""));
    Ok(response)
}
