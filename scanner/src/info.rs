//! The file `kast_info.json`. The scanner writes it once, after the last plugin; its presence means
//! that the scan completed.

use jiff::ZonedDateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::output::Status;

/// The file's name.
pub const FILE_NAME: &str = "kast_info.json";

/// The content of the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The scanner's name and version. KAST writes its own version here.
    pub kast_version: String,
    /// Always [`crate::NAME`], so that readers do not take the files for KAST's.
    pub scanner: String,
    /// Local time without a zone, as KAST writes it.
    pub start_timestamp: String,
    /// Local time without a zone.
    pub end_timestamp: String,
    /// Seconds, with two decimals.
    pub duration_seconds: f64,
    /// The arguments of the scanner.
    pub cli_arguments: Value,
    /// The plugins in the order in which they were started.
    pub plugins: Vec<PluginRun>,
    /// KAST's record of its language model; this scanner has none.
    pub ai: Value,
    /// Notes for the reader about this scan.
    pub notes: Vec<String>,
}

/// The result of one plugin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginRun {
    /// The plugin's name.
    pub plugin_name: String,
    /// Local time without a zone.
    pub start_timestamp: Option<String>,
    /// Local time without a zone.
    pub end_timestamp: Option<String>,
    /// Seconds, with two decimals.
    pub duration_seconds: Option<f64>,
    /// `success`, `fail` or `skipped`. The type is text because KAST has more values.
    pub status: String,
    /// The reason if the plugin did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl PluginRun {
    /// Creates the record of a plugin that ran from `start` to `end`.
    #[must_use]
    pub fn new(name: &str, start: &ZonedDateTime, end: &ZonedDateTime, status: Status, reason: Option<String>) -> Self {
        let status = match status {
            Status::Success => "success",
            Status::Fail => "fail",
            Status::Skipped => "skipped",
        };
        Self {
            plugin_name: name.to_owned(),
            start_timestamp: Some(local(start)),
            end_timestamp: Some(local(end)),
            duration_seconds: Some(seconds_between(start, end)),
            status: status.to_owned(),
            reason,
        }
    }
}

/// Formats a time as KAST does here: local, with microseconds, without a zone.
#[must_use]
pub fn local(time: &ZonedDateTime) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// Returns the seconds from one time to another, with two decimals.
#[must_use]
pub fn seconds_between(start: &ZonedDateTime, end: &ZonedDateTime) -> f64 {
    (start.duration_until(end).as_secs_f64() * 100.0).round() / 100.0
}

/// Returns KAST's block about language models, in its state without a model.
#[must_use]
pub fn no_ai() -> Value {
    json!({
        "enabled": false, "status": "disabled", "adapter": null, "endpoint": null, "model": null, "prompt_version": null,
        "tokens_in": null, "tokens_out": null, "latency_ms": null, "error": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_times_are_local_without_a_zone() {
        let start: ZonedDateTime = "2030-01-02T03:04:05.1234567+09:00[Asia/Tokyo]".parse().unwrap();
        let end: ZonedDateTime = "2030-01-02T03:04:08.6+09:00[Asia/Tokyo]".parse().unwrap();
        let run = PluginRun::new("x", &start, &end, Status::Fail, Some("why".to_owned()));
        assert_eq!(run.start_timestamp.as_deref(), Some("2030-01-02T03:04:05.123456"));
        assert_eq!(run.duration_seconds, Some(3.48));
        assert_eq!(run.status, "fail");
    }
}
