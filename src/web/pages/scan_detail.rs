//! The page of one scan: where it stands, what it found, what became of each attempt, and what can be done now.

use askama::Template;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::desk::CancelOutcome;
use kastrel_actors::model::{CancelledBy, PluginStatus, ReportFormat, ScanRecord, ScanSnapshot, ScanState, SeverityCounts};
use kastrel_actors::policy::waiting::Waiting as Reason;

use super::badge::{Badge, SeverityChip, severities};
use super::bulk::{ConfirmPage, NamedScan};
use super::layout::{Here, Layout, Live, Notice};
use super::new_scan::to_scan;
use super::overview::left_of;
use crate::web::api::submission::unreadable;
use crate::web::api::wire::{count_of, findings_of, plugins_of};
use crate::web::assets;
use crate::web::back::{telling, to_list};
use crate::web::error::{Problem, ProblemKind};
use crate::web::files::{COMMAND, PDF_REPORT, REPORT, Tail, head, list, log_tail, notice_of as notice_of_files};
use crate::web::headers::page;
use crate::web::path::{PathId, no_scan};
use crate::web::removal::{Removal, remove};
use crate::web::state::{Web, WebInner};
use crate::web::text::{MomentText, clean, counted, duration};
use crate::web::trace::RequestTrace;
use crate::web::viewer::Viewer;

pub(crate) mod findings;
pub(crate) mod rows;
mod timeline;
mod zap;
use findings::SeverityGroup;
use rows::{AttemptRow, Fact, PluginRow, Waiting, facts, waiting_text};
use timeline::{TimelineRow, timeline};
use zap::ZapView;

/// How much of a command line is shown.
const MOST_COMMAND_BYTES: u64 = 64 * 1024;

/// The page of one scan.
#[derive(Template)]
#[template(path = "scan_detail.html")]
pub(crate) struct ScanDetailPage {
    layout: Layout,
    id: u64,
    target: String,
    badge: Badge,
    mode: &'static str,
    priority: Option<&'static str>,
    is_dry_run: bool,
    repeats: Option<u64>,
    notice: Option<Notice>,
    live: Option<Live>,
    log_script_url: String,
    waiting: Option<Waiting>,
    error: Option<String>,
    error_kind: String,
    is_cancelling: bool,
    progress: Option<Progress>,
    /// What the plugins did, in a line.
    outcome: String,
    problems: Vec<String>,
    severities: Vec<SeverityChip>,
    created: MomentText,
    started: Option<MomentText>,
    ended: Option<MomentText>,
    duration: String,
    facts: Vec<Fact>,
    groups: Vec<SeverityGroup>,
    plugins: Vec<PluginRow>,
    timeline: Vec<TimelineRow>,
    attempts: Vec<AttemptRow>,
    results: Results,
    can_cancel: bool,
    can_delete: bool,
    can_render: bool,
    trace_id: String,
    trace_url: Option<String>,
}

/// How far a running scan is.
struct Progress {
    percent: Option<usize>,
    text: String,
    since: String,
    elapsed: String,
    left: Option<String>,
    doing: String,
    phase: Option<&'static str>,
    attempt: String,
}

/// What the last attempt left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Results {
    attempt: u32,
    report: bool,
    html_url: String,
    pdf_url: Option<String>,
    has_files: bool,
    /// What to know of the files.
    notice: Option<&'static str>,
    has_info: bool,
    command: Option<String>,
    zap: Option<ZapView>,
    log: Option<Tail>,
}

/// Shows a scan.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer, PathId(id): PathId, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let scan = web.desk().scan(id).await?.ok_or_else(no_scan)?;
    let results = results_of(&web, &scan.record).await;
    let left = left_of(&web, &scan).await;
    let reasons = web.desk().reasons(&scan.record).await;
    let notice = notice_of(query.as_deref().unwrap_or_default());
    let title = format!("Scan {id} of {}", clean(&scan.record.request.target.to_string()));
    let layout = Layout::of(&web, &viewer, Here::Scans, title).await;
    Ok(page(&ScanDetailPage::new(&web, layout, &scan, &reasons, results, left, notice)))
}

/// Asks for a scan's end, and shows it, or the list that it was asked on.
pub(crate) async fn cancel(State(web): State<Web>, _viewer: Viewer, PathId(id): PathId, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let list = to_list(&body.map_err(|rejection| unreadable(&rejection))?);
    let notice = match web.desk().cancel(id, CancelledBy::User).await? {
        CancelOutcome::Cancelled(_) => "cancelled",
        CancelOutcome::Requested(_) => "cancelling",
        CancelOutcome::AlreadyEnded(_) => "ended",
        CancelOutcome::Missing => return Err(no_scan()),
    };
    if list.is_some() {
        let done = usize::from(notice != "ended");
        return Ok(Redirect::to(&telling(list, &format!("done=cancel&n={done}&not={}", 1 - done))).into_response());
    }
    Ok(Redirect::to(&format!("/scans/{id}?notice={notice}")).into_response())
}

/// Submits a scan's request once more, and shows the new scan, or the list that it was asked on.
pub(crate) async fn rerun(
    State(web): State<Web>,
    viewer: Viewer,
    trace: RequestTrace,
    PathId(id): PathId,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let permitted = url::form_urlencoded::parse(&body).any(|(name, value)| name == "confirm" && value == "yes");
    let list = to_list(&body);
    let accepted = web.desk().rerun(viewer.client, id, trace.0, permitted).await?.ok_or_else(no_scan)?;
    Ok(if list.is_some() { Redirect::to(&telling(list, "done=rerun&n=1&not=0")).into_response() } else { to_scan(&accepted) })
}

/// Asks whether a scan shall be deleted.
pub(crate) async fn ask_delete(State(web): State<Web>, viewer: Viewer, PathId(id): PathId) -> Result<Response, Problem> {
    let scan = web.desk().scan(id).await?.ok_or_else(no_scan)?;
    let can_go_on = scan.status().is_terminal();
    Ok(page(&ConfirmPage {
        layout: Layout::of(&web, &viewer, Here::Scans, format!("Delete scan {id}?")).await,
        question: format!("Delete scan {id}?"),
        consequence: if can_go_on {
            "Its results, reports and files are removed. This cannot be undone.".into()
        } else {
            "It has not ended. Cancel it first.".into()
        },
        button: "Delete the scan".into(),
        icon: "trash",
        is_dangerous: true,
        can_go_on,
        post_url: format!("/scans/{id}/delete"),
        back_url: format!("/scans/{id}"),
        returns: false,
        action: "delete",
        scans: Vec::new(),
        named: vec![NamedScan::new(&scan)],
        more: None,
        left_out: None,
    }))
}

/// Deletes a scan that has ended.
pub(crate) async fn delete(State(web): State<Web>, _viewer: Viewer, PathId(id): PathId) -> Result<Response, Problem> {
    match remove(&web, id).await? {
        Removal::Gone { files_left } => Ok(Redirect::to(&telling(None, if files_left { "done=delete&n=1&left=1" } else { "done=delete&n=1" })).into_response()),
        Removal::Refused(record) => Err(Problem::new(ProblemKind::NotEnded, format!("scan {id} is {}; cancel it first", record.status()))),
        Removal::Missing => Err(no_scan()),
    }
}

const NO_RENDERER: &str = "reports are rendered again only by a server that runs the scanner itself and keeps the files of scans in its own folder";

/// Renders the reports of the last attempt once more.
pub(crate) async fn render(State(web): State<Web>, _viewer: Viewer, PathId(id): PathId, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let given = url::form_urlencoded::parse(&body).find(|(name, _)| name == "format").and_then(|(_, value)| value.parse::<ReportFormat>().ok());
    let scan = web.desk().scan(id).await?.ok_or_else(no_scan)?;
    let Some(renderer) = &web.state.renderer else {
        return Err(Problem::new(ProblemKind::NotRendered, NO_RENDERER));
    };
    let (Some(attempt), true) = (scan.record.last_attempt(), scan.status().is_terminal()) else {
        return Err(Problem::new(ProblemKind::NotEnded, "a report can be rendered once the scan has ended"));
    };
    let format = given.unwrap_or(scan.record.request.format);
    match renderer.render(&scan.record, attempt.number, format).await {
        Ok(()) => Ok(Redirect::to(&format!("/scans/{id}?notice=rendered")).into_response()),
        Err(why) => Err(Problem::new(ProblemKind::NotRendered, why)),
    }
}

impl ScanDetailPage {
    fn new(web: &WebInner, layout: Layout, scan: &ScanSnapshot, reasons: &[Reason], results: Results, left: Option<String>, notice: Option<Notice>) -> Self {
        let (record, plugins) = (&scan.record, plugins_of(scan));
        let status = record.status();
        let until = record.ended_at().unwrap_or_else(|| web.now());
        let live = (!status.is_terminal()).then(|| Live::new(web, format!("/api/scans/{}/events", record.id)));
        let catalogue = web.catalogue();
        Self {
            id: record.id.0,
            target: clean(&record.request.target.to_string()),
            badge: status.into(),
            mode: record.request.mode.as_str(),
            priority: (record.request.priority != kastrel_actors::model::Priority::Normal).then(|| record.request.priority.as_str()),
            is_dry_run: record.request.dry_run,
            repeats: record.rerun_of.map(|id| id.0),
            // What was true when the form was sent may be over when the page is looked at again.
            notice: notice.filter(|notice| live.is_some() || notice.kind != "submitted"),
            live,
            log_script_url: assets::url("log.js"),
            waiting: waiting_text(&record.state, reasons),
            error: match &record.state {
                ScanState::Failed { failure, .. } => Some(clean(&failure.detail)),
                ScanState::Pending { .. } | ScanState::Running { .. } | ScanState::Completed { .. } | ScanState::Cancelled { .. } => None,
            },
            error_kind: record.last_failure().map(|failure| crate::web::text::words(failure.kind.as_str())).unwrap_or_default(),
            is_cancelling: !status.is_terminal() && record.cancel_requested.is_some(),
            progress: Progress::new(web, scan, left),
            outcome: outcome(scan),
            problems: problems(scan),
            severities: severities(SeverityCounts::of(plugins)),
            created: record.created_at.into(),
            started: record.started_at.map(Into::into),
            ended: record.ended_at().map(Into::into),
            duration: record.started_at.map_or_else(String::new, |started| duration(until.duration_since(started))),
            facts: facts(record),
            groups: findings::group(plugins, catalogue.as_deref()),
            plugins: plugins.iter().map(|plugin| PluginRow::new(record.id, plugin, web.now())).collect(),
            timeline: timeline(scan, web.now()),
            attempts: record.attempts.iter().rev().map(|attempt| AttemptRow::new(attempt, web.now())).collect(),
            can_cancel: !status.is_terminal() && record.cancel_requested.is_none(),
            can_delete: status.is_terminal(),
            can_render: status.is_terminal() && results.has_info && web.state.renderer.is_some(),
            results,
            trace_url: web.trace_url(&record.trace.trace_id()),
            trace_id: record.trace.trace_id(),
            layout,
        }
    }
}

impl Progress {
    fn new(web: &WebInner, scan: &ScanSnapshot, left: Option<String>) -> Option<Self> {
        let ScanState::Running { attempt, .. } = &scan.record.state else { return None };
        let plugins = plugins_of(scan);
        let ended = plugins.iter().filter(|plugin| plugin.status.is_final()).count();
        let at_work: Vec<&str> = plugins.iter().filter(|plugin| plugin.status == PluginStatus::InProgress).map(|plugin| plugin.name.as_str()).collect();
        let started = scan.record.last_attempt().map_or(scan.record.created_at, |attempt| attempt.started_at);
        Some(Self {
            percent: (!plugins.is_empty()).then(|| ended * 100 / plugins.len()),
            text: if plugins.is_empty() { "No plugin is known yet".into() } else { format!("{ended} of {} plugins have ended", plugins.len()) },
            since: MomentText::from(started).exact,
            elapsed: duration(web.now().duration_since(started)),
            left,
            doing: clean(&at_work.join(", ")),
            phase: scan.phase.map(kastrel_actors::model::AttemptPhase::as_str),
            attempt: format!("attempt {attempt} of at most {}", web.state.max_attempts.max(attempt.0)),
        })
    }
}

/// `12 plugins, 31 findings`.
fn outcome(scan: &ScanSnapshot) -> String {
    let plugins = plugins_of(scan);
    if plugins.is_empty() {
        return String::new();
    }
    format!("{}, {}", counted(plugins.len() as u64, "plugin", "plugins"), counted(findings_of(plugins), "finding", "findings"))
}

/// What did not work, also where the scan as a whole completed.
fn problems(scan: &ScanSnapshot) -> Vec<String> {
    let plugins = plugins_of(scan);
    let named = |status: PluginStatus, one: &str, many: &str| {
        let count = count_of(plugins, status);
        let names: Vec<&str> = plugins.iter().filter(|plugin| plugin.status == status).map(|plugin| plugin.name.as_str()).collect();
        (count > 0).then(|| clean(&format!("{}: {}", counted(count as u64, one, many), names.join(", "))))
    };
    [named(PluginStatus::Failed, "plugin failed", "plugins failed"), named(PluginStatus::Unavailable, "plugin was unavailable", "plugins were unavailable")]
        .into_iter()
        .flatten()
        .collect()
}

async fn results_of(web: &WebInner, record: &ScanRecord) -> Results {
    let Some(attempt) = record.last_attempt().map(|attempt| attempt.number) else { return Results::default() };
    let base = format!("/scans/{}/attempts/{attempt}/files", record.id);
    let is_running = matches!(record.state, ScanState::Running { .. });
    // The page is about the scan; without its files it is still worth showing.
    let (listing, log) = tokio::join!(list(web, record, attempt), log_tail(web, record, attempt));
    let (notice, has_files) = (notice_of_files(&listing), listing.is_ok());
    let listing = listing.unwrap_or_default();
    let start_of = async |path: &str, most: u64| if listing.has(path) { head(web, record, attempt, path, most).await.ok() } else { None };
    // What ZAP's file says after the end is what it was doing when the scan ended.
    let zap = if is_running { start_of(zap::FILE, zap::MOST_BYTES).await } else { None };
    let command = start_of(COMMAND, MOST_COMMAND_BYTES).await;
    Results {
        attempt: attempt.0,
        report: listing.has(REPORT),
        html_url: format!("{base}/{REPORT}?download=1"),
        pdf_url: listing.has(PDF_REPORT).then(|| format!("{base}/{PDF_REPORT}")),
        has_files,
        notice,
        has_info: listing.has("kast_info.json"),
        command: command.and_then(|(bytes, _)| String::from_utf8_lossy(&bytes).lines().next().map(clean)),
        zap: zap.and_then(|(bytes, _)| zap::view(&bytes)),
        log: log.filter(|tail| !tail.lines.is_empty()),
    }
}

/// The notice that a redirect asked for: one of ours, never text from the address.
fn notice_of(query: &str) -> Option<Notice> {
    let has = |pair: &str| query.split('&').any(|one| one == pair);
    let (kind, text) = if has("submitted=1") {
        ("submitted", "The scan is accepted. This page shows its progress by itself; you can leave and come back at any time.")
    } else if has("notice=cancelled") {
        ("done", "The scan is cancelled.")
    } else if has("notice=cancelling") {
        ("submitted", "The scan is being ended.")
    } else if has("notice=ended") {
        ("warning", "The scan had already ended; there was nothing to cancel.")
    } else if has("notice=rendered") {
        ("done", "The report was rendered again.")
    } else {
        return None;
    };
    Some(Notice::new(kind, text))
}

#[cfg(test)]
#[path = "scan_detail_tests.rs"]
mod tests;
