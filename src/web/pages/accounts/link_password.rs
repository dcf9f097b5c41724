//! The password of a public link: the page that requests it, and its form, which works without
//! scripts.

use askama::Template;
use axum::extract::RawPathParams;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::fields::{Accounts, Errors, Fields, Input, with_status};
use super::sign_in::{whole_seconds, with_cookie};
use crate::identity::cookie::link_cookie;
use crate::identity::secret::RandomSecret;
use crate::service::access::LinkPasswordError;
use crate::web::base_path;
use crate::web::error::Problem;
use crate::web::headers::{page, with_secret_address};
use crate::web::pages::shared_frame::SharedFrame;
use crate::web::path::part;
use crate::web::text::counted;
use crate::web::viewer::Viewer;

/// The page that requests the password of a link.
#[derive(Template)]
#[template(path = "shared/password.html")]
struct LinkPasswordPage {
    frame: SharedFrame,
    action: String,
    password: Input,
}

/// The page of a link that opens nothing: it never existed, has expired or was revoked, or its scan
/// was deleted. Nobody learns which.
#[derive(Template)]
#[template(path = "shared/gone.html")]
struct LinkGonePage {
    frame: SharedFrame,
}

/// Returns the secret in the path of a request for a public link.
pub(crate) fn secret_of(path: &RawPathParams) -> Option<RandomSecret> {
    RandomSecret::parse(part(path, "secret")).ok()
}

/// Returns the path of a public link on this site.
pub(crate) fn link_path(secret: &RandomSecret) -> String {
    format!("/shared/{}", secret.expose())
}

/// Returns the path of a public link as browsers see it: the one of its cookie.
pub(crate) fn cookie_path(secret: &RandomSecret) -> String {
    format!("{}{}", base_path::current(), link_path(secret))
}

/// Returns the page that requests the password.
pub(crate) fn ask(viewer: &Viewer, secret: &RandomSecret) -> Response {
    render(viewer, secret, StatusCode::OK, Errors::default())
}

/// Returns the page of a link that opens nothing.
pub(crate) fn gone(viewer: &Viewer) -> Response {
    let shown = LinkGonePage { frame: SharedFrame::new(viewer, "Link not valid") };
    with_status(StatusCode::NOT_FOUND, page(&shown))
}

fn render(viewer: &Viewer, secret: &RandomSecret, status: StatusCode, mut errors: Errors) -> Response {
    let shown = LinkPasswordPage {
        frame: SharedFrame::new(viewer, "Password needed"),
        action: link_path(secret),
        password: Input::password("password", "Password", "off", &mut errors).focused(),
    };
    with_secret_address(with_status(status, page(&shown)))
}

/// Checks the password, and leads to the scan with the cookie of the link.
pub(crate) async fn enter(
    Accounts(web): Accounts,
    viewer: Viewer,
    path: RawPathParams,
    fields: Fields,
) -> Result<Response, Problem> {
    let Some(secret) = secret_of(&path) else { return Ok(gone(&viewer)) };
    match web.access().enter_link_password(&secret, &fields.password("password"), viewer.address).await {
        Ok(Some(pass)) => {
            let cookie = link_cookie(&pass.secret, viewer.is_https, &cookie_path(&secret), pass.max_age);
            Ok(with_cookie(Redirect::to(&link_path(&secret)).into_response(), &cookie))
        }
        Ok(None) => Ok(gone(&viewer)),
        Err(LinkPasswordError::Wrong) => {
            let errors = Errors::of("password", "The password is wrong.");
            Ok(render(&viewer, &secret, StatusCode::FORBIDDEN, errors))
        }
        Err(LinkPasswordError::Throttled { retry_after }) => {
            let seconds = whole_seconds(retry_after);
            let errors = Errors::of("password", &format!("Try again in {}.", counted(seconds, "second", "seconds")));
            let mut response = render(&viewer, &secret, StatusCode::TOO_MANY_REQUESTS, errors);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
        Err(LinkPasswordError::Store(error)) => Err(error.into()),
    }
}
