//! The public links of a scan: their list and form on the page of the scan, the page that shows a
//! new one, and the page of a form with errors.

use askama::Template;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{PublicLinkId, ScanRecord, ScanStatus};

use super::fields::{Accounts, Errors, Fields, Input, with_status};
use super::link_password::link_path;
use super::links::full_address;
use crate::service::access::{LinkPause, ListedLink, PublicLinkRequest};
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::pages::rights::ScanRights;
use crate::web::path::{PathId, no_scan};
use crate::web::state::WebInner;
use crate::web::text::{MomentText, clean, counted};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// The longest lifetime of a link, and the usual one, in days.
const MOST_DAYS: u32 = 365;
const USUAL_DAYS: &str = "7";

/// A public link.
#[derive(Debug, Clone)]
pub(crate) struct LinkRow {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) created_by: String,
    pub(crate) created: MomentText,
    pub(crate) expires: MomentText,
    pub(crate) is_expired: bool,
    /// Why it opens nothing although it has not expired.
    pub(crate) pause: Option<&'static str>,
    pub(crate) has_password: bool,
    /// How often it was opened: `3 times`.
    pub(crate) opened: String,
    pub(crate) opened_at: Option<MomentText>,
}

/// The form of a new link.
#[derive(Debug, Clone)]
pub(crate) struct LinkForm {
    pub(crate) label: Input,
    pub(crate) days: Input,
    pub(crate) password: Input,
}

/// The public links of a scan, for a viewer who manages them.
#[derive(Debug, Clone)]
pub(crate) struct LinkSection {
    /// The address of the form.
    pub(crate) url: String,
    pub(crate) rows: Vec<LinkRow>,
    /// `None` while the scan is queued.
    pub(crate) form: Option<LinkForm>,
}

impl LinkSection {
    /// Returns the section of a scan's page. A viewer who may not share the scan sees none; nor
    /// does anybody while the store does not respond, or on a server without accounts.
    pub(crate) async fn of(web: &WebInner, viewer: &Viewer, record: &ScanRecord) -> Option<Self> {
        if !web.has_accounts() || !ScanRights::of(&viewer.context.grants, record).can_share {
            return None;
        }
        let links = web.access().public_links(&viewer.context, record.id).await.ok()?;
        Some(Self::new(&links, record, &web.clock(viewer), &Fields::default(), &mut Errors::default()))
    }

    fn new(links: &[ListedLink], record: &ScanRecord, clock: &WallClock, typed: &Fields, errors: &mut Errors) -> Self {
        let form = (record.status() != ScanStatus::Pending).then(|| LinkForm::new(typed, errors));
        Self {
            url: format!("/scans/{}/links", record.id),
            rows: links.iter().map(|link| LinkRow::new(link, clock)).collect(),
            form,
        }
    }
}

impl LinkRow {
    fn new(listed: &ListedLink, clock: &WallClock) -> Self {
        let ListedLink { link, pause } = listed;
        let is_expired = link.expires_at <= clock.now;
        Self {
            id: link.id.to_string(),
            label: clean(&link.label),
            created_by: link.created_by.to_string(),
            created: clock.moment(link.created_at),
            expires: clock.moment(link.expires_at),
            is_expired,
            pause: pause.filter(|_| !is_expired).map(|pause| match pause {
                LinkPause::CreatorDisabled => "paused: its creator is disabled",
                LinkPause::CreatorLacksRole => "paused: its creator may not share scans here any more",
            }),
            has_password: link.password_hash.is_some(),
            opened: counted(link.opened, "time", "times"),
            opened_at: link.opened_at.map(|at| clock.moment(at)),
        }
    }
}

impl LinkForm {
    fn new(typed: &Fields, errors: &mut Errors) -> Self {
        let days = Input::number("days", "Valid for (days)", (1, MOST_DAYS), typed, errors);
        Self {
            label: Input::text("label", "Label", typed, errors).optional().with_hint("What the link is for."),
            password: Input::password("password", "Password", "new-password", errors)
                .optional()
                .with_hint("Visitors must enter it: at least 12 characters. Empty: the link alone opens the scan."),
            days: Input { value: if days.value.is_empty() { USUAL_DAYS.into() } else { days.value.clone() }, ..days },
        }
    }
}

/// The page with a new link, which is shown once.
#[derive(Template)]
#[template(path = "accounts/new_public_link.html")]
struct NewPublicLinkPage {
    layout: Layout,
    id: u64,
    label: String,
    link: String,
    has_password: bool,
    expires: MomentText,
}

/// The page of a form with errors.
#[derive(Template)]
#[template(path = "accounts/public_links.html")]
struct PublicLinksPage {
    layout: Layout,
    id: u64,
    target: String,
    notice: Option<Notice>,
    links: LinkSection,
}

/// Creates a link, and shows it.
pub(crate) async fn create(
    Accounts(web): Accounts,
    viewer: Viewer,
    PathId(id): PathId,
    uri: Uri,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    let request = PublicLinkRequest {
        label: fields.text("label").to_owned(),
        // No number of days is 0, so the service refuses what is no number.
        days: match fields.text("days") {
            "" => None,
            text => Some(text.parse().unwrap_or(0)),
        },
        password: (!fields.is_empty("password")).then(|| fields.password("password")),
    };
    match web.access().create_public_link(&viewer.context, id, request).await {
        Ok((secret, link)) => {
            let shown = NewPublicLinkPage {
                layout: Layout::of(&web, &viewer, Here::Scans, format!("Public link of scan {id}")).await,
                id: id.0,
                label: clean(&link.label),
                link: full_address(&viewer, (&uri, &headers), &link_path(&secret)),
                has_password: link.password_hash.is_some(),
                expires: web.clock(&viewer).moment(link.expires_at),
            };
            Ok(page(&shown))
        }
        Err(error) => {
            let mut errors = Errors::from_service(error)?;
            let (status, clock) = (errors.status(), web.clock(&viewer));
            let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
            let links = web.access().public_links(&viewer.context, id).await?;
            let shown = PublicLinksPage {
                layout: Layout::of(&web, &viewer, Here::Scans, format!("Public links of scan {id}")).await,
                id: id.0,
                target: clean(&scan.record.request.target.label()),
                links: LinkSection::new(&links, &scan.record, &clock, &fields, &mut errors),
                notice: errors.notice(),
            };
            Ok(with_status(status, page(&shown)))
        }
    }
}

/// Revokes a link.
pub(crate) async fn revoke(
    Accounts(web): Accounts,
    viewer: Viewer,
    PathId(id): PathId,
    fields: Fields,
) -> Result<Response, Problem> {
    let link: PublicLinkId =
        fields.text("id").parse().map_err(|_| Problem::new(ProblemKind::Malformed, "the form names no link"))?;
    if web.access().revoke_public_link(&viewer.context, id, &link).await? {
        Ok(Redirect::to(&format!("/scans/{id}#public-links")).into_response())
    } else {
        Err(Problem::not_found("link not found"))
    }
}
