//! One-time links: the page that shows a new one, and the page for one that is not valid any more.

use askama::Template;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use kastrel_actors::model::AccountName;

use super::fields::with_status;
use crate::identity::secret::RandomSecret;
use crate::web::base_path;
use crate::web::headers::{page, with_secret_address};
use crate::web::hosts::host_of;
use crate::web::pages::layout::Layout;
use crate::web::state::WebInner;
use crate::web::text::{clean, counted, in_url};
use crate::web::viewer::Viewer;

/// The page with a new link, which is shown once.
#[derive(Template)]
#[template(path = "accounts/new_link.html")]
pub(super) struct NewLinkPage {
    layout: Layout,
    name: String,
    account_url: String,
    link: String,
    lifetime: String,
}

impl NewLinkPage {
    /// Returns the page with a link with which the password of an account is set. The link begins
    /// with the address under which the viewer reached the server.
    pub(super) fn new(
        web: &WebInner,
        viewer: &Viewer,
        layout: Layout,
        (uri, headers): (&Uri, &HeaderMap),
        name: &AccountName,
        secret: &RandomSecret,
    ) -> Self {
        let hours = web.access().link_lifetime().as_secs().div_ceil(60 * 60);
        Self {
            layout,
            name: name.to_string(),
            account_url: account_url(name),
            link: full_address(viewer, (uri, headers), &format!("/set-password?link={}", secret.expose())),
            lifetime: counted(hours, "hour", "hours"),
        }
    }
}

/// Returns a path with the address under which the viewer reached the server.
pub(super) fn full_address(viewer: &Viewer, (uri, headers): (&Uri, &HeaderMap), path: &str) -> String {
    let scheme = if viewer.is_https { "https" } else { "http" };
    let host = host_of(uri, headers).unwrap_or_default();
    clean(&format!("{scheme}://{host}{}{path}", base_path::current()))
}

/// Returns the page of an account.
pub(super) fn account_url(name: &AccountName) -> String {
    format!("/accounts/{}", in_url(name.as_str()))
}

/// The page of a link that was used, has expired or never existed.
#[derive(Template)]
#[template(path = "accounts/gone.html")]
pub(super) struct GonePage {
    layout: Layout,
    is_set_up: bool,
}

impl GonePage {
    /// Returns the response for a link for the set-up, or for one for a password.
    pub(super) fn answer(viewer: &Viewer, is_set_up: bool) -> Response {
        let layout = Layout::public(viewer, "Link not valid");
        with_secret_address(with_status(StatusCode::GONE, page(&Self { layout, is_set_up })))
    }
}
