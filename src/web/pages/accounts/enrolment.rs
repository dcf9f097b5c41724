//! The page on which an authenticator app gets its secret, and the page with new recovery codes.
//! The profile and the sign-in have them both.

use askama::Template;
use axum::http::{HeaderMap, Uri};

use super::fields::{Errors, Input};
use super::qr::QrImage;
use crate::identity::recovery_code::RecoveryCode;
use crate::service::access::Enrolment;
use crate::web::hosts::host_of;
use crate::web::pages::layout::{Layout, Notice};
use crate::web::text::clean;

/// The page of a second factor that is not confirmed yet.
#[derive(Template)]
#[template(path = "accounts/enrolment.html")]
pub(super) struct EnrolmentPage {
    layout: Layout,
    notice: Option<Notice>,
    account: String,
    /// Whether the account must have a second factor, and the sign-in waits for it.
    is_sign_in: bool,
    qr: Option<QrImage>,
    /// The secret in groups, for people who type it.
    secret: String,
    uri: String,
    sealed: String,
    code: Input,
    post_url: &'static str,
    /// The path to which a sign-in leads.
    next: String,
}

impl EnrolmentPage {
    /// Returns the page on the profile.
    pub(super) fn on_profile(layout: Layout, enrolment: &Enrolment, issuer: &str, errors: &mut Errors) -> Self {
        Self::new(layout, enrolment, issuer, errors, "/profile/second-factor/confirm")
    }

    /// Returns the page of a sign-in.
    pub(super) fn at_sign_in(
        layout: Layout,
        enrolment: &Enrolment,
        issuer: &str,
        errors: &mut Errors,
        next: &str,
    ) -> Self {
        let page = Self::new(layout, enrolment, issuer, errors, "/login/second-factor");
        Self { is_sign_in: true, next: clean(next), ..page }
    }

    fn new(layout: Layout, enrolment: &Enrolment, issuer: &str, errors: &mut Errors, post_url: &'static str) -> Self {
        let Enrolment { account, secret, sealed } = enrolment;
        let uri = secret.uri(issuer, account.as_str());
        Self {
            layout,
            account: account.to_string(),
            is_sign_in: false,
            qr: QrImage::of(&uri),
            secret: grouped(&secret.base32()),
            uri: uri.to_string(),
            sealed: sealed.clone(),
            code: Input::code(errors).focused(),
            post_url,
            next: String::new(),
            notice: errors.notice(),
        }
    }
}

/// Returns the name under which an app shows the account: Kastrel, and the host under which the
/// viewer reaches this server.
pub(super) fn issuer(uri: &Uri, headers: &HeaderMap) -> String {
    let host = host_of(uri, headers).map(clean).unwrap_or_default();
    format!("Kastrel {host}").trim().to_owned()
}

/// Returns a text in groups of 4 characters. All characters are ASCII.
fn grouped(text: &str) -> String {
    let groups: Vec<String> = text.chars().collect::<Vec<_>>().chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

/// The page with new recovery codes, which are shown once.
#[derive(Template)]
#[template(path = "accounts/recovery_codes.html")]
pub(super) struct RecoveryCodesPage {
    layout: Layout,
    title: &'static str,
    /// The codes, one a line.
    codes: String,
    /// The page to which the button leads.
    next: String,
}

impl RecoveryCodesPage {
    pub(super) fn new(layout: Layout, title: &'static str, codes: &[RecoveryCode], next: &str) -> Self {
        let codes: Vec<&str> = codes.iter().map(RecoveryCode::expose).collect();
        Self { layout, title, codes: codes.join("\n"), next: clean(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_shown_in_groups() {
        assert_eq!(grouped("GEZDGNBVGY"), "GEZD GNBV GY");
    }
}
