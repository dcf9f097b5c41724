//! A scan as the commands show it, from whichever side it came. Its JSON is the status API's, with more fields.

use jiff::Timestamp;
use kastrel_actors::model::{
    CancelledBy, PendingReason, PluginResult, PluginStatus, ScanId, ScanSnapshot, ScanState, ScanStatus, ScannerInfo, Severity, SeverityCounts, total_count,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

/// One plugin of a scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginView {
    /// Its name.
    #[serde(alias = "name")]
    pub plugin_name: String,
    /// Its state.
    pub status: PluginStatus,
    /// What it says it found.
    #[serde(default)]
    pub findings_count: u64,
    /// When it ended.
    #[serde(default, deserialize_with = "lenient")]
    pub executed_at: Option<Timestamp>,
    /// How many issues of each severity it named.
    #[serde(default, deserialize_with = "lenient")]
    pub severities: SeverityCounts,
    /// Its summary, or why it failed.
    #[serde(default, deserialize_with = "lenient")]
    pub message: Option<String>,
}

/// Why a scan waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitingView {
    /// `submitted`, `retry` or `requeued`.
    pub reason: String,
    /// The kind of failure or interruption.
    #[serde(default)]
    pub kind: Option<String>,
    /// How the last attempt failed.
    #[serde(default)]
    pub detail: Option<String>,
    /// The earliest moment of the next attempt.
    #[serde(default, deserialize_with = "lenient")]
    pub due: Option<Timestamp>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanView {
    /// Its identity.
    #[serde(alias = "id")]
    pub scan_id: ScanId,
    /// Where it stands.
    pub status: ScanStatus,
    /// What is scanned.
    pub target: String,
    /// When it was accepted.
    #[serde(default, deserialize_with = "lenient")]
    pub created_at: Option<Timestamp>,
    /// When its first attempt started.
    #[serde(default, deserialize_with = "lenient")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, deserialize_with = "lenient")]
    pub completed_at: Option<Timestamp>,
    /// How long it took, in seconds.
    #[serde(default, deserialize_with = "lenient")]
    pub duration: Option<f64>,
    /// Why it failed.
    #[serde(default, deserialize_with = "lenient")]
    pub error_message: Option<String>,
    /// The last attempt's number; 0 before the first.
    #[serde(default, deserialize_with = "lenient")]
    pub attempt: u32,
    /// Which scanner runs or ran.
    #[serde(default, deserialize_with = "lenient")]
    pub scanner: Option<ScannerInfo>,
    /// While it waits: why.
    #[serde(default, deserialize_with = "lenient")]
    pub waiting: Option<WaitingView>,
    /// A cancel that waits for the running attempt's end.
    #[serde(default, deserialize_with = "lenient")]
    pub cancel_requested: Option<CancelledBy>,
    /// Its plugins.
    #[serde(default)]
    pub results: Vec<PluginView>,
    /// How many plugins.
    #[serde(default)]
    pub results_count: usize,
    /// How many plugins failed.
    #[serde(default)]
    pub plugins_failed: usize,
    /// What the plugins say they found, together.
    #[serde(default)]
    pub findings_count: u64,
    /// How many issues of each severity.
    #[serde(default, deserialize_with = "lenient")]
    pub severities: SeverityCounts,
    /// The path or address of its report.
    #[serde(default, alias = "report_url", deserialize_with = "lenient")]
    pub report: Option<String>,
}

/// What an older or newer server says differently is as if it said nothing: only the fields of the promised shape must be right.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
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
        }
    }

    /// The worst severity among its issues.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        // Declared worst first.
        Severity::ALL.iter().copied().find(|severity| number(&self.severities, *severity) > 0)
    }
}

/// How many issues of one severity.
#[must_use]
pub const fn number(counts: &SeverityCounts, severity: Severity) -> u64 {
    match severity {
        Severity::Critical => counts.critical,
        Severity::High => counts.high,
        Severity::Medium => counts.medium,
        Severity::Low => counts.low,
        Severity::Informational => counts.informational,
        Severity::Unknown => counts.unknown,
    }
}

impl ScanView {
    /// The view of a scan of this process. `report` is where the last attempt's report is; a scan that has not ended has none.
    #[must_use]
    pub fn of(snapshot: &ScanSnapshot, report: Option<String>) -> Self {
        let record = &snapshot.record;
        let attempt = record.last_attempt();
        let ended = record.ended_at();
        let plugins = match &record.state {
            ScanState::Completed { verdict, .. } if !verdict.plugins.is_empty() => &verdict.plugins,
            _ => &snapshot.plugins,
        };
        Self {
            scan_id: record.id,
            status: record.status(),
            target: record.request.target.to_string(),
            created_at: Some(whole_seconds(record.created_at)),
            started_at: record.started_at.map(whole_seconds),
            completed_at: ended.map(whole_seconds),
            duration: record.started_at.zip(ended).map(|(start, end)| (end.duration_since(start).as_secs_f64() * 1000.0).round() / 1000.0),
            error_message: match &record.state {
                ScanState::Failed { failure, .. } => Some(failure.detail.clone()),
                _ => None,
            },
            attempt: attempt.map_or(0, |attempt| attempt.number.0),
            scanner: attempt.and_then(|attempt| attempt.scanner.clone()),
            waiting: waiting_of(&record.state),
            cancel_requested: record.cancel_requested,
            results: plugins.iter().map(PluginView::of).collect(),
            results_count: plugins.len(),
            plugins_failed: plugins.iter().filter(|plugin| plugin.status == PluginStatus::Failed).count(),
            findings_count: total_count(plugins.iter().map(|plugin| plugin.findings_count)),
            severities: SeverityCounts::of(plugins),
            report: report.filter(|_| record.status().is_terminal()),
        }
    }

    /// Whether a named issue is at least as bad as `least`. Issues of unknown severity count only where they are asked for.
    #[must_use]
    pub fn has_issue_at_least(&self, least: Severity) -> bool {
        let counts = |severity: Severity| severity <= least && (severity != Severity::Unknown || least == Severity::Unknown);
        Severity::ALL.iter().any(|severity| counts(*severity) && number(&self.severities, *severity) > 0)
    }

    /// How many plugins ended in `status`.
    #[must_use]
    pub fn plugins_in(&self, status: PluginStatus) -> usize {
        self.results.iter().filter(|plugin| plugin.status == status).count()
    }
}

/// As the API tells times.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn waiting_of(state: &ScanState) -> Option<WaitingView> {
    let ScanState::Pending { due, reason } = state else { return None };
    let (reason, kind, detail) = match reason {
        PendingReason::Submitted => ("submitted", None, None),
        PendingReason::Retry { failure } => ("retry", Some(failure.kind.as_str()), Some(failure.detail.clone())),
        PendingReason::Requeued { why, detail } => ("requeued", Some(why.as_str()), detail.clone()),
    };
    Some(WaitingView { reason: reason.into(), kind: kind.map(Into::into), detail, due: Some(whole_seconds(*due)) })
}

#[cfg(test)]
pub(crate) mod tests {
    use kastrel_actors::model::{Failure, FailureKind, IssueRef};
    use kastrel_actors::testing::fixtures;

    use super::*;

    /// One issue of `severity`.
    pub(crate) fn one(severity: Severity) -> SeverityCounts {
        let issues = vec![IssueRef { id: "x".into(), severity, title: "X".into() }];
        SeverityCounts::of(&[PluginResult { issues, ..PluginResult::new("a", PluginStatus::Completed) }])
    }

    pub(crate) fn plugin(name: &str, status: PluginStatus) -> PluginView {
        PluginView::of(&PluginResult::new(name, status))
    }

    pub(crate) fn view(status: ScanStatus) -> ScanView {
        let mut view = ScanView::of(&ScanSnapshot::of(fixtures::record(3, Timestamp::UNIX_EPOCH)), None);
        view.status = status;
        view
    }

    #[test]
    fn reads_the_status_api_with_and_without_more_fields() {
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
    fn reads_back_what_it_writes() {
        let mut scan = view(ScanStatus::Completed);
        scan.results = vec![PluginView { severities: one(Severity::Low), message: Some("m".into()), ..plugin("a", PluginStatus::Failed) }];
        scan.scanner = Some(ScannerInfo { kind: kastrel_actors::model::ScannerKind::Kast, version: "3".into() });
        assert_eq!(serde_json::from_value::<ScanView>(serde_json::to_value(&scan).unwrap()).unwrap(), scan);
    }

    #[test]
    fn a_failed_scan_tells_why_and_where_its_report_is() {
        let report = Some("/results/kast_report.html".to_owned());
        let mut record = fixtures::record(1, Timestamp::UNIX_EPOCH);
        record.started_at = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(ScanView::of(&ScanSnapshot::of(record.clone()), report.clone()).report, None, "a running scan has none");
        record.state = ScanState::Failed { at: Timestamp::from_second(90).unwrap(), failure: Failure::new(FailureKind::Crashed, "broke") };
        let scan = ScanView::of(&ScanSnapshot::of(record), report.clone());
        assert_eq!((scan.error_message.as_deref(), scan.duration), (Some("broke"), Some(90.0)));
        assert_eq!(scan.report, report);
    }
}
