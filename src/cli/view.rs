//! A scan as the commands show it, from any backend: the parts of the API's responses, and where
//! its report is.

use kastrel_actors::model::{Coverage, ScanSnapshot, Target};
use kastrel_actors::policy::waiting::Waiting;
use serde::Serialize;

use crate::api_types::{CoverageBody, PluginBody, ScanDetail, ScanProgress, ScanSummary, StatusBody};

/// A scan. Its JSON is that of the status API, with the issues of the plugins if they are known,
/// and with the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScanView {
    /// The scan as in a list.
    #[serde(flatten)]
    pub summary: ScanSummary,
    /// What the scan does or waits for. A server's list does not have it.
    #[serde(flatten)]
    pub progress: ScanProgress,
    /// The plugins of the scan. A server's list does not have them.
    pub results: Vec<PluginBody>,
    /// A sentence about a requested report that does not exist after the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_report: Option<String>,
    /// The path or URL of the report.
    pub report: Option<String>,
}

impl From<ScanSummary> for ScanView {
    fn from(summary: ScanSummary) -> Self {
        Self::new(summary, ScanProgress::default(), Vec::new())
    }
}

impl From<StatusBody> for ScanView {
    fn from(StatusBody { summary, progress, results, .. }: StatusBody) -> Self {
        Self::new(summary, progress, results)
    }
}

impl From<ScanDetail> for ScanView {
    fn from(ScanDetail { summary, progress, plugins, .. }: ScanDetail) -> Self {
        Self::new(summary, progress, plugins)
    }
}

impl ScanView {
    /// Creates the view of what a server sent. An earlier version sends no coverage; it is computed
    /// from the plugins, which a list does not have.
    fn new(mut summary: ScanSummary, progress: ScanProgress, results: Vec<PluginBody>) -> Self {
        if summary.coverage.is_none() && results.len() == summary.results_count {
            summary.coverage = Some(coverage_of(&summary, &results));
        }
        Self { summary, progress, results, missing_report: None, report: None }
    }

    /// Creates the view of a scan of this process. `report` is the location of the last attempt's
    /// report, if the scan has ended.
    #[must_use]
    pub fn of(scan: &ScanSnapshot, waiting: Option<&Waiting>, report: Option<String>) -> Self {
        Self {
            summary: scan.into(),
            progress: ScanProgress::of(scan, waiting),
            results: scan.last_plugins().iter().map(PluginBody::with_issues).collect(),
            missing_report: None,
            report: report.filter(|_| scan.status().is_terminal()),
        }
    }

    /// Returns the target for people: in both forms, if it has two.
    #[must_use]
    pub fn target_label(&self) -> String {
        let target = &self.summary.target;
        target.parse::<Target>().map_or_else(|_| target.clone(), |target| target.label())
    }

    /// Returns the coverage of the scan. If the server did not send it, it is computed from the
    /// plugins.
    #[must_use]
    pub fn coverage(&self) -> CoverageBody {
        self.summary.coverage.clone().unwrap_or_else(|| coverage_of(&self.summary, &self.results))
    }
}

/// Computes the coverage from the plugins.
fn coverage_of(summary: &ScanSummary, results: &[PluginBody]) -> CoverageBody {
    let mut coverage = Coverage::new(summary.dry_run, Vec::new());
    for plugin in results {
        let ended = summary.status.is_terminal();
        let status = if ended { plugin.status.when_attempt_ends() } else { plugin.status };
        coverage.add(status, plugin.plugin_name.clone());
    }
    coverage.into()
}

#[cfg(test)]
pub(crate) mod tests {
    use jiff::Timestamp;
    use kastrel_actors::model::{
        Failure, FailureKind, IssueRef, PluginResult, PluginStatus, ScanState, ScanStatus, Severity, SeverityCounts,
    };
    use kastrel_actors::testing::fixtures;

    use super::*;

    /// Returns the counts of one issue of `severity`.
    pub(crate) fn one(severity: Severity) -> SeverityCounts {
        let issues = vec![IssueRef { id: "x".into(), severity, title: "X".into() }];
        SeverityCounts::of(&[PluginResult { issues, ..PluginResult::new("a", PluginStatus::Completed) }])
    }

    pub(crate) fn plugin(name: &str, status: PluginStatus) -> PluginBody {
        PluginBody::with_issues(&PluginResult::new(name, status))
    }

    pub(crate) fn view(status: ScanStatus) -> ScanView {
        let mut view = ScanView::of(&ScanSnapshot::of(fixtures::record(3, Timestamp::UNIX_EPOCH)), None, None);
        view.summary.status = status;
        view
    }

    /// Returns the view with another summary.
    pub(crate) fn with(mut view: ScanView, change: impl FnOnce(&mut ScanSummary)) -> ScanView {
        change(&mut view.summary);
        view
    }

    #[test]
    fn views_of_this_process_and_of_a_server_are_equal() {
        let mut scan = ScanSnapshot::of(fixtures::record(3, Timestamp::UNIX_EPOCH));
        scan.plugins = vec![PluginResult::new("a", PluginStatus::InProgress)];
        let waiting = Waiting::Queued { position: Some(1), interrupted: None };
        let sent = serde_json::to_string(&ScanDetail::new(&scan, Some(&waiting), 3, |_| None)).unwrap();
        let read: ScanDetail = serde_json::from_str(&sent).unwrap();
        assert_eq!(ScanView::from(read), ScanView::of(&scan, Some(&waiting), None));
    }

    #[test]
    fn json_of_a_view_has_the_fields_of_the_status_api() {
        let scan = ScanSnapshot::of(fixtures::record(3, Timestamp::UNIX_EPOCH));
        let view = serde_json::to_value(ScanView::of(&scan, None, None)).unwrap();
        let status = serde_json::to_value(StatusBody::new(&scan, None, 3, |_| None)).unwrap();
        let of_server = ["max_attempts", "trace_id", "trace_url"];
        for name in status.as_object().unwrap().keys().filter(|name| !of_server.contains(&name.as_str())) {
            assert_eq!(view[name], status[name], "{name}");
        }
        assert!(view.get("report").is_some_and(serde_json::Value::is_null));
    }

    #[test]
    fn coverage_of_an_earlier_server_is_computed_from_the_plugins() {
        let plain = r#"{"scan_id":1,"status":"completed","target":"x","results_count":2,"results":[
            {"plugin_name":"a","status":"completed"},{"plugin_name":"b","status":"in_progress"}]}"#;
        let view = ScanView::from(serde_json::from_str::<StatusBody>(plain).unwrap());
        let coverage = view.summary.coverage.unwrap();
        assert_eq!((coverage.ran, coverage.total, coverage.gaps), (1, 2, 1));
        let listed = r#"{"scan_id":1,"status":"completed","target":"x","results_count":2}"#;
        let view = ScanView::from(serde_json::from_str::<ScanSummary>(listed).unwrap());
        assert_eq!(view.summary.coverage, None, "a list has no plugins to compute it from");
    }

    #[test]
    fn view_of_a_failed_scan_has_reason_and_report() {
        let report = Some("/results/kast_report.html".to_owned());
        let mut record = fixtures::record(1, Timestamp::UNIX_EPOCH);
        record.started_at = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(
            ScanView::of(&ScanSnapshot::of(record.clone()), None, report.clone()).report,
            None,
            "a running scan has none"
        );
        record.state = ScanState::Failed {
            at: Timestamp::from_second(90).unwrap(),
            failure: Failure::new(FailureKind::Crashed, "broke"),
        };
        let scan = ScanView::of(&ScanSnapshot::of(record), None, report.clone());
        assert_eq!((scan.summary.error_message.as_deref(), scan.summary.duration), (Some("broke"), Some(90.0)));
        assert_eq!(scan.report, report);
    }
}
