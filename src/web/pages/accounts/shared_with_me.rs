//! The scans that are shared with the viewer.

use askama::Template;
use axum::extract::RawQuery;
use axum::response::Response;
use url::form_urlencoded;

use super::fields::Accounts;
use super::shares::SharedNotice;
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::badge::Badge;
use crate::web::pages::coverage::badge;
use crate::web::pages::layout::{Here, Layout};
use crate::web::shared_scans::SharedScans;
use crate::web::text::{MomentText, clean};
use crate::web::viewer::Viewer;

/// The address of the page.
pub(crate) const PATH: &str = "/shared-with-me";

/// How many scans a page has.
const PER_PAGE: usize = 50;

/// The page.
#[derive(Template)]
#[template(path = "accounts/shared_with_me.html")]
struct SharedWithMePage {
    layout: Layout,
    rows: Vec<Row>,
    /// Whether the page shows older scans, so that it leads back to the newest.
    is_later: bool,
    next_url: Option<String>,
}

/// A scan.
struct Row {
    id: u64,
    target: String,
    badge: Badge,
    submitted: MomentText,
    shared: SharedNotice,
}

/// Shows the page. Its query names the number below which the page begins.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let before = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "before");
    let before = before.and_then(|(_, value)| value.parse().ok());
    let (found, layout) = tokio::join!(
        SharedScans::read(&web, &viewer, before, PER_PAGE),
        Layout::of(&web, &viewer, Here::Shared, "Shared with me")
    );
    let (found, clock) = (found?, web.clock(&viewer));
    let row = |(scan, received): &(std::sync::Arc<kastrel_actors::model::ScanSnapshot>, _)| Row {
        id: scan.record.id.0,
        target: clean(&scan.record.request.target.label()),
        badge: badge(scan.status(), &scan.coverage()),
        submitted: clock.moment(scan.record.created_at),
        shared: SharedNotice::new(received, &clock),
    };
    Ok(page(&SharedWithMePage {
        layout,
        rows: found.scans.iter().map(row).collect(),
        is_later: before.is_some(),
        next_url: found.next_before.map(|before| format!("{PATH}?before={before}")),
    }))
}
