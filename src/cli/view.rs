//! The view of a scan that the commands show, from any backend. Its JSON is that of the status API,
//! with more fields.

use jiff::Timestamp;
use kastrel_actors::model::{
    CancelledBy, Coverage, GapNames, IssueRef, PluginResult, PluginStatus, ScanId, ScanSnapshot, ScanState, ScanStatus,
    ScannerInfo, Severity, SeverityCounts, Target,
};
use kastrel_actors::policy::waiting::Waiting;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

/// A plugin of a scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginView {
    /// The name of the plugin.
    #[serde(alias = "name")]
    pub plugin_name: String,
    /// The state of the plugin.
    pub status: PluginStatus,
    /// How many items it collected. Items are not issues.
    #[serde(default)]
    pub findings_count: u64,
    /// When it ended.
    #[serde(default, deserialize_with = "lenient")]
    pub executed_at: Option<Timestamp>,
    /// How many issues of each severity it reported.
    #[serde(default, deserialize_with = "lenient")]
    pub severities: SeverityCounts,
    /// Its summary, or why it failed.
    #[serde(default, deserialize_with = "lenient")]
    pub message: Option<String>,
    /// The issues that it reported, if there are very many only the worst; set only in the details
    /// of a scan.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient")]
    pub issues: Vec<IssueRef>,
}

/// The checks of a scan by their end, as in the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CoverageView {
    /// How many checks completed.
    pub ran: usize,
    /// How many checks the scan has, as far as known.
    pub total: usize,
    /// How many checks did not complete and never will. A dry run has none.
    pub gaps: usize,
    /// How many checks wait or run.
    pub unfinished: usize,
    /// Whether the scan had checks and all of them completed.
    pub complete: bool,
    /// Whether no check completed.
    pub nothing_checked: bool,
    /// The coverage in words: `10 of 12 checks ran`.
    pub label: String,
    /// The checks of each kind of gap.
    #[serde(flatten)]
    pub gap_names: GapNames,
    /// The plugins that the user's selection leaves out.
    pub left_out: Vec<String>,
}

/// Why a scan waits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WaitingView {
    /// `queued`, `retry`, `held_back`, `paused`, `no_worker`, `no_capable_worker` or `queue_down`.
    pub reason: String,
    /// The position in the queue of due scans.
    #[serde(default, deserialize_with = "lenient")]
    pub position: Option<u64>,
    /// The kind of failure, interruption or missing resource.
    #[serde(default)]
    pub kind: Option<String>,
    /// Details of the reason.
    #[serde(default)]
    pub detail: Option<String>,
    /// The reason and its details in sentences.
    #[serde(default, deserialize_with = "lenient")]
    pub text: String,
    /// The earliest start of the next attempt.
    #[serde(default, deserialize_with = "lenient")]
    pub due: Option<Timestamp>,
}

impl WaitingView {
    fn of(state: &ScanState, waiting: &Waiting) -> Option<Self> {
        let ScanState::Pending { due, .. } = state else { return None };
        let position = if let Waiting::Queued { position, .. } = waiting { *position } else { None };
        Some(Self {
            reason: waiting.name().into(),
            position,
            kind: waiting.kind().map(Into::into),
            detail: waiting.detail(),
            text: waiting.to_string(),
            due: Some(whole_seconds(waiting.next(*due))),
        })
    }
}

/// The view of a scan. See the module documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanView {
    /// The number of the scan.
    #[serde(alias = "id")]
    pub scan_id: ScanId,
    /// The state of the scan.
    pub status: ScanStatus,
    /// The target of the scan.
    pub target: String,
    /// The target with its host in Unicode, if it has two forms.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub target_unicode: Option<String>,
    /// When the scan was accepted.
    #[serde(default, deserialize_with = "lenient")]
    pub created_at: Option<Timestamp>,
    /// When the first attempt started.
    #[serde(default, deserialize_with = "lenient")]
    pub started_at: Option<Timestamp>,
    /// When the scan ended.
    #[serde(default, deserialize_with = "lenient")]
    pub completed_at: Option<Timestamp>,
    /// The duration of the scan, in seconds.
    #[serde(default, deserialize_with = "lenient")]
    pub duration: Option<f64>,
    /// Why the scan failed.
    #[serde(default, deserialize_with = "lenient")]
    pub error_message: Option<String>,
    /// The last attempt's number; 0 before the first.
    #[serde(default, deserialize_with = "lenient")]
    pub attempt: u32,
    /// The scanner of the last attempt.
    #[serde(default, deserialize_with = "lenient")]
    pub scanner: Option<ScannerInfo>,
    /// Why the scan waits, if it is pending.
    #[serde(default, deserialize_with = "lenient")]
    pub waiting: Option<WaitingView>,
    /// Who requested a cancel that waits for the end of the running attempt.
    #[serde(default, deserialize_with = "lenient")]
    pub cancel_requested: Option<CancelledBy>,
    /// Whether the scan only listed its steps.
    #[serde(default, deserialize_with = "lenient")]
    pub dry_run: bool,
    /// The plugins of the scan.
    #[serde(default, alias = "plugins")]
    pub results: Vec<PluginView>,
    /// Which checks of the scan ran.
    #[serde(default, deserialize_with = "lenient")]
    pub coverage: Option<CoverageView>,
    /// A sentence about a requested report that does not exist after the end.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient")]
    pub missing_report: Option<String>,
    /// How many plugins the scan has.
    #[serde(default)]
    pub results_count: usize,
    /// How many plugins failed.
    #[serde(default)]
    pub plugins_failed: usize,
    /// How many items all plugins collected. Items are not issues.
    #[serde(default)]
    pub findings_count: u64,
    /// How many issues of each severity the plugins reported.
    #[serde(default, deserialize_with = "lenient")]
    pub severities: SeverityCounts,
    /// The path or URL of the report.
    #[serde(default, alias = "report_url", deserialize_with = "lenient")]
    pub report: Option<String>,
}

/// Deserializes a field of an older or newer server: an unexpected value becomes the default. Only
/// the fields of the guaranteed shape must be valid.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

impl From<Coverage> for CoverageView {
    fn from(coverage: Coverage) -> Self {
        Self {
            ran: coverage.ran(),
            total: coverage.total(),
            gaps: coverage.gaps(),
            unfinished: coverage.unfinished().len(),
            complete: coverage.is_complete(),
            nothing_checked: coverage.nothing_checked(),
            label: coverage.label(),
            gap_names: GapNames::from(&coverage),
            left_out: coverage.left_out,
        }
    }
}

impl CoverageView {
    /// Computes the coverage from the plugins.
    fn of_results(results: &[PluginView], dry_run: bool, ended: bool) -> Self {
        let mut coverage = Coverage::new(dry_run, Vec::new());
        for plugin in results {
            let status = if ended { plugin.status.when_attempt_ends() } else { plugin.status };
            coverage.add(status, plugin.plugin_name.clone());
        }
        coverage.into()
    }

    /// Returns the checks that did not complete, by cause in words.
    pub fn causes(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        Coverage::GAPS.iter().map(|status| (status.text().cause, self.gap_names.of(*status)))
    }
}

impl PluginView {
    fn of(plugin: &PluginResult) -> Self {
        Self {
            plugin_name: plugin.name.clone(),
            status: plugin.status,
            findings_count: plugin.findings_count,
            executed_at: plugin.ended_at.map(whole_seconds),
            severities: SeverityCounts::of(std::slice::from_ref(plugin)),
            message: plugin.message.clone(),
            issues: plugin.issues.clone(),
        }
    }

    /// Returns how many issues the plugin reported.
    #[must_use]
    pub fn issues_count(&self) -> u64 {
        self.severities.total()
    }

    /// Returns the worst severity of its issues.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.severities.worst()
    }
}

impl ScanView {
    /// Returns the target for people: in both forms, if it has two.
    #[must_use]
    pub fn target_label(&self) -> String {
        self.target.parse::<Target>().map_or_else(|_| self.target.clone(), |target| target.label())
    }

    /// Creates the view of a scan of this process. `report` is the location of the last attempt's
    /// report, if the scan has ended.
    #[must_use]
    pub fn of(snapshot: &ScanSnapshot, waiting: Option<&Waiting>, report: Option<String>) -> Self {
        let record = &snapshot.record;
        let attempt = record.last_attempt();
        let overview = snapshot.overview();
        Self {
            scan_id: record.id,
            status: record.status(),
            target: record.request.target.to_string(),
            target_unicode: record.request.target.unicode(),
            created_at: Some(whole_seconds(record.created_at)),
            started_at: overview.started_at.map(whole_seconds),
            completed_at: overview.ended_at.map(whole_seconds),
            duration: overview.took().map(|took| (took.as_secs_f64() * 1000.0).round() / 1000.0),
            error_message: match &record.state {
                ScanState::Failed { failure, .. } => Some(failure.detail.clone()),
                _ => None,
            },
            attempt: attempt.map_or(0, |attempt| attempt.number.0),
            scanner: attempt.and_then(|attempt| attempt.scanner.clone()),
            waiting: waiting.and_then(|waiting| WaitingView::of(&record.state, waiting)),
            cancel_requested: record.cancel_requested,
            dry_run: record.request.options.dry_run,
            results: snapshot.last_plugins().iter().map(PluginView::of).collect(),
            missing_report: None,
            results_count: overview.plugins,
            plugins_failed: overview.failed,
            findings_count: overview.items,
            severities: overview.severities,
            coverage: Some(overview.coverage.into()),
            report: report.filter(|_| record.status().is_terminal()),
        }
    }

    /// Adds the coverage, computed from the plugins, if the server did not send it.
    #[must_use]
    pub fn with_coverage(mut self) -> Self {
        // A scan in a list has no plugins to compute it from.
        if self.coverage.is_none() && self.results.len() == self.results_count {
            self.coverage = Some(self.coverage_or_results());
        }
        self
    }

    /// Returns the coverage of the scan. If the server did not send it, it is computed from the
    /// plugins.
    #[must_use]
    pub fn coverage_or_results(&self) -> CoverageView {
        self.coverage
            .clone()
            .unwrap_or_else(|| CoverageView::of_results(&self.results, self.dry_run, self.status.is_terminal()))
    }

    /// Returns how many issues the scan has.
    #[must_use]
    pub fn issues_count(&self) -> u64 {
        self.severities.total()
    }

    /// Returns how many plugins have the state `status`.
    #[must_use]
    pub fn plugins_in(&self, status: PluginStatus) -> usize {
        self.results.iter().filter(|plugin| plugin.status == status).count()
    }
}

/// Truncates a time to seconds, as the API does.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
pub(crate) mod tests {
    use kastrel_actors::model::{Failure, FailureKind};
    use kastrel_actors::testing::fixtures;

    use super::*;

    /// Returns the counts of one issue of `severity`.
    pub(crate) fn one(severity: Severity) -> SeverityCounts {
        let issues = vec![IssueRef { id: "x".into(), severity, title: "X".into() }];
        SeverityCounts::of(&[PluginResult { issues, ..PluginResult::new("a", PluginStatus::Completed) }])
    }

    pub(crate) fn plugin(name: &str, status: PluginStatus) -> PluginView {
        PluginView::of(&PluginResult::new(name, status))
    }

    pub(crate) fn view(status: ScanStatus) -> ScanView {
        let mut view = ScanView::of(&ScanSnapshot::of(fixtures::record(3, Timestamp::UNIX_EPOCH)), None, None);
        view.status = status;
        view
    }

    #[test]
    fn view_reads_the_status_api_with_and_without_more_fields() {
        let plain = r#"{"scan_id":1,"status":"running","target":"example.com","started_at":"2025-11-07T09:00:00Z","completed_at":null,"duration":null,"error_message":null,
            "results":[{"plugin_name":"whatweb","status":"in_progress","findings_count":0,"executed_at":null}],"results_count":1}"#;
        let scan: ScanView = serde_json::from_str(plain).unwrap();
        assert_eq!((scan.scan_id, scan.status, scan.attempt), (ScanId(1), ScanStatus::Running, 0));
        assert_eq!(scan.results[0].status, PluginStatus::InProgress);
        let strange = r#"{"id":2,"status":"failed","target":"x","duration":"long","attempt":"two","scanner":"KAST","report":7,"started_at":"2025-11-07T09:00:00","other":1}"#;
        let scan: ScanView = serde_json::from_str(strange).unwrap();
        assert_eq!((scan.scan_id, scan.attempt, scan.scanner, scan.started_at), (ScanId(2), 0, None, None));
        assert!(serde_json::from_str::<ScanView>(r#"{"scan_id":1,"status":"odd","target":"x"}"#).is_err());
    }

    #[test]
    fn view_reads_back_what_it_writes() {
        let mut scan = view(ScanStatus::Completed);
        scan.results = vec![PluginView {
            severities: one(Severity::Low),
            message: Some("m".into()),
            ..plugin("a", PluginStatus::Failed)
        }];
        scan.scanner = Some(ScannerInfo { kind: kastrel_actors::model::ScannerKind::Kast, version: "3".into() });
        assert_eq!(serde_json::from_value::<ScanView>(serde_json::to_value(&scan).unwrap()).unwrap(), scan);
    }

    #[test]
    fn view_has_both_forms_of_an_internationalised_target() {
        let mut record = fixtures::record(1, Timestamp::UNIX_EPOCH);
        assert!(
            !serde_json::to_string(&ScanView::of(&ScanSnapshot::of(record.clone()), None, None))
                .unwrap()
                .contains("target_unicode")
        );
        record.request.target = "b\u{fc}cher.example".parse().unwrap();
        let scan = ScanView::of(&ScanSnapshot::of(record), None, None);
        assert_eq!(
            (scan.target.as_str(), scan.target_unicode.as_deref()),
            ("xn--bcher-kva.example", Some("b\u{fc}cher.example"))
        );
        assert_eq!(serde_json::from_str::<ScanView>(&serde_json::to_string(&scan).unwrap()).unwrap(), scan);
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
        assert_eq!((scan.error_message.as_deref(), scan.duration), (Some("broke"), Some(90.0)));
        assert_eq!(scan.report, report);
    }
}
