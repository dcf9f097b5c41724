//! A plugin's part in a scan: its state, its findings and what they are worth.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

named_enum! {
    /// Where a plugin stands, in the words of the status API.
    pub enum PluginStatus {
        /// It has not started yet.
        Pending = "pending",
        /// It has started.
        InProgress = "in_progress",
        /// It ended well.
        Completed = "completed",
        /// It ended badly; its message says why.
        Failed = "failed",
        /// It was left out on purpose.
        Skipped = "skipped",
        /// Its tool is missing on the node.
        Unavailable = "unavailable",
    }
}

impl PluginStatus {
    /// Whether the plugin will change no more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::InProgress => false,
            Self::Completed | Self::Failed | Self::Skipped | Self::Unavailable => true,
        }
    }
}

named_enum! {
    /// How bad an issue is, from KAST's registry of issues.
    pub enum Severity {
        /// Worst.
        Critical = "critical",
        /// High.
        High = "high",
        /// Medium.
        Medium = "medium",
        /// Low.
        Low = "low",
        /// Worth knowing.
        Informational = "informational",
        /// Not in the registry.
        Unknown = "unknown",
    }
}

/// A named issue that a plugin reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueRef {
    /// The id as the plugin wrote it.
    pub id: String,
    /// From the registry, or unknown.
    pub severity: Severity,
    /// The registry's display name, or the id.
    pub title: String,
}

/// One plugin of one attempt. All text in it may be chosen by the scanned site: hostile, stripped of control characters, bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginResult {
    /// The plugin's name, such as `whatweb`.
    pub name: String,
    /// Its state.
    pub status: PluginStatus,
    /// What it says it found: KAST's `findings_count`.
    #[serde(default)]
    pub findings_count: u64,
    /// The issues it named.
    #[serde(default)]
    pub issues: Vec<IssueRef>,
    /// Its summary, or why it failed.
    #[serde(default)]
    pub message: Option<String>,
    /// When it started, where that is known.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended, where that is known.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
}

impl PluginResult {
    /// A plugin of which only the state is known.
    pub fn new(name: impl Into<String>, status: PluginStatus) -> Self {
        Self { name: name.into(), status, findings_count: 0, issues: Vec::new(), message: None, started_at: None, ended_at: None }
    }
}

/// How many issues of each severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeverityCounts {
    /// Critical issues.
    pub critical: u64,
    /// High issues.
    pub high: u64,
    /// Medium issues.
    pub medium: u64,
    /// Low issues.
    pub low: u64,
    /// Informational issues.
    pub informational: u64,
    /// Issues that the registry does not know.
    pub unknown: u64,
}

impl SeverityCounts {
    /// Counts the issues of `plugins`.
    #[must_use]
    pub fn of(plugins: &[PluginResult]) -> Self {
        let mut counts = Self::default();
        for issue in plugins.iter().flat_map(|plugin| &plugin.issues) {
            *match issue.severity {
                Severity::Critical => &mut counts.critical,
                Severity::High => &mut counts.high,
                Severity::Medium => &mut counts.medium,
                Severity::Low => &mut counts.low,
                Severity::Informational => &mut counts.informational,
                Severity::Unknown => &mut counts.unknown,
            } += 1;
        }
        counts
    }
}
