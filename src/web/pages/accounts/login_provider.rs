//! Sign-in with the identity provider: the browser is sent there, and comes back with a code.
//!
//! A form must not lead to another site (`form-action` of our pages), not even through a redirect.
//! So the response to the form is a page that the browser leaves at once.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::fields::{Accounts, Fields, with_status};
use super::sign_in::{agent_of, local, whole_seconds, with_cookie};
use crate::identity::cookie::{cleared_provider_cookie, provider_cookie, read_provider, session_cookie};
use crate::service::access::{ProviderCallback, ProviderRefusal, ProviderSignInError};
use crate::web::base_path::of_cookies;
use crate::web::error::Problem;
use crate::web::headers::{page, with_secret_address};
use crate::web::pages::layout::Layout;
use crate::web::state::WebInner;
use crate::web::text::counted;
use crate::web::viewer::Viewer;

const OFF: &str = "this server has no identity provider; `auth.mode` is not `oidc`";

/// A page that the browser leaves at once for the identity provider.
#[derive(Template)]
#[template(path = "accounts/leave.html")]
pub(super) struct LeavePage {
    layout: Layout,
    heading: String,
    provider: String,
    url: String,
}

impl LeavePage {
    /// Returns the response that sends the browser to an address of the provider.
    pub(super) fn answer(viewer: &Viewer, heading: &str, provider: &str, url: &str) -> Response {
        let shown = Self {
            layout: Layout::public(viewer, heading),
            heading: heading.to_owned(),
            provider: provider.to_owned(),
            url: url.to_owned(),
        };
        let mut response = page(&shown);
        // An address is ASCII, so it is a valid header.
        if let Ok(refresh) = HeaderValue::try_from(format!("0; url={url}")) {
            response.headers_mut().insert(header::REFRESH, refresh);
        }
        response
    }
}

/// The page of a sign-in with the provider that started no session.
#[derive(Template)]
#[template(path = "accounts/provider_refused.html")]
struct RefusedPage {
    layout: Layout,
    heading: &'static str,
    detail: String,
    /// The command with which an administrator links the account to the person.
    has_link_hint: bool,
}

/// Begins a sign-in.
pub(crate) async fn start(Accounts(web): Accounts, viewer: Viewer, fields: Fields) -> Result<Response, Problem> {
    let next = local(fields.text("next"));
    match web.access().start_provider_sign_in(next, viewer.address).await {
        Ok(started) => {
            let cookie = provider_cookie(&started.secret, viewer.is_https, &of_cookies(), started.max_age);
            let name = web.access().provider_name().unwrap_or_default();
            Ok(with_cookie(LeavePage::answer(&viewer, "Sign in", name, &started.url), &cookie))
        }
        Err(error) => refused(&web, &viewer, error),
    }
}

/// Finishes a sign-in with what the provider sent with the browser.
pub(crate) async fn finish(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let given = |name: &str| Some(query.text(name).to_owned()).filter(|text| !text.is_empty());
    let callback = ProviderCallback {
        secret: read_provider(&headers, viewer.is_https, &of_cookies()),
        state: query.text("state").to_owned(),
        code: given("code"),
        error: given("error"),
        issuer: given("iss"),
        address: viewer.address,
        agent: agent_of(&headers),
    };
    match web.access().finish_provider_sign_in(callback).await {
        Ok((session, next)) => {
            // The cookie of an earlier session in this browser is replaced.
            if let Some(earlier) = viewer.signed_in.as_ref().filter(|who| who.session.is_some()) {
                web.access().sign_out(earlier).await?;
            }
            let cookie = session_cookie(&session.secret, viewer.is_https, &of_cookies(), session.max_age);
            let response = with_cookie(Redirect::to(local(&next)).into_response(), &cookie);
            Ok(with_secret_address(with_cookie(response, &cleared_provider_cookie(viewer.is_https, &of_cookies()))))
        }
        // A page of another site may have sent the browser here while a sign-in waits: its cookie
        // stays.
        Err(error @ ProviderSignInError::Gone) => refused(&web, &viewer, error),
        Err(error) => {
            let response = refused(&web, &viewer, error)?;
            Ok(with_cookie(response, &cleared_provider_cookie(viewer.is_https, &of_cookies())))
        }
    }
}

/// Returns the page of a sign-in that started no session.
fn refused(web: &WebInner, viewer: &Viewer, error: ProviderSignInError) -> Result<Response, Problem> {
    let name = web.access().provider_name().unwrap_or_default();
    let shown = |heading, detail, has_link_hint| RefusedPage {
        layout: Layout::public(viewer, heading),
        heading,
        detail,
        has_link_hint,
    };
    let (status, shown) = match error {
        ProviderSignInError::Off => return Err(Problem::not_found(OFF)),
        ProviderSignInError::Store(error) => return Err(error.into()),
        ProviderSignInError::Throttled { retry_after } => {
            let seconds = whole_seconds(retry_after);
            let detail = format!("Try again in {}.", counted(seconds, "second", "seconds"));
            let response = page(&shown("Too many attempts", detail, false));
            let mut response = with_status(StatusCode::TOO_MANY_REQUESTS, response);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            return Ok(response);
        }
        ProviderSignInError::Gone => {
            let detail = "This sign-in was finished, has expired, or was begun in another browser. Sign in again.";
            (StatusCode::GONE, shown("Sign-in ended", detail.to_owned(), false))
        }
        ProviderSignInError::NoResponse => {
            let detail =
                format!("{name} does not respond. Try again in a minute. The log of the server has the reason.");
            (StatusCode::SERVICE_UNAVAILABLE, shown("The provider does not respond", detail, false))
        }
        ProviderSignInError::Refused(refusal) => {
            let can_be_linked =
                matches!(refusal, ProviderRefusal::NameTaken(_) | ProviderRefusal::NoAccount | ProviderRefusal::NoName);
            (StatusCode::FORBIDDEN, shown("Sign-in refused", text_of(&refusal, name), can_be_linked))
        }
    };
    Ok(with_secret_address(with_status(status, page(&shown))))
}

/// Says why a sign-in was refused, in our own words: nothing of what the provider wrote is shown.
fn text_of(refusal: &ProviderRefusal, provider: &str) -> String {
    match refusal {
        ProviderRefusal::Cancelled => format!("The sign-in was cancelled at {provider}."),
        ProviderRefusal::Reported => {
            format!(
                "{provider} reported an error. The log of the server and the administrators of {provider} know more."
            )
        }
        ProviderRefusal::Invalid => {
            format!("The response of {provider} is not valid for this sign-in. The log of the server has the reason.")
        }
        ProviderRefusal::NoAccount => "You have no account on this server, and none is created for you.".to_owned(),
        ProviderRefusal::NoName => format!("{provider} sent no name from which an account can be made."),
        ProviderRefusal::NameTaken(account) => {
            format!("There is an account {account} on this server, but it is not linked to you.")
        }
        ProviderRefusal::Disabled => "Your account is disabled. Ask an administrator.".to_owned(),
    }
}
