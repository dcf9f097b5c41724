//! The second step of a sign-in: the code of the second factor, a passkey, or the set-up if the
//! account must have one. The browser has the secret of the pending sign-in in a cookie of its own.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::policy::second_factor::{SecondStep, SignInStep};

use super::enrolment::{EnrolmentPage, RecoveryCodesPage, issuer};
use super::fields::{Accounts, Errors, Fields, Input, with_status};
use super::passkey_prompt::{PasskeyPrompt, answer_of};
use super::sign_in::{agent_of, local, step_url, whole_seconds, with_cookie, with_session};
use crate::identity::cookie::{cleared_pending_cookie, read_pending};
use crate::identity::secret::RandomSecret;
use crate::service::access::{CodeAttempt, CodeError, NewSession, PasskeyAnswer, PasskeySignIn, WaitingSignIn};
use crate::web::base_path::of_cookies;
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::layout::Layout;
use crate::web::state::WebInner;
use crate::web::text::{clean, counted, sentence};
use crate::web::viewer::Viewer;

/// The page for the code or the passkey.
#[derive(Template)]
#[template(path = "accounts/login_code.html")]
pub(crate) struct CodePage {
    layout: Layout,
    account: String,
    /// The path to which the sign-in leads.
    next: String,
    code: Input,
    recovery: Input,
    /// Whether the form for a recovery code is open.
    is_recovery: bool,
    takes_code: bool,
    /// The button for a passkey, if one is accepted.
    passkey: Option<PasskeyPrompt>,
    passkey_error: Option<String>,
    /// Why nothing is accepted.
    refusal: Option<String>,
}

impl CodePage {
    fn new(
        web: &WebInner,
        viewer: &Viewer,
        waiting: &WaitingSignIn,
        next: &str,
        mut errors: Errors,
        is_recovery: bool,
    ) -> Self {
        let refusal = web.access().relying_party().err().filter(|_| waiting.takes == SecondStep::Nothing);
        let code = Input::code(&mut errors);
        let recovery = Input::text("recovery_code", "Recovery code", &Fields::default(), &mut errors);
        Self {
            layout: Layout::public(viewer, "Second factor"),
            account: waiting.account.to_string(),
            next: clean(next),
            code: if is_recovery { code } else { code.focused() },
            recovery: if is_recovery { recovery.focused() } else { recovery },
            is_recovery,
            takes_code: waiting.takes.takes_code(),
            passkey: PasskeyPrompt::of_step(web, waiting.takes),
            passkey_error: errors.take("passkey"),
            refusal: refusal.map(|reason| sentence(&reason.to_string())),
        }
    }
}

/// The page of a sign-in that ended without a session.
#[derive(Template)]
#[template(path = "accounts/sign_in_gone.html")]
struct GonePage {
    layout: Layout,
}

/// Returns the response for a sign-in that has ended. The cookie is removed.
fn gone(viewer: &Viewer) -> Response {
    let shown = GonePage { layout: Layout::public(viewer, "Sign-in ended") };
    without_pending(with_status(StatusCode::GONE, page(&shown)), viewer)
}

/// Removes the cookie of the pending sign-in.
fn without_pending(response: Response, viewer: &Viewer) -> Response {
    with_cookie(response, &cleared_pending_cookie(viewer.is_https, &of_cookies()))
}

/// Returns the secret of the browser's pending sign-in.
fn secret_of(viewer: &Viewer, headers: &HeaderMap) -> Option<RandomSecret> {
    read_pending(headers, viewer.is_https, &of_cookies())
}

async fn waiting(web: &WebInner, viewer: &Viewer, headers: &HeaderMap) -> Result<Option<WaitingSignIn>, Problem> {
    match secret_of(viewer, headers) {
        Some(secret) => Ok(web.access().waiting_sign_in(&secret).await?),
        None => Ok(None),
    }
}

fn attempt(viewer: &Viewer, headers: &HeaderMap, pending: RandomSecret, code: &str) -> CodeAttempt {
    CodeAttempt { pending, code: code.to_owned(), address: viewer.address, agent: agent_of(headers) }
}

/// Replaces the session of the browser by a new one.
async fn with_new_session(
    web: &WebInner,
    viewer: &Viewer,
    session: &NewSession,
    response: Response,
) -> Result<Response, Problem> {
    if let Some(earlier) = viewer.signed_in.as_ref().filter(|who| who.session.is_some()) {
        web.access().sign_out(earlier).await?;
    }
    Ok(without_pending(with_session(response, viewer, session), viewer))
}

/// Returns the errors of a code that was not accepted, with the time after which another attempt is
/// let through. The problem and the end of the sign-in have pages of their own.
fn refused(error: CodeError, field: &str) -> Result<Option<(Errors, Option<u64>)>, Problem> {
    match error {
        CodeError::Gone => Ok(None),
        CodeError::Store(error) => Err(error.into()),
        CodeError::Refused(fault) => Ok(Some((Errors::of(field, &fault.to_string()), None))),
        CodeError::Expired => Ok(Some((Errors::of(field, "the set-up has expired: here is a new one"), None))),
        CodeError::Throttled { retry_after } => {
            let seconds = whole_seconds(retry_after);
            let text = format!("try again in {}", counted(seconds, "second", "seconds"));
            Ok(Some((Errors::of(field, &text), Some(seconds))))
        }
    }
}

/// Gives a page the status of its errors.
fn answered(shown: Response, retry_after: Option<u64>) -> Response {
    match retry_after {
        None => with_status(StatusCode::UNAUTHORIZED, shown),
        Some(seconds) => {
            let mut response = with_status(StatusCode::TOO_MANY_REQUESTS, shown);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
    }
}

/// Shows the page for the code.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let next = local(query.text("next"));
    match waiting(&web, &viewer, &headers).await? {
        None => Ok(gone(&viewer)),
        Some(waiting) if waiting.step == SignInStep::Enrolment => {
            Ok(Redirect::to(&step_url(waiting.step, next)).into_response())
        }
        Some(waiting) => Ok(page(&CodePage::new(&web, &viewer, &waiting, next, Errors::default(), false))),
    }
}

/// Ends the sign-in with a code.
pub(crate) async fn enter(
    Accounts(web): Accounts,
    viewer: Viewer,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    let next = local(fields.text("next"));
    let Some(secret) = secret_of(&viewer, &headers) else { return Ok(gone(&viewer)) };
    let field = if fields.is_empty("code") && !fields.is_empty("recovery_code") { "recovery_code" } else { "code" };
    let sent = attempt(&viewer, &headers, secret, fields.text(field));
    let error = match web.access().sign_in_with_code(sent).await {
        Ok(session) => return with_new_session(&web, &viewer, &session, Redirect::to(next).into_response()).await,
        Err(error) => error,
    };
    let Some((errors, retry_after)) = refused(error, field)? else { return Ok(gone(&viewer)) };
    let Some(waiting) = waiting(&web, &viewer, &headers).await? else { return Ok(gone(&viewer)) };
    let shown = CodePage::new(&web, &viewer, &waiting, next, errors, field == "recovery_code");
    Ok(answered(page(&shown), retry_after))
}

/// Ends the sign-in with a passkey.
pub(crate) async fn enter_passkey(
    Accounts(web): Accounts,
    viewer: Viewer,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    let next = local(fields.text("next"));
    let Some(secret) = secret_of(&viewer, &headers) else { return Ok(gone(&viewer)) };
    let answer = answer_of(&fields).unwrap_or_else(|| PasskeyAnswer { state: String::new(), answer: String::new() });
    let sent = PasskeySignIn { answer, address: viewer.address, agent: agent_of(&headers) };
    let error = match web.access().finish_with_passkey(&secret, sent).await {
        Ok(session) => return with_new_session(&web, &viewer, &session, Redirect::to(next).into_response()).await,
        Err(error) => error,
    };
    let Some((errors, retry_after)) = refused(error, "passkey")? else { return Ok(gone(&viewer)) };
    let Some(waiting) = waiting(&web, &viewer, &headers).await? else { return Ok(gone(&viewer)) };
    let shown = CodePage::new(&web, &viewer, &waiting, next, errors, false);
    Ok(answered(page(&shown), retry_after))
}

/// Shows the set-up of the second factor that the account must have.
pub(crate) async fn show_enrolment(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let shown = new_enrolment(&web, &viewer, (&uri, &headers), local(query.text("next")), Errors::default()).await?;
    Ok(shown.unwrap_or_else(|| gone(&viewer)))
}

/// Returns the page of a new set-up; `None` if the sign-in has ended or needs a code.
async fn new_enrolment(
    web: &WebInner,
    viewer: &Viewer,
    (uri, headers): (&Uri, &HeaderMap),
    next: &str,
    mut errors: Errors,
) -> Result<Option<Response>, Problem> {
    let Some(secret) = secret_of(viewer, headers) else { return Ok(None) };
    match web.access().begin_enrolment_at_sign_in(&secret).await {
        Ok(None) => Ok(None),
        Ok(Some(enrolment)) => {
            let layout = Layout::public(viewer, "Set up a second factor");
            let name = issuer(uri, headers);
            Ok(Some(page(&EnrolmentPage::at_sign_in(layout, &enrolment, &name, &mut errors, next))))
        }
        Err(CodeError::Store(error)) => Err(error.into()),
        Err(error) => Err(Problem::internal(error)),
    }
}

/// Confirms the set-up, and ends the sign-in. The page shows the recovery codes once.
pub(crate) async fn enrol(
    Accounts(web): Accounts,
    viewer: Viewer,
    uri: Uri,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    let next = local(fields.text("next"));
    let Some(secret) = secret_of(&viewer, &headers) else { return Ok(gone(&viewer)) };
    let key = secret.digest();
    let sent = attempt(&viewer, &headers, secret, fields.text("code"));
    let error = match web.access().sign_in_with_enrolment(sent, fields.text("sealed")).await {
        Ok((session, codes)) => {
            let layout = Layout::public(&viewer, "Recovery codes");
            let shown = page(&RecoveryCodesPage::new(layout, "The second factor was added", &codes, next));
            return with_new_session(&web, &viewer, &session, shown).await;
        }
        Err(error) => error,
    };
    let Some((mut errors, retry_after)) = refused(error, "code")? else { return Ok(gone(&viewer)) };
    let Some(waiting) = waiting(&web, &viewer, &headers).await? else { return Ok(gone(&viewer)) };
    let shown = match web.access().enrolment(&waiting.account, key, fields.text("sealed")) {
        Some(enrolment) => {
            let layout = Layout::public(&viewer, "Set up a second factor");
            let name = issuer(&uri, &headers);
            page(&EnrolmentPage::at_sign_in(layout, &enrolment, &name, &mut errors, next))
        }
        None => match new_enrolment(&web, &viewer, (&uri, &headers), next, errors).await? {
            Some(shown) => shown,
            None => return Ok(gone(&viewer)),
        },
    };
    Ok(answered(shown, retry_after))
}
