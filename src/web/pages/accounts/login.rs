//! Sign-in and sign-out.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::fields::{Accounts, Errors, Fields, Input, with_status};
use super::login_provider::LeavePage;
use super::passkey_prompt::{PasskeyPrompt, answer_of};
use super::sign_in::{agent_of, local, step_url, whole_seconds, with_cookie, with_session};
use crate::identity::cookie::{cleared_cookie, pending_cookie};
use crate::service::access::{NewSession, PasskeyAnswer, PasskeySignIn, SignIn, SignInError, SignInStart};
use crate::web::base_path::of_cookies;
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::layout::{Layout, Notice};
use crate::web::state::WebInner;
use crate::web::text::{clean, counted};
use crate::web::viewer::Viewer;

const WRONG: &str = "The name or the password is wrong.";
const WRONG_PASSKEY: &str = "This passkey was not accepted. Try again, or sign in with the password.";

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
    /// The name of the identity provider.
    provider: Option<String>,
    /// Whether a password may be used.
    has_passwords: bool,
    /// The path to which the sign-in leads.
    next: String,
    name: Input,
    password: Input,
    /// The button for a passkey, if the server accepts passkeys.
    passkey: Option<PasskeyPrompt>,
    passkey_error: Option<String>,
}

impl LoginPage {
    fn new(layout: Layout, web: &WebInner, needs_set_up: bool, typed: &Fields, next: &str, mut errors: Errors) -> Self {
        let passkey = PasskeyPrompt::of(web);
        let mut name = Input::user(typed, &mut errors);
        if passkey.is_some() {
            // The browser offers passkeys among the names.
            name.autocomplete = "username webauthn";
        }
        let password = Input::password("password", "Password", "current-password", &mut errors);
        let is_again = password.error.is_some();
        Self {
            layout,
            notice: None,
            needs_set_up,
            has_mail: web.access().mails_password_links(),
            provider: web.access().provider_name().map(clean),
            has_passwords: web.access().allows_passwords(),
            next: clean(next),
            name: if is_again { name } else { name.focused() },
            password: if is_again { password.focused() } else { password },
            passkey,
            passkey_error: errors.take("passkey"),
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
    Ok(LoginPage::new(Layout::public(viewer, "Sign in"), web, needs_set_up, typed, next, errors))
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
        Ok(SignInStart::Session(session)) => started(&web, &viewer, &session, next).await,
        Err(error) => refused(&web, &viewer, &fields, error, ("password", WRONG)).await,
    }
}

/// Starts a session with a passkey, which needs neither a password nor a code.
pub(crate) async fn sign_in_with_passkey(
    Accounts(web): Accounts,
    viewer: Viewer,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    let answer = answer_of(&fields).unwrap_or_else(|| PasskeyAnswer { state: String::new(), answer: String::new() });
    let attempt = PasskeySignIn { answer, address: viewer.address, agent: agent_of(&headers) };
    match web.access().sign_in_with_passkey(attempt).await {
        Ok(session) => started(&web, &viewer, &session, local(fields.text("next"))).await,
        Err(error) => refused(&web, &viewer, &fields, error, ("passkey", WRONG_PASSKEY)).await,
    }
}

/// Gives the browser its session. The cookie of an earlier session in this browser is replaced.
async fn started(web: &WebInner, viewer: &Viewer, session: &NewSession, next: &str) -> Result<Response, Problem> {
    if let Some(earlier) = viewer.signed_in.as_ref().filter(|who| who.session.is_some()) {
        web.access().sign_out(earlier).await?;
    }
    Ok(with_session(Redirect::to(next).into_response(), viewer, session))
}

/// Shows the page again after a sign-in that was refused. `wrong` is the field and the text of a
/// wrong credential.
async fn refused(
    web: &WebInner,
    viewer: &Viewer,
    fields: &Fields,
    error: SignInError,
    (field, wrong): (&str, &str),
) -> Result<Response, Problem> {
    let next = local(fields.text("next"));
    match error {
        SignInError::Wrong => {
            let shown = render(web, viewer, fields, next, Errors::of(field, wrong)).await?;
            Ok(with_status(StatusCode::UNAUTHORIZED, page(&shown)))
        }
        SignInError::Throttled { retry_after } => {
            let seconds = whole_seconds(retry_after);
            let errors = Errors::of(field, &format!("Try again in {}.", counted(seconds, "second", "seconds")));
            let shown = render(web, viewer, fields, next, errors).await?;
            let mut response = with_status(StatusCode::TOO_MANY_REQUESTS, page(&shown));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        error @ SignInError::NoPasswords => Err(Problem::denied(error.to_string())),
        SignInError::Store(error) => Err(error.into()),
    }
}

/// Ends the session, and removes its cookie and the pages that the browser keeps. Where the session
/// began with the identity provider, the browser is sent there, so that its session ends, too.
pub(crate) async fn sign_out(Accounts(web): Accounts, viewer: Viewer) -> Result<Response, Problem> {
    let mut is_of_provider = false;
    if let Some(who) = &viewer.signed_in {
        is_of_provider = web.access().began_with_provider(who).await?;
        web.access().sign_out(who).await?;
    }
    // The provider may take seconds to respond, and the browser may not wait for it: our session
    // has ended by then.
    let at_provider = if is_of_provider { web.access().provider_sign_out_url().await } else { None };
    let cookie = cleared_cookie(viewer.is_https, &of_cookies());
    let shown = match at_provider {
        Some(url) => {
            let name = web.access().provider_name().unwrap_or_default();
            LeavePage::answer(&viewer, "Signed out", name, &url)
        }
        None => Redirect::to("/login").into_response(),
    };
    let mut response = with_cookie(shown, &cookie);
    let name = HeaderName::from_static("clear-site-data");
    response.headers_mut().insert(name, HeaderValue::from_static("\"cache\""));
    Ok(response)
}
