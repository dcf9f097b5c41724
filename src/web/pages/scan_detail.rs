//! The page of one scan: its state, its issues, its attempts, and the available actions.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use kastrel_actors::model::{
    PluginResult, ReportFiles, ScanId, ScanOverview, ScanRecord, ScanSnapshot, ScanState, ScanStatus,
};
use kastrel_actors::policy::reports;
use kastrel_actors::policy::waiting::Waiting;

use super::accounts::public_links::LinkSection;
use super::accounts::shares::{ShareSection, SharedNotice};
use super::badge::{Badge, SeverityChip, severities};
use super::compare::Changes;
use super::coverage::{CoverageView, badge, issues_text, no_issues};
use super::layout::{Here, Layout, Live, Notice};
use super::project_names::ProjectNames;
use super::rights::ScanRights;
use crate::ports::NOTES_NAME;
use crate::web::api::status::status_json;
use crate::web::assets;
use crate::web::error::Problem;
use crate::web::estimate;
use crate::web::files::{COMMAND, PDF_REPORT, REPORT, Tail, has, head, list, log_tail, notice_of as notice_of_files};
use crate::web::headers::page;
use crate::web::path::{PathId, no_scan};
use crate::web::renderings::fingerprint;
use crate::web::state::{Web, WebInner};
use crate::web::text::{MomentText, clean, duration, sentence};
use crate::web::viewer::Viewer;
use crate::web::zone::{WallClock, exact};

pub(crate) mod actions;
pub(crate) mod findings;
mod notes;
pub(crate) mod rows;
pub(crate) mod set_notes;
pub(crate) mod shared;
pub(crate) mod stream;
mod timeline;
mod zap;
use findings::SeverityGroup;
use notes::NotesSection;
use rows::{AttemptRow, Fact, PluginRow, WaitingRow, facts};
use timeline::{TimelineRow, timeline};
use zap::ZapView;

/// How many bytes of a command line are read.
const MOST_COMMAND_BYTES: u64 = 64 * 1024;

/// The page of one scan.
#[derive(Template)]
#[template(
    path = "scan_detail.html",
    blocks = [
        "standing",
        "part_head",
        "part_state",
        "part_issues",
        "part_plugins",
        "part_timeline",
        "part_log",
        "part_results"
    ]
)]
pub(crate) struct ScanDetailPage {
    layout: Layout,
    id: u64,
    target: String,
    status: ScanStatus,
    badge: Badge,
    mode: &'static str,
    priority: Option<&'static str>,
    is_dry_run: bool,
    repeats: Option<u64>,
    notice: Option<Notice>,
    live: Option<Live>,
    log_script_url: String,
    waiting: Vec<WaitingRow>,
    error: Option<String>,
    error_kind: String,
    is_cancelling: bool,
    progress: Option<Progress>,
    coverage: CoverageView,
    /// A sentence about the results that the scan keeps from earlier attempts.
    kept: Option<String>,
    /// The number of issues, in one line.
    outcome: String,
    /// Why the scan shows no issues.
    no_issues: String,
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
    has_ended: bool,
    can_rerun: bool,
    /// The text of the button that runs the plugins without a result again, if there are any.
    rerun_failed: Option<String>,
    can_delete: bool,
    can_transfer: bool,
    can_render: bool,
    trace_id: String,
    trace_url: Option<String>,
    /// The public links of the scan. They are outside of the parts that the event stream carries.
    links: Option<LinkSection>,
    /// The shares of the scan. They are outside of these parts, too.
    shares: Option<ShareSection>,
    /// By which share the viewer sees the scan, if it has no role in the project.
    shared: Option<SharedNotice>,
    /// The changes since the last comparable scan, once the findings of this one are stored.
    changes: Option<Changes>,
    /// The tags and notes of the team.
    notes: Option<NotesSection>,
}

/// The progress of a running scan.
struct Progress {
    percent: Option<usize>,
    text: String,
    since: String,
    elapsed: String,
    left: Option<String>,
    doing: String,
    phase: Option<String>,
    attempt: String,
}

/// The files and results of the last attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Results {
    attempt: u32,
    report: bool,
    html_url: String,
    pdf_url: Option<String>,
    has_files: bool,
    /// A sentence about a requested report that the scanner did not write.
    missing_report: Option<&'static str>,
    /// A notice about the files.
    notice: Option<&'static str>,
    /// Notes about the attempt.
    notes: Vec<String>,
    has_info: bool,
    command: Option<String>,
    zap: Option<ZapView>,
    log: Option<Tail>,
}

/// The data that the handler reads for the page, besides the scan.
struct Read {
    layout: Layout,
    rights: ScanRights,
    reasons: Vec<Waiting>,
    results: Results,
    left: Option<String>,
    notice: Option<Notice>,
    /// The fingerprint of the scan's status, by which the event stream knows what the page
    /// shows.
    fingerprint: u64,
}

/// Shows the page of a scan.
pub(crate) async fn show(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Ok(page(&read(&web, &viewer, id, query.as_deref().unwrap_or_default(), None).await?))
}

/// Reads the page, with the form of tags and notes as it was typed.
async fn read(
    web: &Web,
    viewer: &Viewer,
    id: ScanId,
    query: &str,
    typed: Option<notes::Typed<'_>>,
) -> Result<ScanDetailPage, Problem> {
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let (shown, links, shares, shared, changes, notes) = tokio::join!(
        ScanDetailPage::of(web, viewer, &scan, query),
        LinkSection::of(web, viewer, &scan.record),
        ShareSection::of(web, viewer, &scan.record),
        SharedNotice::of(web, viewer, &scan.record),
        Changes::since_last(web, viewer, &scan.record),
        NotesSection::of(web, viewer, &scan.record, typed)
    );
    Ok(ScanDetailPage { links, shares, shared, changes, notes, ..shown })
}

impl ScanDetailPage {
    /// Reads what the page shows of this state of the scan. `query` is the query of its address.
    async fn of(web: &Web, viewer: &Viewer, scan: &Arc<ScanSnapshot>, query: &str) -> Self {
        let record = &scan.record;
        let results = results_of(web, record).await;
        let left = estimate::words(web.reporting().time_left(&viewer.context, scan).await);
        let reasons = web.scans().reasons(record).await;
        let notice = notice_of(query, record)
            .filter(|notice| notice.kind != "submitted" || !reasons.iter().any(Waiting::is_unusual));
        let title = format!("Scan {} of {}", record.id, clean(&record.request.target.label()));
        let (layout, projects) =
            tokio::join!(Layout::of(web, viewer, Here::Scans, title), ProjectNames::of(web, viewer));
        // Only the address of the stream has it, and the page of an ended scan has no stream.
        let fingerprint = if record.status().is_terminal() {
            0
        } else {
            status_json(web, scan, web.scans().waiting_seen(record).as_ref()).map_or(0, |json| fingerprint(&json))
        };
        let rights = ScanRights::of(&viewer.context.grants, record);
        let read = Read { layout, rights, reasons, results, left, notice, fingerprint };
        let mut shown = Self::new(web, scan, &web.clock(viewer), read);
        // A transfer needs a second project that the viewer sees.
        shown.can_transfer &= projects.all().next().is_some();
        shown.facts.extend(projects.title_of(&record.project).map(|value| Fact { label: "Project", value }));
        shown
    }

    fn new(web: &WebInner, scan: &ScanSnapshot, clock: &WallClock, read: Read) -> Self {
        let Read { layout, rights, reasons, results, left, notice, fingerprint } = read;
        let (record, plugins) = (&scan.record, scan.last_plugins());
        let status = record.status();
        let overview = scan.overview();
        let scan_badge = badge(status, &overview.coverage);
        let live = (!status.is_terminal())
            .then(|| Live::new(web, format!("/scans/{}/live?from={fingerprint:016x}", record.id)));
        let catalogue = web.catalogue();
        // The clocks of an ended attempt stop at its end.
        let settled = record.last_attempt().and_then(|attempt| attempt.ended_at).or_else(|| record.ended_at());
        Self {
            id: record.id.0,
            target: clean(&record.request.target.label()),
            status,
            badge: scan_badge.clone(),
            mode: record.request.options.mode.as_str(),
            priority: (record.request.options.priority != kastrel_actors::model::Priority::Normal)
                .then(|| record.request.options.priority.as_str()),
            is_dry_run: record.request.options.dry_run,
            repeats: record.rerun_of.map(|id| id.0),
            // The notice of the form may be outdated when the page is loaded again later.
            notice: notice.filter(|notice| live.is_some() || notice.kind != "submitted"),
            live,
            log_script_url: assets::url("log.js"),
            waiting: reasons.iter().map(|one| WaitingRow::new(one, web.state.max_attempts, clock)).collect(),
            error: match &record.state {
                ScanState::Failed { failure, .. } => Some(sentence(&clean(&failure.detail))),
                ScanState::Pending { .. }
                | ScanState::Running { .. }
                | ScanState::Completed { .. }
                | ScanState::Cancelled { .. } => None,
            },
            error_kind: record
                .last_failure()
                .map(|failure| crate::web::text::words(failure.kind.as_str()))
                .unwrap_or_default(),
            is_cancelling: !status.is_terminal() && record.cancel_requested.is_some(),
            progress: Progress::new(web, clock, scan, &overview, left),
            coverage: CoverageView::of(scan, &overview),
            kept: reports::kept_note(record, plugins),
            outcome: issues_text(status, &overview),
            no_issues: no_issues(scan, &overview.coverage),
            severities: severities(overview.severities),
            created: clock.moment(record.created_at),
            started: record.started_at.map(|at| clock.moment(at)),
            ended: record.ended_at().map(|at| clock.moment(at)),
            duration: overview.duration(clock.now).map(duration).unwrap_or_default(),
            facts: facts(record),
            groups: findings::group(plugins, catalogue.as_deref()),
            plugins: plugins.iter().map(|plugin| PluginRow::new(record.id, plugin, settled, clock.now)).collect(),
            timeline: timeline(scan, clock.now),
            attempts: record
                .attempts
                .iter()
                .rev()
                .map(|attempt| AttemptRow::new(attempt, &scan_badge, clock))
                .collect(),
            can_cancel: rights.can_cancel && !status.is_terminal() && record.cancel_requested.is_none(),
            has_ended: status.is_terminal(),
            can_rerun: rights.can_rerun && status.is_terminal(),
            // Without a result, a re-run of all plugins does the same.
            rerun_failed: (rights.can_rerun && !overview.coverage.nothing_checked())
                .then(|| rerun_failed(&web.scans().without_result(scan), plugins))
                .flatten(),
            can_delete: rights.can_delete && status.is_terminal(),
            can_transfer: rights.can_delete && status.is_terminal(),
            can_render: rights.can_cancel && status.is_terminal() && results.has_info && web.state.renderer.is_some(),
            results,
            trace_url: web.trace_url(&record.trace.trace_id()),
            trace_id: record.trace.trace_id(),
            links: None,
            shares: None,
            shared: None,
            changes: None,
            notes: None,
            layout,
        }
    }
}

impl Progress {
    fn new(
        web: &WebInner,
        clock: &WallClock,
        scan: &ScanSnapshot,
        overview: &ScanOverview,
        left: Option<String>,
    ) -> Option<Self> {
        let ScanState::Running { attempt, .. } = &scan.record.state else { return None };
        Some(Self {
            percent: overview.percent,
            text: overview.progress().unwrap_or_else(|| "Starting".into()),
            since: exact(overview.attempt_since),
            elapsed: duration(overview.elapsed(clock.now)),
            left,
            doing: clean(&overview.running.join(", ")),
            phase: scan.phase.map(|phase| sentence(phase.as_str())),
            attempt: attempt_text(attempt.0, scan.record.failures, web.state.max_attempts),
        })
    }
}

/// Returns the text of the button that runs the plugins `again` of a scan once more, if there are
/// any.
fn rerun_failed(again: &[String], plugins: &[PluginResult]) -> Option<String> {
    let has_failed = |name: &String| plugins.iter().any(|plugin| plugin.name == *name && plugin.status.has_failed());
    let (one, several) = if again.iter().all(has_failed) {
        ("failed plugin", "failed plugins")
    } else {
        ("plugin without a result", "plugins without a result")
    };
    match again.len() {
        0 => None,
        1 => Some(format!("Run the {one} again")),
        number => Some(format!("Run the {number} {several} again")),
    }
}

/// Returns the number of the running attempt in words. Interruptions count as attempts but not
/// against the limit, so the text names both numbers once they differ.
fn attempt_text(attempt: u32, failures: u32, max_attempts: u32) -> String {
    if attempt == failures.saturating_add(1) {
        format!("Attempt {attempt} of {}", max_attempts.max(attempt))
    } else {
        format!("Attempt {attempt}, {failures} of {max_attempts} failed")
    }
}

/// How many bytes of an attempt's notes are read.
const MOST_NOTES_BYTES: u64 = 16 * 1024;

async fn results_of(web: &WebInner, record: &ScanRecord) -> Results {
    let Some(attempt) = record.last_attempt().map(|attempt| attempt.number) else { return Results::default() };
    let base = format!("/scans/{}/attempts/{attempt}/files", record.id);
    let is_running = matches!(record.state, ScanState::Running { .. });
    // The page is about the scan, and is still useful without its files.
    let (listing, log) = tokio::join!(list(web, record, attempt), log_tail(web, record, attempt));
    let (notice, has_files) = (notice_of_files(&listing), listing.is_ok());
    // A list may be cut: important files are opened by their names.
    let is_there = async |path: &str| has_files && has(web, record, attempt, path).await.unwrap_or(false);
    let (report, pdf, has_info) = tokio::join!(is_there(REPORT), is_there(PDF_REPORT), is_there("kast_info.json"));
    let missing_report = if has_files && notice.is_none() {
        reports::missing_of(record, ReportFiles { html: report, pdf })
    } else {
        None
    };
    let start_of =
        async |path: &str, most: u64| if has_files { head(web, record, attempt, path, most).await.ok() } else { None };
    // After the end, ZAP's progress file is outdated: it shows the state when the scan ended.
    let zap = if is_running { start_of(zap::FILE, zap::MOST_BYTES).await } else { None };
    let command = start_of(COMMAND, MOST_COMMAND_BYTES).await;
    let notes = start_of(NOTES_NAME, MOST_NOTES_BYTES).await;
    Results {
        attempt: attempt.0,
        report,
        html_url: format!("{base}/{REPORT}?download=1"),
        pdf_url: pdf.then(|| format!("{base}/{PDF_REPORT}")),
        has_files,
        missing_report,
        notice,
        notes: notes
            .map(|(bytes, _)| String::from_utf8_lossy(&bytes).lines().map(sentence).collect())
            .unwrap_or_default(),
        has_info,
        command: command.and_then(|(bytes, _)| String::from_utf8_lossy(&bytes).lines().next().map(clean)),
        zap: zap.and_then(|(bytes, _)| zap::view(&bytes)),
        log: log.filter(|tail| !tail.lines.is_empty() || tail.growing.is_some()),
    }
}

/// Returns the notice that the query of a redirect names: a fixed sentence, never text from the
/// URL, and only if it matches the scan's row.
fn notice_of(query: &str, record: &ScanRecord) -> Option<Notice> {
    let has = |pair: &str| query.split('&').any(|one| one == pair);
    let status = record.status();
    let (kind, text) = if has("submitted=1") && !status.is_terminal() {
        ("submitted", "Scan queued. This page updates live.")
    } else if (has("notice=cancelled") || has("notice=cancelling")) && status == ScanStatus::Cancelled {
        ("info", "Scan cancelled.")
    } else if has("notice=ended") && status.is_terminal() {
        ("warning", "Nothing to cancel: the scan has finished.")
    } else if has("notice=rendered") && status.is_terminal() {
        ("done", "Report regenerated.")
    } else if has("notice=rendered-html") && status.is_terminal() {
        ("warning", "HTML report regenerated. The scanner wrote no PDF report.")
    } else if has("notice=rendered-pdf") && status.is_terminal() {
        ("warning", "PDF report regenerated. The scanner wrote no HTML report.")
    } else if has("notice=transferred") && status.is_terminal() {
        ("done", "Scan transferred. Its public links and shares have ended.")
    } else if has("notice=noted") {
        ("done", "The tags and the notes were changed.")
    } else {
        return None;
    };
    Some(Notice::new(kind, text))
}

#[cfg(test)]
#[path = "scan_detail_tests.rs"]
mod tests;
