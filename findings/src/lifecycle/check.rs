//! What a scan checked.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How the check of a plugin ended, from the point of view of one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The plugin ran to its end, on a scope that has everything in which the finding was seen, and
    /// its result was read completely.
    Completed,
    /// The plugin failed.
    Failed,
    /// The plugin ran out of time.
    TimedOut,
    /// The plugin was left out.
    Skipped,
    /// The plugin's tool is not installed.
    Unavailable,
    /// The scan ended before the plugin did.
    Cancelled,
    /// The scan checked nothing on purpose.
    DryRun,
    /// The plugin ran to its end on less than it did when it saw the finding.
    NarrowerScope,
    /// The plugin ran to its end, and its result could not be read completely, or it had no result
    /// for this issue.
    ReadInPart,
}

impl Check {
    /// All ends.
    pub const ALL: [Self; 9] = [
        Self::Completed,
        Self::Failed,
        Self::TimedOut,
        Self::Skipped,
        Self::Unavailable,
        Self::Cancelled,
        Self::DryRun,
        Self::NarrowerScope,
        Self::ReadInPart,
    ];

    /// Returns true if a finding that was not seen was really absent.
    #[must_use]
    pub const fn proves_absence(self) -> bool {
        matches!(self, Self::Completed)
    }

    /// Returns true if what was seen counts. A plugin that failed later still saw what it saw.
    #[must_use]
    pub const fn counts_sightings(self) -> bool {
        !matches!(self, Self::DryRun)
    }

    /// Returns why a finding was not checked, as the end of "not checked: …".
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Completed => "the check completed",
            Self::Failed => "the plugin failed",
            Self::TimedOut => "the plugin ran out of time",
            Self::Skipped => "the plugin was left out",
            Self::Unavailable => "the tool is not installed",
            Self::Cancelled => "the scan ended before the plugin",
            Self::DryRun => "it was a dry run",
            Self::NarrowerScope => "the scan checked less than before",
            Self::ReadInPart => "the result could not be read completely",
        }
    }
}

/// The place of an attempt among all scans of a target: by the time at which it ended, then by scan
/// and token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScanOrder {
    /// The time at which the attempt ended, by the clock of the database.
    pub at: Timestamp,
    /// The scan.
    pub scan: u64,
    /// The fencing token of the attempt.
    pub token: u64,
}

/// The plugins that check the same things in every scan of one scope.
const DETERMINISTIC: &[&str] = &[
    "cookie_flags",
    "cors_analyzer",
    "cors_policy",
    "dns_posture",
    "exposed_files",
    "http_headers",
    "mozilla_observatory",
    "script_detection",
    "script_integrity",
    "technology_hints",
    "testssl",
    "tls_certificate",
    "wafw00f",
    "whatweb",
];

/// Returns the number of scans without a sighting after which a finding of this plugin is fixed: 1,
/// or 2 for crawlers, searches and plugins that nobody has classified.
#[must_use]
pub fn scans_to_fix(plugin: &str) -> usize {
    if DETERMINISTIC.contains(&plugin) { 1 } else { 2 }
}
