//! The progress of an active ZAP scan, from the file `zap_scan_progress.json` that its plugin
//! writes while it runs. The parser handles the file as hostile input.

use serde::Deserialize;
use serde_json::Value;

use crate::web::text::{clean, duration};

pub(crate) const FILE: &str = "zap_scan_progress.json";
pub(crate) const MOST_BYTES: u64 = 1 << 20;
const MOST_TEXT: usize = 200;

/// The progress of ZAP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZapView {
    pub(crate) status: String,
    pub(crate) elapsed: String,
    pub(crate) bars: Vec<ZapBar>,
    pub(crate) queue: Option<u64>,
    pub(crate) alerts: String,
    pub(crate) warnings: Vec<String>,
}

/// The progress of one phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZapBar {
    pub(crate) label: &'static str,
    pub(crate) percent: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Progress {
    status: Value,
    elapsed_seconds: Value,
    progress: Value,
    alerts: Value,
    warnings: Value,
    errors: Value,
}

/// Parses the file; `None` if it contains no usable progress.
pub(crate) fn view(bytes: &[u8]) -> Option<ZapView> {
    let progress: Progress = serde_json::from_slice(bytes).ok()?;
    let percent = |name: &str| {
        progress.progress.get(name).and_then(Value::as_f64).map(|value| value.clamp(0.0, 100.0).round() as u64)
    };
    let bar = |(label, name)| percent(name).map(|percent| ZapBar { label, percent });
    let risks = progress
        .alerts
        .get("by_risk")
        .and_then(|risks| risks.get("alertsSummary").or(Some(risks)))
        .and_then(Value::as_object);
    let by_risk = risks.into_iter().flatten().filter_map(|(risk, count)| {
        Some(format!("{} {}", count.as_u64().filter(|count| *count > 0)?, short(risk).to_lowercase()))
    });
    let texts = |value: &Value| {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).take(5).map(short).collect::<Vec<_>>()
    };
    Some(ZapView {
        status: progress.status.as_str().map(short).unwrap_or_default(),
        elapsed: progress
            .elapsed_seconds
            .as_f64()
            .filter(|seconds| (0.0..1e9).contains(seconds))
            .map(|seconds| duration(jiff::SignedDuration::from_secs(seconds as i64)))
            .unwrap_or_default(),
        bars: [("Spider", "spider_percent"), ("Active scan", "active_scan_percent")]
            .into_iter()
            .filter_map(bar)
            .collect(),
        queue: progress.progress.get("passive_scan_queue").and_then(Value::as_u64),
        alerts: by_risk.take(8).collect::<Vec<_>>().join(", "),
        warnings: texts(&progress.errors).into_iter().chain(texts(&progress.warnings)).collect(),
    })
}

fn short(text: &str) -> String {
    clean(&text.chars().take(MOST_TEXT).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_alerts_are_read_and_nonsense_is_not_shown() {
        for alerts in [
            r#"{"total":3,"by_risk":{"High":2,"Low":1,"Medium":0}}"#,
            r#"{"by_risk":{"alertsSummary":{"High":2,"Low":1}}}"#,
        ] {
            let text = format!(
                r#"{{"status":"running","elapsed_seconds":75,"progress":{{"spider_percent":100,"active_scan_percent":41.6,"passive_scan_queue":7}},"alerts":{alerts},"warnings":["slow \u001b[31m"],"errors":[]}}"#
            );
            let view = view(text.as_bytes()).unwrap();
            assert_eq!(
                (view.status.as_str(), view.elapsed.as_str(), view.queue, view.alerts.as_str()),
                ("running", "1 min 15 s", Some(7), "2 high, 1 low")
            );
            assert_eq!(
                view.bars,
                [ZapBar { label: "Spider", percent: 100 }, ZapBar { label: "Active scan", percent: 42 }]
            );
            assert_eq!(view.warnings, ["slow "]);
        }
        assert_eq!(view(b"not json"), None);
        let odd = view(br#"{"status":5,"progress":[],"alerts":"x","elapsed_seconds":-1}"#).unwrap();
        assert_eq!((odd.bars.len(), odd.alerts.as_str(), odd.elapsed.as_str()), (0, "", ""));
    }
}
