//! A scan: its summary in a list, its status, and its details. All three have the summary and are
//! built from it.

use kastrel_actors::model::{
    AttemptEnd, AttemptNumber, AttemptPhase, AttemptRecord, CancelledBy, IssueRef, PluginResult, PluginStatus,
    Priority, ProjectId, ReportFiles, ScanId, ScanMode, ScanOptions, ScanRecord, ScanRequest, ScanSnapshot, ScanState,
    ScanStatus, ScannerInfo, SeverityCounts,
};
use kastrel_actors::policy::reports;
use kastrel_actors::policy::waiting::Waiting;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::coverage::{CoverageBody, IssuesBody};
use super::moment::{Moment, seconds};
use super::queue::WaitingBody;
use super::reading::lenient;

/// A scan in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScanSummary {
    /// The scan's number.
    #[serde(alias = "id")]
    #[schema(value_type = u64)]
    pub scan_id: ScanId,
    /// The state of the scan.
    pub status: ScanStatus,
    /// The target of the scan.
    #[schema(example = "example.com")]
    pub target: String,
    /// The target with its host in Unicode. Present only if it differs from `target`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub target_unicode: Option<String>,
    /// The mode, which selects the plugins.
    // A server of an earlier version does not send it with the status.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schema(value_type = ScanMode, required = true)]
    pub mode: Option<ScanMode>,
    /// The priority in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schema(value_type = Priority, required = true)]
    pub priority: Option<Priority>,
    /// Whether the scan only lists its steps.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(required = true)]
    pub dry_run: bool,
    /// When the scan was accepted.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(value_type = Moment, required = true)]
    pub created_at: Option<Moment>,
    /// When the first attempt started.
    #[serde(default, deserialize_with = "lenient")]
    pub started_at: Option<Moment>,
    /// When the scan ended, in any state.
    #[serde(default, deserialize_with = "lenient")]
    pub completed_at: Option<Moment>,
    /// The time from the first attempt's start to the end of the scan, in seconds; null until the
    /// end.
    #[serde(default, deserialize_with = "lenient")]
    pub duration: Option<f64>,
    /// Why the scan failed.
    #[serde(default, deserialize_with = "lenient")]
    pub error_message: Option<String>,
    /// The number of known plugins.
    #[serde(default)]
    #[schema(required = true)]
    pub results_count: usize,
    /// The number of plugins that failed.
    #[serde(default)]
    #[schema(required = true)]
    pub plugins_failed: usize,
    /// Which checks of the scan ran.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(value_type = CoverageBody, required = true)]
    pub coverage: Option<CoverageBody>,
    /// How many items the plugins collected, such as crawled addresses. Items are not issues.
    #[serde(default)]
    #[schema(required = true)]
    pub findings_count: u64,
    /// How many issues the plugins reported.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(required = true)]
    pub issues_count: u64,
    /// The issues by severity.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(required = true)]
    pub issues: IssuesBody,
    /// The issues by severity, without the total.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(required = true)]
    pub severities: SeverityCounts,
    /// The last attempt's number; 0 before the first.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(required = true)]
    pub attempt: u32,
    /// The number of the scan that this scan repeats.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(value_type = Option<u64>)]
    pub rerun_of: Option<ScanId>,
    /// The project of the scan.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schema(value_type = String, required = true)]
    pub project: Option<ProjectId>,
    /// The name of the principal who owns the scan; null for a scan of an earlier version.
    #[serde(default, deserialize_with = "lenient")]
    pub owner: Option<String>,
}

impl From<&ScanSnapshot> for ScanSummary {
    fn from(scan: &ScanSnapshot) -> Self {
        let (record, overview) = (&scan.record, scan.overview());
        let (target, options) = (&record.request.target, &record.request.options);
        Self {
            scan_id: record.id,
            status: record.status(),
            target: target.to_string(),
            target_unicode: target.unicode(),
            mode: Some(options.mode),
            priority: Some(options.priority),
            dry_run: options.dry_run,
            created_at: Some(Moment::of(record.created_at)),
            started_at: overview.started_at.map(Moment::of),
            completed_at: overview.ended_at.map(Moment::of),
            duration: overview.took().map(seconds),
            error_message: error_of(&record.state).map(str::to_owned),
            results_count: overview.plugins,
            plugins_failed: overview.failed,
            findings_count: overview.items,
            issues_count: overview.severities.total(),
            issues: overview.severities.into(),
            severities: overview.severities,
            coverage: Some(overview.coverage.into()),
            attempt: record.last_attempt().map_or(0, |attempt| attempt.number.0),
            rerun_of: record.rerun_of,
            project: Some(record.project.clone()),
            owner: record.owner.clone(),
        }
    }
}

/// Returns why a scan failed, if it failed.
#[must_use]
pub fn error_of(state: &ScanState) -> Option<&str> {
    match state {
        ScanState::Failed { failure, .. } => Some(&failure.detail),
        ScanState::Pending { .. }
        | ScanState::Running { .. }
        | ScanState::Completed { .. }
        | ScanState::Cancelled { .. } => None,
    }
}

/// What a scan does or waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScanProgress {
    /// The phase of the running attempt; null unless the scan is running.
    #[serde(default, deserialize_with = "lenient")]
    pub phase: Option<AttemptPhase>,
    /// The scanner of the last attempt, once known.
    #[serde(default, deserialize_with = "lenient")]
    pub scanner: Option<ScannerInfo>,
    /// Why the scan waits; null unless it is pending.
    #[serde(default, deserialize_with = "lenient")]
    pub waiting: Option<WaitingBody>,
    /// The earliest start of the next attempt; null unless the scan is pending.
    #[serde(default, deserialize_with = "lenient")]
    pub next_attempt_at: Option<Moment>,
    /// Who requested a cancel that waits for the end of the running attempt.
    #[serde(default, deserialize_with = "lenient")]
    pub cancel_requested: Option<CancelledBy>,
}

impl ScanProgress {
    /// Shows what a scan does, or why it waits.
    #[must_use]
    pub fn of(scan: &ScanSnapshot, waiting: Option<&Waiting>) -> Self {
        let record = &scan.record;
        let waiting = WaitingBody::of(&record.state, waiting);
        Self {
            phase: scan.phase,
            scanner: record.last_attempt().and_then(|attempt| attempt.scanner.clone()),
            next_attempt_at: waiting.as_ref().and_then(|waiting| waiting.due),
            waiting,
            cancel_requested: record.cancel_requested,
        }
    }
}

/// The status of a scan: kast-web's fields, and more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScanStatusReport)]
pub struct StatusBody {
    /// The scan as in a list.
    #[serde(flatten)]
    #[schema(inline)]
    pub summary: ScanSummary,
    /// What the scan does or waits for.
    #[serde(flatten)]
    #[schema(inline)]
    pub progress: ScanProgress,
    /// The plugins known so far, without their issues.
    #[serde(default, alias = "plugins")]
    #[schema(required = true)]
    pub results: Vec<PluginBody>,
    /// How many attempts may fail.
    #[serde(default)]
    #[schema(required = true)]
    pub max_attempts: u32,
    /// The id of the scan's trace.
    #[serde(default)]
    #[schema(required = true)]
    pub trace_id: String,
    /// The address of the trace in the tracing UI; null if none is configured.
    #[serde(default)]
    pub trace_url: Option<String>,
}

impl StatusBody {
    /// Shows the status of a scan. `trace_url` is the address of its trace.
    #[must_use]
    pub fn new(
        scan: &ScanSnapshot,
        waiting: Option<&Waiting>,
        max_attempts: u32,
        trace_url: impl FnOnce(&str) -> Option<String>,
    ) -> Self {
        let trace_id = scan.record.trace.trace_id();
        Self {
            summary: scan.into(),
            progress: ScanProgress::of(scan, waiting),
            results: scan.last_plugins().iter().map(PluginBody::without_issues).collect(),
            max_attempts,
            trace_url: trace_url(&trace_id),
            trace_id,
        }
    }
}

/// The details of a scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScanDetail {
    /// The scan as in a list.
    #[serde(flatten)]
    #[schema(inline)]
    pub summary: ScanSummary,
    /// What the scan does or waits for.
    #[serde(flatten)]
    #[schema(inline)]
    pub progress: ScanProgress,
    /// The request, as submitted.
    pub request: RequestBody,
    /// The selected plugins that the scan leaves out, because its mode does not run them.
    pub left_out: Vec<String>,
    /// All attempts, oldest first.
    pub attempts: Vec<AttemptBody>,
    /// How many attempts failed and count against the limit.
    pub failures: u32,
    /// How many attempts may fail.
    pub max_attempts: u32,
    /// The plugins of the last attempt, even if it failed.
    pub plugins: Vec<PluginBody>,
    /// A sentence about the plugins whose results the scan keeps from earlier attempts, and which
    /// its report does not have. Null without such plugins.
    #[serde(default)]
    pub kept: Option<String>,
    /// The reports of a scan that has ended. `null` while the scan is pending or running, in the
    /// responses to commands, and if the server cannot access the scan's files.
    #[serde(default)]
    pub reports: Option<ReportsBody>,
    /// The id of the scan's trace.
    pub trace_id: String,
    /// The address of the trace in the tracing UI; null if none is configured.
    #[serde(default)]
    pub trace_url: Option<String>,
}

impl ScanDetail {
    /// Shows the details of a scan. `trace_url` is the address of its trace.
    #[must_use]
    pub fn new(
        scan: &ScanSnapshot,
        waiting: Option<&Waiting>,
        max_attempts: u32,
        trace_url: impl FnOnce(&str) -> Option<String>,
    ) -> Self {
        let record = &scan.record;
        let trace_id = record.trace.trace_id();
        Self {
            summary: scan.into(),
            progress: ScanProgress::of(scan, waiting),
            request: (&record.request).into(),
            left_out: record.left_out.clone(),
            attempts: record.attempts.iter().map(Into::into).collect(),
            failures: record.failures,
            max_attempts,
            plugins: scan.last_plugins().iter().map(PluginBody::with_issues).collect(),
            kept: reports::kept_note(record, scan.last_plugins()),
            reports: None,
            trace_url: trace_url(&trace_id),
            trace_id,
        }
    }
}

/// The reports of a scan that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportsBody {
    /// Whether there is an HTML report.
    pub html: bool,
    /// Whether there is a PDF report.
    pub pdf: bool,
    /// A sentence about a requested report that does not exist.
    #[schema(example = "No PDF report: it was requested, but the scanner wrote none.")]
    pub missing: Option<String>,
}

impl ReportsBody {
    /// Shows which reports were found. Returns `None` if nobody could look.
    #[must_use]
    pub fn of(record: &ScanRecord, found: Option<ReportFiles>) -> Option<Self> {
        let missing = |found| reports::missing_of(record, found).map(str::to_owned);
        found.map(|found| Self { html: found.html, pdf: found.pdf, missing: missing(found) })
    }
}

/// The request of the scan, as submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScanRequest)]
pub struct RequestBody {
    /// The target of the scan.
    pub target: String,
    /// The options of the scan.
    #[serde(flatten)]
    #[schema(inline)]
    pub options: ScanOptions,
    /// The overrides as `plugin.key=value`, with `••••••` in place of each secret.
    pub overrides: Vec<String>,
}

impl From<&ScanRequest> for RequestBody {
    fn from(request: &ScanRequest) -> Self {
        Self {
            target: request.target.to_string(),
            options: request.options.clone(),
            overrides: request.overrides.iter().map(kastrel_actors::model::ConfigOverride::shown).collect(),
        }
    }
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptBody {
    /// The number of the attempt, from 1.
    pub number: u32,
    /// The node that ran the attempt.
    pub node: String,
    /// When the attempt started.
    pub started_at: Moment,
    /// When the attempt ended.
    pub ended_at: Option<Moment>,
    /// `completed`, `failed`, `interrupted` or `cancelled`; null while the attempt runs.
    pub end: Option<String>,
    /// The kind of failure or interruption.
    pub reason: Option<String>,
    /// The failure, or what was wrong with the node, in words.
    pub detail: Option<String>,
    /// The scanner of the attempt, once known.
    #[serde(default, deserialize_with = "lenient")]
    pub scanner: Option<ScannerInfo>,
}

impl From<&AttemptRecord> for AttemptBody {
    fn from(attempt: &AttemptRecord) -> Self {
        let end = attempt.end.as_ref();
        Self {
            number: attempt.number.0,
            node: attempt.node.to_string(),
            started_at: Moment::of(attempt.started_at),
            ended_at: attempt.ended_at.map(Moment::of),
            end: end.map(|end| end.outcome().as_str().to_owned()),
            reason: end.and_then(AttemptEnd::reason).map(str::to_owned),
            detail: end.and_then(AttemptEnd::detail).map(str::to_owned),
            scanner: attempt.scanner.clone(),
        }
    }
}

/// The result of a plugin in a scan. The scanned site may have chosen its texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PluginOutcome)]
pub struct PluginBody {
    /// The name of the plugin.
    #[serde(alias = "name")]
    pub plugin_name: String,
    /// The state of the plugin.
    pub status: PluginStatus,
    /// How many items the plugin collected, such as crawled addresses. Items are not issues.
    #[serde(default)]
    #[schema(required = true)]
    pub findings_count: u64,
    /// How many issues the plugin reported, including those that are not listed here.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(required = true)]
    pub issues_count: u64,
    /// The most severe issues, most severe first. Only the details of a scan have them.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub issues: Option<Vec<IssueRef>>,
    /// Present if not all issues are listed: `200 of 1,340 shown`.
    #[serde(default, deserialize_with = "lenient")]
    pub issues_note: Option<String>,
    /// The issues by severity.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(required = true)]
    pub severities: SeverityCounts,
    /// The plugin's summary, or why it failed.
    #[serde(default, deserialize_with = "lenient")]
    pub message: Option<String>,
    /// When the plugin started.
    #[serde(default, deserialize_with = "lenient")]
    pub started_at: Option<Moment>,
    /// When the plugin ended.
    #[serde(default, deserialize_with = "lenient")]
    pub executed_at: Option<Moment>,
    /// The number of the earlier attempt whose result the scan keeps, and whose folder has the
    /// plugin's files. Null for a plugin of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    #[schema(value_type = Option<u32>)]
    pub attempt: Option<AttemptNumber>,
}

impl PluginBody {
    /// Shows a plugin in a status, which is sent with each change.
    #[must_use]
    pub fn without_issues(plugin: &PluginResult) -> Self {
        Self {
            plugin_name: plugin.name.clone(),
            status: plugin.status,
            findings_count: plugin.findings_count,
            issues_count: plugin.issues_count(),
            issues: None,
            issues_note: None,
            severities: plugin.severity_counts(),
            message: plugin.message.clone(),
            started_at: plugin.started_at.map(Moment::of),
            executed_at: plugin.ended_at.map(Moment::of),
            attempt: plugin.attempt,
        }
    }

    /// Shows a plugin with its issues.
    #[must_use]
    pub fn with_issues(plugin: &PluginResult) -> Self {
        Self { issues: Some(plugin.issues.clone()), issues_note: plugin.issues_note(), ..Self::without_issues(plugin) }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_actors::model::{PluginStatus, Severity};
    use kastrel_actors::testing::fixtures;

    use super::*;

    #[test]
    fn status_is_read_from_kast_webs_shape_and_from_odd_values() {
        let plain = r#"{"scan_id":1,"status":"running","target":"example.com","started_at":"2025-11-07T09:00:00Z","completed_at":null,"duration":null,"error_message":null,
            "results":[{"plugin_name":"whatweb","status":"in_progress","findings_count":0,"executed_at":null}],"results_count":1}"#;
        let scan: StatusBody = serde_json::from_str(plain).unwrap();
        assert_eq!(
            (scan.summary.scan_id, scan.summary.status, scan.summary.attempt),
            (ScanId(1), ScanStatus::Running, 0)
        );
        assert_eq!(scan.results[0].status, PluginStatus::InProgress);
        let strange = r#"{"id":2,"status":"failed","target":"x","duration":"long","attempt":"two","scanner":"KAST","coverage":7,"started_at":"2025-11-07T09:00:00","other":1}"#;
        let StatusBody { summary, progress, .. } = serde_json::from_str(strange).unwrap();
        assert_eq!(
            (summary.scan_id, summary.attempt, progress.scanner, summary.started_at, summary.coverage),
            (ScanId(2), 0, None, None, None)
        );
        assert!(serde_json::from_str::<StatusBody>(r#"{"scan_id":1,"status":"odd","target":"x"}"#).is_err());
    }

    #[test]
    fn status_and_details_are_read_as_they_were_written() {
        let mut record = fixtures::record(1, Timestamp::UNIX_EPOCH);
        record.request.target = "b\u{fc}cher.example".parse().unwrap();
        record.request.overrides = vec![kastrel_actors::model::ConfigOverride::parse("zap.api_key=hunter2").unwrap()];
        let issue = IssueRef { id: "x".into(), severity: Severity::High, title: "X".into() };
        let mut scan = ScanSnapshot::of(record);
        scan.plugins = vec![PluginResult::new("a", PluginStatus::Completed).with_issues([issue])];
        let waiting = Waiting::Queued { position: Some(2), interrupted: None };
        let url = |id: &str| Some(format!("https://traces/{id}"));
        let status = StatusBody::new(&scan, Some(&waiting), 3, url);
        let json = serde_json::to_value(&status).unwrap();
        assert!(json["results"][0].get("issues").is_none(), "a status is sent with each change");
        assert_eq!(serde_json::from_value::<StatusBody>(json).unwrap(), status);
        let detail = ScanDetail::new(&scan, Some(&waiting), 3, url);
        let json = serde_json::to_value(&detail).unwrap();
        assert_eq!(
            (json["plugins"][0]["issues"][0]["id"].as_str(), json["target_unicode"].as_str()),
            (Some("x"), Some("b\u{fc}cher.example"))
        );
        assert_eq!(
            (json["request"]["max_workers"].as_u64(), json["request"]["overrides"][0].as_str()),
            (Some(5), Some("zap.api_key=••••••"))
        );
        assert_eq!(serde_json::from_value::<ScanDetail>(json).unwrap(), detail);
    }
}
