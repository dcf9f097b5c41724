//! The pages of a public link: the summary of its scan, the report, and the files of its attempts.
//! They show nothing else: no other scan, no account, no project, no node and no setting.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawPathParams, RawQuery};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::{AttemptNumber, ScanSnapshot, ScanState};
use kastrel_actors::policy::reports;

use super::findings::{self, SeverityGroup};
use super::rows::PluginRow;
use crate::identity::cookie::read_link;
use crate::identity::secret::RandomSecret;
use crate::ports::Artifact;
use crate::service::access::{LinkAccess, LinkVisit};
use crate::web::error::Problem;
use crate::web::files::{FileRequest, PDF_REPORT, REPORT, list, notice_of, respond};
use crate::web::headers::page;
use crate::web::pages::accounts::Accounts;
use crate::web::pages::accounts::link_password::{ask, cookie_path, gone, link_path, secret_of};
use crate::web::pages::badge::{Badge, SeverityChip, severities};
use crate::web::pages::coverage::{CoverageView, badge, issues_text, no_issues};
use crate::web::pages::report::newest;
use crate::web::pages::shared_frame::SharedFrame;
use crate::web::path::part;
use crate::web::state::WebInner;
use crate::web::text::{MomentText, clean, duration, in_url, size, words};
use crate::web::viewer::Viewer;

/// How many attempts are listed, newest first.
const LISTED: usize = 10;

/// The summary of a scan.
#[derive(Template)]
#[template(path = "shared/scan.html")]
struct SharedScanPage {
    frame: SharedFrame,
    target: String,
    badge: Badge,
    mode: &'static str,
    is_dry_run: bool,
    /// Why the scan failed, in a few words. The details can name a node or an account.
    failure: Option<String>,
    coverage: CoverageView,
    outcome: String,
    no_issues: String,
    severities: Vec<SeverityChip>,
    started: Option<MomentText>,
    ended: Option<MomentText>,
    duration: String,
    groups: Vec<SeverityGroup>,
    plugins: Vec<PluginRow>,
    report_url: Option<String>,
    pdf_url: Option<String>,
    /// A sentence about a requested report that the scanner did not write.
    missing_report: Option<&'static str>,
    /// A sentence about results that the report does not have.
    kept: Option<String>,
    attempts: Vec<SharedAttempt>,
    expires: MomentText,
}

/// The files of an attempt.
struct SharedAttempt {
    number: u32,
    files: Vec<SharedFile>,
    notice: Option<&'static str>,
    /// `1,000 of 1,506 shown`, if not all files are shown.
    cut: Option<String>,
}

struct SharedFile {
    path: String,
    url: String,
    size: String,
}

/// The report of a scan, in a frame that runs no scripts.
#[derive(Template)]
#[template(path = "shared/report.html")]
struct SharedReportPage {
    frame: SharedFrame,
    target: String,
    attempt: u32,
    summary_url: String,
    frame_url: String,
    pdf_url: Option<String>,
    /// A sentence about results that the report does not have.
    kept: Option<String>,
}

/// What a request for a public link gets.
enum Gate {
    /// The scan.
    Open(Box<Visitor>),
    /// The page that requests the password.
    Locked(RandomSecret),
    /// The page of a link that opens nothing.
    Gone,
}

/// A visitor who may see the scan.
struct Visitor {
    secret: RandomSecret,
    visit: LinkVisit,
    scan: Arc<ScanSnapshot>,
}

impl Gate {
    async fn of(web: &WebInner, viewer: &Viewer, path: &RawPathParams, headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(secret) = secret_of(path) else { return Ok(Self::Gone) };
        let pass = read_link(headers, viewer.is_https, &cookie_path(&secret));
        match web.access().visit(&secret, pass.as_ref(), viewer.context.trace).await? {
            None => Ok(Self::Gone),
            Some(LinkAccess::PasswordNeeded) => Ok(Self::Locked(secret)),
            Some(LinkAccess::Open(visit)) => {
                let scan = web.scans().scan(&visit.context, visit.link.scan).await?;
                Ok(scan.map_or(Self::Gone, |scan| Self::Open(Box::new(Visitor { secret, visit: *visit, scan }))))
            }
        }
    }
}

/// Returns the path of the files of an attempt, with a slash at its end.
fn files_path(secret: &RandomSecret, attempt: AttemptNumber) -> String {
    format!("{}/files/{attempt}/", link_path(secret))
}

/// Shows the summary of the scan.
pub(crate) async fn show(
    Accounts(web): Accounts,
    viewer: Viewer,
    path: RawPathParams,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visitor = match Gate::of(&web, &viewer, &path, &headers).await? {
        Gate::Open(visitor) => visitor,
        Gate::Locked(secret) => return Ok(ask(&viewer, &secret)),
        Gate::Gone => return Ok(gone(&viewer)),
    };
    // A request for the headers alone shows nothing.
    if method != Method::HEAD && !web.access().record_visit(&visitor.visit, viewer.address).await? {
        return Ok(gone(&viewer));
    }
    Ok(page(&SharedScanPage::of(&web, &viewer, &visitor).await))
}

/// Shows the HTML report of the newest attempt that has a report, or leads to its PDF report.
pub(crate) async fn report(
    Accounts(web): Accounts,
    viewer: Viewer,
    path: RawPathParams,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visitor = match Gate::of(&web, &viewer, &path, &headers).await? {
        Gate::Open(visitor) => visitor,
        Gate::Locked(secret) => return Ok(Redirect::to(&link_path(&secret)).into_response()),
        Gate::Gone => return Ok(gone(&viewer)),
    };
    let record = &visitor.scan.record;
    let Some((attempt, found)) = newest(&web, record).await? else { return Err(Problem::not_found("no report")) };
    let base = files_path(&visitor.secret, attempt);
    if !found.html {
        return Ok(Redirect::to(&format!("{base}{PDF_REPORT}")).into_response());
    }
    let target = clean(&record.request.target.label());
    Ok(page(&SharedReportPage {
        frame: SharedFrame::new(&viewer, format!("Report of {target}")),
        target,
        attempt: attempt.0,
        summary_url: link_path(&visitor.secret),
        frame_url: format!("{base}{REPORT}"),
        pdf_url: found.pdf.then(|| format!("{base}{PDF_REPORT}")),
        kept: reports::kept_note(record, visitor.scan.last_plugins()),
    }))
}

/// Serves a file of an attempt, in the same sandbox as without a link.
pub(crate) async fn file(
    Accounts(web): Accounts,
    viewer: Viewer,
    path: RawPathParams,
    RawQuery(query): RawQuery,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let visitor = match Gate::of(&web, &viewer, &path, &headers).await? {
        Gate::Open(visitor) => visitor,
        Gate::Locked(secret) => return Ok(Redirect::to(&link_path(&secret)).into_response()),
        Gate::Gone => return Ok(gone(&viewer)),
    };
    let Ok(attempt) = part(&path, "n").parse().map(AttemptNumber) else {
        return Err(Problem::not_found("file not found"));
    };
    let request = FileRequest {
        attempt,
        path: part(&path, "path"),
        folder: files_path(&visitor.secret, attempt),
        query: query.as_deref(),
        method: &method,
        uri: &uri,
        headers: &headers,
        is_of_program: false,
        visit: Some((&visitor.visit, viewer.address)),
    };
    respond(&web, &visitor.visit.context, &visitor.scan.record, &request).await
}

impl SharedScanPage {
    async fn of(web: &WebInner, viewer: &Viewer, visitor: &Visitor) -> Self {
        let (scan, secret) = (visitor.scan.as_ref(), &visitor.secret);
        let (record, plugins, clock) = (&scan.record, scan.last_plugins(), web.clock(viewer));
        let status = record.status();
        let overview = scan.overview();
        let catalogue = web.catalogue();
        let settled = record.last_attempt().and_then(|attempt| attempt.ended_at).or_else(|| record.ended_at());
        // The page is about the scan, and is still useful without its files.
        let found = newest(web, record).await.ok().flatten();
        let has = found.map(|(_, found)| found).unwrap_or_default();
        let attempts = attempts_of(web, visitor).await;
        let is_sure = attempts.first().is_none_or(|attempt| attempt.notice.is_none());
        let target = clean(&record.request.target.label());
        Self {
            frame: SharedFrame::new(viewer, format!("Scan of {target}")),
            target,
            badge: badge(status, &overview.coverage),
            mode: record.request.options.mode.as_str(),
            is_dry_run: record.request.options.dry_run,
            failure: match &record.state {
                ScanState::Failed { failure, .. } => Some(words(failure.kind.as_str())),
                ScanState::Pending { .. }
                | ScanState::Running { .. }
                | ScanState::Completed { .. }
                | ScanState::Cancelled { .. } => None,
            },
            coverage: CoverageView::of(scan, &overview),
            outcome: issues_text(status, &overview),
            no_issues: no_issues(scan, &overview.coverage),
            severities: severities(overview.severities),
            started: record.started_at.map(|at| clock.moment(at)),
            ended: record.ended_at().map(|at| clock.moment(at)),
            duration: overview.duration(clock.now).map(duration).unwrap_or_default(),
            groups: findings::group(plugins, catalogue.as_deref()),
            plugins: plugins.iter().map(|plugin| PluginRow::new(record.id, plugin, settled, clock.now)).collect(),
            report_url: found.map(|_| format!("{}/report", link_path(secret))),
            pdf_url: found
                .filter(|(_, found)| found.pdf)
                .map(|(attempt, _)| format!("{}{PDF_REPORT}", files_path(secret, attempt))),
            missing_report: if is_sure && status.is_terminal() { reports::missing_of(record, has) } else { None },
            kept: reports::kept_note(record, plugins),
            attempts,
            expires: clock.moment(visitor.visit.link.expires_at),
        }
    }
}

/// Returns the files of the newest attempts.
async fn attempts_of(web: &WebInner, visitor: &Visitor) -> Vec<SharedAttempt> {
    let record = &visitor.scan.record;
    let mut attempts = Vec::new();
    for attempt in record.attempts.iter().rev().take(LISTED) {
        let base = files_path(&visitor.secret, attempt.number);
        let row = |entry: Artifact| SharedFile {
            url: format!("{base}{}", in_url(&entry.path)),
            path: clean(&entry.path),
            size: size(entry.size),
        };
        let listing = list(web, record, attempt.number).await;
        let notice = notice_of(&listing);
        let listing = listing.unwrap_or_default();
        attempts.push(SharedAttempt {
            number: attempt.number.0,
            cut: listing.cut(),
            files: listing.files.into_iter().map(row).collect(),
            notice,
        });
    }
    attempts
}
