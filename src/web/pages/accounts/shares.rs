//! The shares of a scan: their list and form on the page of the scan, the page of a form with
//! errors, and what the page says to a viewer who sees the scan by a share.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{Grantee, Operation, ScanRecord, Share, ShareRight};
use kastrel_actors::policy::access::decide;

use super::fields::{Accounts, Errors, Fields, Input, Select, with_status};
use crate::service::access::{ReceivedShare, ShareRequest};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::pages::rights::ScanRights;
use crate::web::path::{PathId, no_scan};
use crate::web::state::WebInner;
use crate::web::text::{MomentText, clean};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// The longest validity of a share, in days.
const MOST_DAYS: u32 = 365;

/// A share.
#[derive(Debug, Clone)]
pub(crate) struct ShareRow {
    /// Who has the right, in words: `user ana`.
    pub(crate) who: String,
    /// The same as the form sends it: `user:ana`.
    pub(crate) grantee: String,
    pub(crate) right: &'static str,
    pub(crate) created_by: String,
    pub(crate) created: MomentText,
    pub(crate) expires: Option<MomentText>,
}

/// The form of a new share.
#[derive(Debug, Clone)]
pub(crate) struct ShareForm {
    pub(crate) kind: Select,
    pub(crate) name: Input,
    pub(crate) right: Select,
    pub(crate) days: Input,
}

/// The shares of a scan, for a viewer who manages them.
#[derive(Debug, Clone)]
pub(crate) struct ShareSection {
    /// The address of the form.
    pub(crate) url: String,
    pub(crate) rows: Vec<ShareRow>,
    pub(crate) form: ShareForm,
}

impl ShareSection {
    /// Returns the section of a scan's page. A viewer who may not share the scan sees none; nor
    /// does anybody while the store does not respond, or on a server without accounts.
    pub(crate) async fn of(web: &WebInner, viewer: &Viewer, record: &ScanRecord) -> Option<Self> {
        if !web.has_accounts() || !ScanRights::of(&viewer.context.grants, record).can_share {
            return None;
        }
        let shares = web.access().shares(&viewer.context, record.id).await.ok()?;
        Some(Self::new(&shares, record, &web.clock(viewer), &Fields::default(), &mut Errors::default()))
    }

    fn new(shares: &[Share], record: &ScanRecord, clock: &WallClock, typed: &Fields, errors: &mut Errors) -> Self {
        Self {
            url: format!("/scans/{}/shares", record.id),
            rows: shares.iter().map(|share| ShareRow::new(share, clock)).collect(),
            form: ShareForm::new(typed, errors),
        }
    }
}

impl ShareRow {
    fn new(share: &Share, clock: &WallClock) -> Self {
        Self {
            who: in_words(&share.grantee),
            grantee: share.grantee.to_string(),
            right: share.right.as_str(),
            created_by: share.created_by.to_string(),
            created: clock.moment(share.created_at),
            expires: share.expires_at.map(|at| clock.moment(at)),
        }
    }
}

/// Names a grantee.
fn in_words(grantee: &Grantee) -> String {
    match grantee {
        Grantee::User(name) => format!("user {name}"),
        Grantee::Project(id) => format!("project {id}"),
    }
}

impl ShareForm {
    fn new(typed: &Fields, errors: &mut Errors) -> Self {
        let options = |names: &[(&str, &str)]| {
            names.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect::<Vec<_>>()
        };
        let rights = [("view", "View"), ("edit", "Edit")];
        Self {
            kind: Select::new(
                "kind",
                "Share with",
                options(&[("user", "User"), ("project", "Project")]),
                typed.text("kind"),
                errors,
            ),
            name: Input { error: errors.take("grantee"), ..Input::text("name", "Name", typed, errors) }
                .with_hint("The name of the user, or the id of the project."),
            right: Select::new("right", "Right", options(&rights), typed.text("right"), errors)
                .with_hint("Edit: also cancel the scan and regenerate its report."),
            // The form of public links on the same page has a field `days`.
            days: Input {
                error: errors.take("days"),
                ..Input::number("share_days", "Valid for (days)", (1, MOST_DAYS), typed, errors)
            }
            .optional()
            .with_hint("Empty: until you revoke it."),
        }
    }
}

/// What the page of a scan says to a viewer who has no role in its project.
#[derive(Debug, Clone)]
pub(crate) struct SharedNotice {
    /// Who shared it.
    pub(crate) by: String,
    /// The project of the viewer with which it is shared, if it is not the viewer alone.
    pub(crate) project: Option<String>,
    pub(crate) right: &'static str,
    pub(crate) expires: Option<MomentText>,
}

impl SharedNotice {
    /// Returns the notice of a scan's page; none if the viewer's role opens the scan, or while the
    /// store does not respond.
    pub(crate) async fn of(web: &WebInner, viewer: &Viewer, record: &ScanRecord) -> Option<Self> {
        let who = viewer.signed_in.as_ref()?;
        if decide(&viewer.context.grants, Operation::ReadScans, Some(&record.project)).is_ok() {
            return None;
        }
        let received = web.access().received_shares(who).await.ok()?;
        let received = received.into_iter().find(|one| one.share.scan == record.id)?;
        Some(Self::new(&received, &web.clock(viewer)))
    }

    pub(crate) fn new(received: &ReceivedShare, clock: &WallClock) -> Self {
        let share = &received.share;
        Self {
            by: creator(share),
            project: match &share.grantee {
                Grantee::User(_) => None,
                Grantee::Project(id) => Some(id.to_string()),
            },
            right: received.right.as_str(),
            expires: share.expires_at.map(|at| clock.moment(at)),
        }
    }
}

/// Returns the name of who created a share.
fn creator(share: &Share) -> String {
    share.created_by.account().map_or_else(|| share.created_by.to_string(), ToString::to_string)
}

/// The page of a form with errors.
#[derive(Template)]
#[template(path = "accounts/shares.html")]
struct SharesPage {
    layout: Layout,
    id: u64,
    target: String,
    notice: Option<Notice>,
    shares: ShareSection,
}

/// Shares a scan, and leads back to its page.
pub(crate) async fn create(
    Accounts(web): Accounts,
    viewer: Viewer,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, Problem> {
    let of = |name: &str, usual: &str| match fields.text(name) {
        "" => usual.to_owned(),
        text => text.to_owned(),
    };
    let request = ShareRequest {
        grantee: format!("{}:{}", of("kind", "user"), fields.text("name")),
        right: of("right", ShareRight::View.as_str()),
        // No number of days is 0, so the service refuses what is no number.
        days: match fields.text("share_days") {
            "" => None,
            text => Some(text.parse().unwrap_or(0)),
        },
    };
    match web.access().create_share(&viewer.context, id, request).await {
        Ok(_) => Ok(Redirect::to(&format!("/scans/{id}#shares")).into_response()),
        Err(error) => {
            let mut errors = Errors::from_service(error)?;
            let (status, clock) = (errors.status(), web.clock(&viewer));
            let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
            let shares = web.access().shares(&viewer.context, id).await?;
            let shown = SharesPage {
                layout: Layout::of(&web, &viewer, Here::Scans, format!("Shares of scan {id}")).await,
                id: id.0,
                target: clean(&scan.record.request.target.label()),
                shares: ShareSection::new(&shares, &scan.record, &clock, &fields, &mut errors),
                notice: errors.notice(),
            };
            Ok(with_status(status, page(&shown)))
        }
    }
}

/// Revokes a share.
pub(crate) async fn revoke(
    Accounts(web): Accounts,
    viewer: Viewer,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, Problem> {
    if web.access().revoke_share(&viewer.context, id, fields.text("grantee")).await? {
        Ok(Redirect::to(&format!("/scans/{id}#shares")).into_response())
    } else {
        Err(Problem::not_found("share not found"))
    }
}
