//! The output files of one plugin, with KAST's names and formats. Each file is written as `.tmp`
//! and then renamed, so it is always complete.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::issues::Severity;
use crate::plugin::{Finding, Meta, Outcome};

/// The status of a plugin, by the names of `kast_info.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The check completed.
    Success,
    /// The check could not be completed.
    Fail,
    /// The check does not apply to this target.
    Skipped,
}

/// The content of `<name>_processed.json`. Every field has a default, because KAST's own files omit
/// some.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Processed {
    /// The plugin's name.
    #[serde(rename = "plugin-name")]
    pub name: String,
    /// One sentence about the plugin.
    #[serde(rename = "plugin-description")]
    pub description: String,
    /// The display name of the plugin.
    #[serde(rename = "plugin-display-name")]
    pub display_name: String,
    /// A page that explains the subject.
    #[serde(rename = "plugin-website-url")]
    pub website_url: String,
    /// The end time of the plugin, in UTC.
    pub timestamp: String,
    /// The findings as JSON: `{name, timestamp, disposition, results}`. `results` is a list, or the
    /// reason as text.
    pub findings: Value,
    /// The number of findings.
    pub findings_count: u64,
    /// A one-line summary.
    pub summary: String,
    /// The checks, one per line.
    pub details: String,
    /// The ids of the issues found, without duplicates, worst first.
    pub issues: Vec<Value>,
    /// One sentence for a reader who is not a specialist.
    pub executive_summary: String,
    /// A command that repeats the check.
    pub report: String,
}

/// Builds the processed file of a finished plugin.
#[must_use]
pub fn processed(meta: &Meta, outcome: &Outcome, target: &str, ended: Timestamp) -> Processed {
    let timestamp = utc(ended);
    let base = Processed {
        name: meta.name.to_owned(),
        description: meta.description.to_owned(),
        display_name: meta.display_name.to_owned(),
        website_url: meta.website_url.to_owned(),
        timestamp: timestamp.clone(),
        report: format!("kastrel scanner -t {target} --run-only {}", meta.name),
        ..Processed::default()
    };
    let findings = |disposition: &str, results: Value| json!({ "name": meta.name, "timestamp": timestamp, "disposition": disposition, "results": results });
    match outcome {
        Outcome::Done(report) | Outcome::Partial(report, _) => {
            let mut sorted: Vec<&Finding> = report.findings.iter().collect();
            sorted.sort_by_key(|finding| finding.issue.severity);
            let mut issues: Vec<Value> = Vec::new();
            for finding in &sorted {
                if !issues.iter().any(|id| id == finding.issue.id) {
                    issues.push(finding.issue.id.into());
                }
            }
            let tally = tally(&sorted);
            let results = sorted.iter().map(|finding| result(finding)).collect();
            let file = Processed {
                findings_count: sorted.len() as u64,
                summary: format!("{}: {tally}", report.headline),
                details: report.observations.join("\n"),
                issues,
                executive_summary: format!("{} found {tally}.", meta.display_name),
                ..base
            };
            let Outcome::Partial(_, reason) = outcome else {
                return Processed { findings: findings("success", results), ..file };
            };
            let mut findings = findings("fail", results);
            findings["error"] = format!("not everything was checked: {reason}").into();
            Processed {
                findings,
                summary: format!("{}; not everything was checked: {reason}", file.summary),
                executive_summary: format!("{} found {tally}, but could not check everything.", meta.display_name),
                ..file
            }
        }
        Outcome::Failed(reason) => Processed {
            findings: findings("fail", reason.as_str().into()),
            summary: format!("{} could not be checked: {reason}", meta.display_name),
            executive_summary: format!("{} could not be checked.", meta.display_name),
            ..base
        },
        Outcome::Skipped(reason) => Processed {
            findings: findings("skipped", reason.as_str().into()),
            summary: format!("Skipped: {reason}"),
            executive_summary: format!("{} does not apply to this target.", meta.display_name),
            ..base
        },
    }
}

fn result(finding: &Finding) -> Value {
    json!({
        "issue": finding.issue.id,
        "severity": finding.issue.severity,
        "title": finding.issue.title,
        "location": finding.location,
        "evidence": finding.evidence,
    })
}

/// Returns the number of findings by severity, such as "1 High, 2 Low", or "no findings".
fn tally(findings: &[&Finding]) -> String {
    let parts: Vec<_> = Severity::ALL
        .iter()
        .filter_map(|severity| {
            let count = findings.iter().filter(|finding| finding.issue.severity == *severity).count();
            (count > 0).then(|| format!("{count} {}", severity.name()))
        })
        .collect();
    if parts.is_empty() { "no findings".to_owned() } else { parts.join(", ") }
}

/// Formats a time as KAST does in processed files: UTC, with milliseconds.
#[must_use]
pub fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()
}

/// Writes a file atomically: a reader sees the complete file or no file.
///
/// # Errors
/// Returns the error of the file system.
pub fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let partial = folder.join(format!("{name}.tmp"));
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, folder.join(name))
}

/// Writes a value as indented JSON, atomically.
///
/// # Errors
/// Returns the error of the file system.
pub fn write_json(folder: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    write_whole(folder, name, &serde_json::to_vec_pretty(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issues;
    use crate::plugin::Report;
    use crate::plugins::registry::all;

    fn ended() -> Timestamp {
        "2030-01-02T03:04:05.678Z".parse().unwrap()
    }

    #[test]
    fn finding_counts_are_correct_and_ids_are_unique() {
        let report = Report {
            findings: vec![
                Finding::new(&issues::COOKIE_NO_SAMESITE, "a", "x"),
                Finding::new(&issues::COOKIE_NO_SECURE, "a", "x"),
                Finding::new(&issues::COOKIE_NO_SAMESITE, "b", "x"),
            ],
            headline: "2 cookies".to_owned(),
            ..Report::default()
        };
        let file = processed(all()[0].meta(), &Outcome::Done(report), "a.test", ended());
        assert_eq!(file.findings_count, 3);
        assert_eq!(file.issues, ["cookie_without_secure", "cookie_without_samesite"]);
        assert_eq!(file.summary, "2 cookies: 1 Medium, 2 Low");
        assert_eq!(file.findings["results"].as_array().unwrap().len(), 3);
        assert_eq!(file.timestamp, "2030-01-02T03:04:05.678+00:00");
    }

    #[test]
    fn failed_check_never_looks_like_a_clean_result() {
        let file = processed(all()[0].meta(), &Outcome::Failed("connection refused".to_owned()), "a.test", ended());
        assert_eq!(file.findings["disposition"], "fail");
        assert_eq!(file.findings["results"], "connection refused");
        assert!(file.summary.contains("connection refused"));
    }

    #[test]
    fn processed_file_has_the_keys_of_kast() {
        let value = serde_json::to_value(Processed::default()).unwrap();
        let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "details",
                "executive_summary",
                "findings",
                "findings_count",
                "issues",
                "plugin-description",
                "plugin-display-name",
                "plugin-name",
                "plugin-website-url",
                "report",
                "summary",
                "timestamp"
            ]
        );
    }

    #[test]
    fn files_are_written_atomically() {
        let folder = tempfile::tempdir().unwrap();
        write_whole(folder.path(), "a.json", b"{}").unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a.json"]);
    }
}
