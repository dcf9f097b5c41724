//! The page of one scan: where it stands, what it found, what became of each attempt.

use std::borrow::Cow;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::desk::CancelOutcome;
use kastrel_actors::model::{CancelledBy, ScanRecord, ScanSnapshot, ScanState, ScanStatus};
use kastrel_actors::policy::hindrance::Hindrance;

use super::badge::Badge;
use super::layout::Layout;
use super::scan_list::to_scan;
use crate::web::api::wire::plugins_of;
use crate::web::assets;
use crate::web::error::Problem;
use crate::web::files::{PDF_REPORT, REPORT, list, log_tail};
use crate::web::headers::page;
use crate::web::path::{PathId, no_scan};
use crate::web::state::{Web, WebInner};
use crate::web::text::{MomentText, clean, duration};
use crate::web::trace::RequestTrace;

mod rows;
use rows::{AttemptRow, Fact, PluginRow, facts, waiting_text};

/// The page of one scan.
#[derive(Template)]
#[template(path = "scan_detail.html")]
pub(crate) struct ScanDetailPage {
    layout: Layout,
    id: u64,
    target: String,
    badge: Badge,
    notice: Option<Notice>,
    live: Option<Live>,
    waiting: Option<String>,
    error: Option<String>,
    created: MomentText,
    started: Option<MomentText>,
    ended: Option<MomentText>,
    duration: String,
    facts: Vec<Fact>,
    plugins: Vec<PluginRow>,
    attempts: Vec<AttemptRow>,
    results: Results,
    can_cancel: bool,
    is_cancelling: bool,
    trace_id: String,
}

/// A sentence above everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Notice {
    kind: &'static str,
    text: Cow<'static, str>,
}

/// What keeps the page up to date.
struct Live {
    script_url: String,
    status_url: String,
    poll_ms: u128,
    /// For browsers without script.
    refresh_seconds: u64,
    scan_badges: Vec<Badge>,
    plugin_badges: Vec<Badge>,
}

/// What the last attempt left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Results {
    report: bool,
    pdf_url: Option<String>,
    has_files: bool,
    log: Vec<String>,
    /// Whether more may come, or not all has arrived where this page looks.
    partial: bool,
}

/// Shows a scan.
pub(crate) async fn show(State(web): State<Web>, PathId(id): PathId, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let scan = web.desk().scan(id).await?.ok_or_else(no_scan)?;
    let results = results_of(&web, &scan.record).await;
    let hindrances = if scan.status() == ScanStatus::Pending { web.desk().hindrances(&scan.record.request).await } else { Vec::new() };
    let notice = waiting_notice(notice_of(query.as_deref().unwrap_or_default()), &hindrances);
    Ok(page(&ScanDetailPage::new(&web, &scan, results, notice)))
}

/// Asks for a scan's end, and shows it.
pub(crate) async fn cancel(State(web): State<Web>, PathId(id): PathId) -> Result<Response, Problem> {
    let notice = match web.desk().cancel(id, CancelledBy::User).await? {
        CancelOutcome::Cancelled(_) => "cancelled",
        CancelOutcome::Requested(_) => "cancelling",
        CancelOutcome::AlreadyEnded(_) => "ended",
        CancelOutcome::Missing => return Err(no_scan()),
    };
    Ok(Redirect::to(&format!("/scans/{id}?notice={notice}")).into_response())
}

/// Submits a scan's request once more, and shows the new scan.
pub(crate) async fn rerun(State(web): State<Web>, trace: RequestTrace, PathId(id): PathId) -> Result<Response, Problem> {
    let accepted = web.desk().rerun(id, trace.0).await?.ok_or_else(no_scan)?;
    Ok(to_scan(&accepted))
}

impl ScanDetailPage {
    fn new(web: &WebInner, scan: &ScanSnapshot, results: Results, notice: Option<Notice>) -> Self {
        let record = &scan.record;
        let (target, status) = (clean(&record.request.target.to_string()), record.status());
        let until = record.ended_at().unwrap_or_else(|| web.now());
        let live = (!status.is_terminal()).then(|| Live {
            script_url: assets::url("scan.js"),
            status_url: format!("/api/scans/{}/status", record.id),
            poll_ms: web.state.poll_interval.as_millis(),
            refresh_seconds: web.state.poll_interval.as_secs().max(1),
            scan_badges: Badge::of_scans(),
            plugin_badges: Badge::of_plugins(),
        });
        Self {
            layout: Layout::of(web, format!("Scan {} of {target}", record.id)),
            id: record.id.0,
            badge: status.into(),
            // What was true when the form was sent may be over when the page is looked at again.
            notice: notice.filter(|notice| live.is_some() || notice.kind != "submitted"),
            live,
            waiting: waiting_text(&record.state, web.state.max_attempts, record.failures),
            error: match &record.state {
                ScanState::Failed { failure, .. } => Some(clean(&failure.detail)),
                ScanState::Pending { .. } | ScanState::Running { .. } | ScanState::Completed { .. } | ScanState::Cancelled { .. } => None,
            },
            created: record.created_at.into(),
            started: record.started_at.map(Into::into),
            ended: record.ended_at().map(Into::into),
            duration: record.started_at.map_or_else(|| "–".into(), |started| duration(until.duration_since(started))),
            facts: facts(record),
            plugins: plugins_of(scan).iter().map(Into::into).collect(),
            attempts: record.attempts.iter().map(|attempt| AttemptRow::new(attempt, web.now())).collect(),
            results,
            can_cancel: !status.is_terminal() && record.cancel_requested.is_none(),
            is_cancelling: !status.is_terminal() && record.cancel_requested.is_some(),
            trace_id: record.trace.trace_id(),
            target,
        }
    }
}

async fn results_of(web: &WebInner, record: &ScanRecord) -> Results {
    let Some(attempt) = record.last_attempt().map(|attempt| attempt.number) else { return Results::default() };
    let base = format!("/scans/{}/attempts/{attempt}/files", record.id);
    // The page is about the scan; without its files it is still worth showing.
    let (listing, log) = tokio::join!(list(web, record, attempt), log_tail(web, record, attempt));
    let Ok(listing) = listing else { return Results { log, ..Results::default() } };
    Results {
        report: listing.has(REPORT),
        pdf_url: listing.has(PDF_REPORT).then(|| format!("{base}/{PDF_REPORT}")),
        has_files: true,
        log,
        partial: listing.partial,
    }
}

/// A scan that waits says why, unless there is something else to say that it was not asked for.
fn waiting_notice(asked: Option<Notice>, hindrances: &[Hindrance]) -> Option<Notice> {
    if hindrances.is_empty() || asked.as_ref().is_some_and(|notice| notice.kind != "submitted") {
        return asked;
    }
    let why = hindrances.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Some(Notice { kind: "warning", text: clean(&format!("The scan is accepted and stored, but {why}.")).into() })
}

/// The notice that a redirect asked for: one of ours, never text from the address.
fn notice_of(query: &str) -> Option<Notice> {
    let has = |pair: &str| query.split('&').any(|one| one == pair);
    let notice = |kind, text: &'static str| Some(Notice { kind, text: text.into() });
    if has("submitted=1") && has("queue=silent") {
        notice("warning", "The scan is accepted and stored, but the job queue does not answer. The scan starts by itself when the queue is back.")
    } else if has("submitted=1") {
        notice("submitted", "The scan is accepted. This page shows its progress by itself; you can leave and come back at any time.")
    } else if has("notice=cancelled") {
        notice("done", "The scan is cancelled.")
    } else if has("notice=cancelling") {
        notice("submitted", "The scan is being ended.")
    } else if has("notice=ended") {
        notice("warning", "The scan had already ended; there was nothing to cancel.")
    } else {
        None
    }
}

#[cfg(test)]
#[path = "scan_detail_tests.rs"]
mod tests;
