//! The JSON bodies of a scan: the summary in a list, and the details.

use kastrel_actors::model::{
    AttemptEnd, AttemptRecord, CancelledBy, IssueRef, PluginResult, PluginStatus, Priority, ReportFiles, ReportFormat,
    ScanMode, ScanRecord, ScanRequest, ScanSnapshot, ScanStatus, Severity, Target,
};
use kastrel_actors::policy::reports;
use kastrel_actors::policy::waiting::Waiting;
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::{
    AsText, CancelledByName, CoverageBody, FormatName, IssuesBody, ModeName, Moment, PhaseName, PluginStatusName,
    PriorityName, ScannerBody, Severities, SeverityName, StatusName, WaitingBody, error_of, plugins_of, seconds,
};
use crate::web::state::WebInner;

/// A scan in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScanSummary<'a> {
    /// The scan's number.
    pub(crate) scan_id: u64,
    #[schema(value_type = StatusName)]
    status: ScanStatus,
    #[schema(value_type = String, example = "example.com")]
    target: AsText<&'a Target>,
    /// The target with its host in Unicode. Present only if it differs from `target`.
    #[serde(skip_serializing_if = "Option::is_none")]
    target_unicode: Option<String>,
    #[schema(value_type = ModeName)]
    mode: ScanMode,
    #[schema(value_type = PriorityName)]
    priority: Priority,
    dry_run: bool,
    /// When the scan was accepted.
    created_at: Moment,
    /// When the first attempt started.
    started_at: Option<Moment>,
    /// When the scan ended.
    completed_at: Option<Moment>,
    /// The time from the first attempt's start to the end of the scan, in seconds.
    duration: Option<f64>,
    /// Why the scan failed.
    error_message: Option<&'a str>,
    /// The number of known plugins.
    results_count: usize,
    plugins_failed: usize,
    /// Which checks of the scan ran.
    coverage: CoverageBody,
    /// How many items the plugins collected, such as crawled addresses. Items are not issues.
    findings_count: u64,
    /// How many issues the plugins reported.
    issues_count: u64,
    /// The issues by severity.
    issues: IssuesBody,
    /// The issues by severity, without the total.
    severities: Severities,
    /// The last attempt's number; 0 before the first.
    attempt: u32,
    /// The number of the scan that this scan repeats.
    rerun_of: Option<u64>,
}

impl<'a> From<&'a ScanSnapshot> for ScanSummary<'a> {
    fn from(scan: &'a ScanSnapshot) -> Self {
        let (record, overview) = (&scan.record, scan.overview());
        let severities = overview.severities;
        Self {
            scan_id: record.id.0,
            status: record.status(),
            target: AsText(&record.request.target),
            target_unicode: record.request.target.unicode(),
            mode: record.request.options.mode,
            priority: record.request.options.priority,
            dry_run: record.request.options.dry_run,
            created_at: Moment(record.created_at),
            started_at: record.started_at.map(Moment),
            completed_at: record.ended_at().map(Moment),
            duration: overview.took().map(seconds),
            error_message: error_of(&record.state),
            results_count: overview.plugins,
            plugins_failed: overview.failed,
            findings_count: overview.items,
            coverage: overview.coverage.into(),
            issues_count: severities.total(),
            issues: severities.into(),
            severities: severities.into(),
            attempt: record.last_attempt().map_or(0, |attempt| attempt.number.0),
            rerun_of: record.rerun_of.map(|id| id.0),
        }
    }
}

/// The details of a scan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScanDetail<'a> {
    #[serde(flatten)]
    #[schema(inline)]
    summary: ScanSummary<'a>,
    request: RequestBody<'a>,
    /// The selected plugins that the scan leaves out, because its mode does not run them.
    left_out: &'a [String],
    /// Why the scan waits; null unless it is pending.
    waiting: Option<WaitingBody>,
    /// The phase of the running attempt; null unless the scan is running.
    #[schema(value_type = Option<PhaseName>)]
    phase: Option<kastrel_actors::model::AttemptPhase>,
    /// Who requested a cancel that waits for the end of the running attempt.
    #[schema(value_type = Option<CancelledByName>)]
    cancel_requested: Option<CancelledBy>,
    /// All attempts, oldest first.
    attempts: Vec<AttemptBody<'a>>,
    /// How many attempts failed and count against the limit.
    failures: u32,
    max_attempts: u32,
    /// The plugins of the last attempt, even if it failed.
    plugins: Vec<PluginBody<'a>>,
    /// The reports of a scan that has ended. `null` while the scan is pending or running, in the
    /// responses to commands, and if the server cannot access the scan's files.
    pub(crate) reports: Option<ReportsBody>,
    /// The id of the scan's trace.
    trace_id: String,
    /// The address of the trace in the tracing UI; null if none is configured.
    trace_url: Option<String>,
}

/// The reports of a scan that has ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReportsBody {
    /// Whether there is an HTML report.
    html: bool,
    /// Whether there is a PDF report.
    pdf: bool,
    /// A sentence about a requested report that does not exist.
    #[schema(example = "No PDF report: it was requested, but the scanner wrote none.")]
    missing: Option<&'static str>,
}

impl ReportsBody {
    pub(crate) fn of(record: &ScanRecord, found: Option<ReportFiles>) -> Option<Self> {
        found.map(|found| Self { html: found.html, pdf: found.pdf, missing: reports::missing_of(record, found) })
    }
}

impl<'a> ScanDetail<'a> {
    pub(crate) fn new(scan: &'a ScanSnapshot, waiting: Option<&Waiting>, web: &WebInner) -> Self {
        let record = &scan.record;
        let trace_id = record.trace.trace_id();
        Self {
            summary: scan.into(),
            request: (&record.request).into(),
            left_out: &record.left_out,
            waiting: WaitingBody::of(&record.state, waiting),
            phase: scan.phase,
            cancel_requested: record.cancel_requested,
            attempts: record.attempts.iter().map(Into::into).collect(),
            failures: record.failures,
            max_attempts: web.state.max_attempts,
            plugins: plugins_of(scan).iter().map(Into::into).collect(),
            reports: None,
            trace_url: web.trace_url(&trace_id),
            trace_id,
        }
    }
}

/// The options of the scan, as submitted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScanRequest)]
struct RequestBody<'a> {
    #[schema(value_type = String)]
    target: AsText<&'a Target>,
    #[schema(value_type = ModeName)]
    mode: ScanMode,
    /// The selected plugins; empty means all plugins of the mode.
    plugins: &'a [String],
    parallel: bool,
    max_workers: u8,
    verbose: bool,
    dry_run: bool,
    #[schema(value_type = FormatName)]
    format: ReportFormat,
    /// The overrides as `plugin.key=value`, with `••••••` in place of each secret.
    overrides: Vec<String>,
    #[schema(value_type = PriorityName)]
    priority: Priority,
}

impl<'a> From<&'a ScanRequest> for RequestBody<'a> {
    fn from(request: &'a ScanRequest) -> Self {
        Self {
            target: AsText(&request.target),
            mode: request.options.mode,
            plugins: &request.options.plugins,
            parallel: request.options.parallel,
            max_workers: request.options.max_workers,
            verbose: request.options.verbose,
            dry_run: request.options.dry_run,
            format: request.options.format,
            overrides: request.overrides.iter().map(kastrel_actors::model::ConfigOverride::shown).collect(),
            priority: request.options.priority,
        }
    }
}

/// An attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
struct AttemptBody<'a> {
    number: u32,
    /// The node that ran the attempt.
    node: &'a str,
    started_at: Moment,
    ended_at: Option<Moment>,
    /// `completed`, `failed`, `interrupted` or `cancelled`; null while the attempt runs.
    end: Option<&'a str>,
    /// The kind of failure or interruption.
    reason: Option<&'a str>,
    /// The failure, or what was wrong with the node, in words.
    detail: Option<&'a str>,
    scanner: Option<ScannerBody<'a>>,
}

impl<'a> From<&'a AttemptRecord> for AttemptBody<'a> {
    fn from(attempt: &'a AttemptRecord) -> Self {
        let end = attempt.end.as_ref();
        Self {
            number: attempt.number.0,
            node: attempt.node.as_str(),
            started_at: Moment(attempt.started_at),
            ended_at: attempt.ended_at.map(Moment),
            end: end.map(|end| end.outcome().as_str()),
            reason: end.and_then(AttemptEnd::reason),
            detail: end.and_then(AttemptEnd::detail),
            scanner: attempt.scanner.as_ref().map(Into::into),
        }
    }
}

/// The result of a plugin in a scan. The scanned site may have chosen its texts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PluginOutcome)]
struct PluginBody<'a> {
    plugin_name: &'a str,
    #[schema(value_type = PluginStatusName)]
    status: PluginStatus,
    /// How many items the plugin collected, such as crawled addresses. Items are not issues.
    findings_count: u64,
    /// How many issues the plugin reported, including those that are not listed here.
    issues_count: u64,
    /// The most severe issues, most severe first.
    issues: Vec<IssueBody<'a>>,
    /// Present if not all issues are listed: `200 of 1,340 shown`.
    issues_note: Option<String>,
    severities: Severities,
    message: Option<&'a str>,
    started_at: Option<Moment>,
    executed_at: Option<Moment>,
}

impl<'a> From<&'a PluginResult> for PluginBody<'a> {
    fn from(plugin: &'a PluginResult) -> Self {
        Self {
            plugin_name: &plugin.name,
            status: plugin.status,
            findings_count: plugin.findings_count,
            issues_count: plugin.issues_count(),
            issues_note: plugin.issues_note(),
            issues: plugin.issues.iter().map(Into::into).collect(),
            severities: plugin.severity_counts().into(),
            message: plugin.message.as_deref(),
            started_at: plugin.started_at.map(Moment),
            executed_at: plugin.ended_at.map(Moment),
        }
    }
}

/// An issue that a plugin reported.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Issue)]
struct IssueBody<'a> {
    id: &'a str,
    #[schema(value_type = SeverityName)]
    severity: Severity,
    title: &'a str,
}

impl<'a> From<&'a IssueRef> for IssueBody<'a> {
    fn from(issue: &'a IssueRef) -> Self {
        Self { id: &issue.id, severity: issue.severity, title: &issue.title }
    }
}
