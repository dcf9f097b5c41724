//! The confirmation page before an action on scans. It is a plain form that works without
//! JavaScript.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use kastrel_actors::model::ScanSnapshot;

use super::badge::Badge;
use super::coverage::badge;
use super::layout::Layout;
use crate::web::headers::page;
use crate::web::text::clean;

/// The error if the permission box is not ticked.
pub(crate) const NO_PERMISSION: &str = "Confirm that you have permission to run active plugins.";

/// The confirmation page.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage {
    pub(crate) layout: Layout,
    pub(crate) question: String,
    pub(crate) consequence: String,
    pub(crate) button: String,
    pub(crate) icon: &'static str,
    pub(crate) is_dangerous: bool,
    /// Whether the action affects any scan.
    pub(crate) can_go_on: bool,
    pub(crate) permission: Permission,
    pub(crate) post_url: String,
    pub(crate) back_url: String,
    /// Whether the action returns to `back_url`.
    pub(crate) returns: bool,
    pub(crate) action: &'static str,
    pub(crate) scans: Vec<u64>,
    pub(crate) named: Vec<NamedScan>,
    pub(crate) more: Option<String>,
    pub(crate) left_out: Option<String>,
}

/// The state of the permission to attack in a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// No permission is needed, or it was given.
    NotNeeded,
    /// The page asks for the permission, because active plugins run.
    Asked,
    /// The form was sent without the permission.
    Missing,
}

impl Permission {
    /// Returns the state of the permission. `confirmed`: the question was confirmed; `given`: the
    /// permission box was ticked.
    pub(crate) const fn of(needs_permission: bool, confirmed: bool, given: bool) -> Self {
        match (needs_permission, confirmed, given) {
            (false, _, _) | (true, _, true) => Self::NotNeeded,
            (true, true, false) => Self::Missing,
            (true, false, false) => Self::Asked,
        }
    }

    /// Returns whether the page shows the permission box.
    pub(crate) const fn is_asked(self) -> bool {
        !matches!(self, Self::NotNeeded)
    }

    pub(crate) const fn is_missing(self) -> bool {
        matches!(self, Self::Missing)
    }

    pub(crate) const fn error(self) -> Option<&'static str> {
        if self.is_missing() { Some(NO_PERMISSION) } else { None }
    }
}

/// A scan that the question names.
pub(crate) struct NamedScan {
    pub(crate) id: u64,
    pub(crate) target: String,
    pub(crate) state: Badge,
}

impl NamedScan {
    pub(crate) fn new(scan: &ScanSnapshot) -> Self {
        Self {
            id: scan.record.id.0,
            target: clean(&scan.record.request.target.label()),
            state: badge(scan.status(), &scan.coverage()),
        }
    }
}

impl ConfirmPage {
    /// Renders the page. The status is 422 if the permission is missing.
    pub(crate) fn answer(&self) -> Response {
        let mut response = page(self);
        if self.permission.is_missing() {
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_is_requested_until_it_is_given() {
        for (needs, confirmed, given, expected) in [
            (false, false, false, Permission::NotNeeded),
            (false, true, false, Permission::NotNeeded),
            (true, false, false, Permission::Asked),
            (true, true, false, Permission::Missing),
            (true, true, true, Permission::NotNeeded),
            (true, false, true, Permission::NotNeeded),
        ] {
            assert_eq!(Permission::of(needs, confirmed, given), expected, "{needs} {confirmed} {given}");
        }
    }
}
