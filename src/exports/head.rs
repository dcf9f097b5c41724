//! What an export says before its findings: of what it is, and what was checked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_actors::model::{ProjectId, ScanResult, ScanStatus};
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::{Check, PluginCheck, PluginEnd};
use kastrel_findings::readers::plugin_key;
use serde::{Deserialize, Serialize};

/// The head of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportHead {
    /// The version of Kastrel.
    pub kastrel: String,
    /// When the export was made.
    pub at: Timestamp,
    /// Of what it is.
    #[serde(flatten)]
    pub subject: Subject,
}

/// The subject of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// What one scan saw.
    Scan(ExportedScan),
    /// Stored findings of targets.
    Findings {
        /// The filter as its tokens.
        filter: String,
    },
}

/// A scan whose findings are exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedScan {
    /// The number of the scan.
    pub id: u64,
    /// The target as the request has it.
    pub target_text: String,
    /// The identity of the target.
    pub target: TargetId,
    /// The project.
    pub project: ProjectId,
    /// The state in which the scan ended.
    pub status: ScanStatus,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The scan with which it was compared; `None` if there is no earlier one.
    #[serde(default)]
    pub compared_with: Option<u64>,
    /// What it checked, by plugin key.
    pub checks: BTreeMap<String, ExportedCheck>,
}

/// The check of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedCheck {
    /// How the plugin ended.
    pub end: PluginEnd,
    /// The version of the plugin or of its scanner.
    #[serde(default)]
    pub version: String,
    /// False if findings may be missing from the reading of its result.
    pub read_completely: bool,
    /// True if the scan did not select the plugin.
    #[serde(default)]
    pub left_out: bool,
}

impl ExportHead {
    /// Creates the head of an export of this version of Kastrel.
    #[must_use]
    pub fn new(at: Timestamp, subject: Subject) -> Self {
        Self { kastrel: env!("CARGO_PKG_VERSION").to_owned(), at, subject }
    }

    /// Returns the scan, if the export is of one.
    #[must_use]
    pub const fn scan(&self) -> Option<&ExportedScan> {
        match &self.subject {
            Subject::Scan(scan) => Some(scan),
            Subject::Findings { .. } => None,
        }
    }
}

impl ExportedScan {
    /// Creates the head of a scan from its result. `target_text` is the target for people, and
    /// `left_out` has the plugins that the scan did not select.
    #[must_use]
    pub fn of(result: &ScanResult, target_text: &str, compared_with: Option<u64>, left_out: &[String]) -> Self {
        let left_out: Vec<String> = left_out.iter().map(|name| plugin_key(name)).collect();
        let check = |plugin: &String, check: &PluginCheck| ExportedCheck {
            end: check.end,
            version: check.version.clone(),
            read_completely: check.read_completely,
            left_out: left_out.contains(plugin),
        };
        Self {
            id: result.scan.0,
            target_text: target_text.to_owned(),
            target: result.target,
            project: result.project.clone(),
            status: result.status,
            ended_at: result.order.at,
            compared_with,
            checks: result.checks.iter().map(|(plugin, of)| (plugin.clone(), check(plugin, of))).collect(),
        }
    }

    /// Returns the plugins that did not check everything, each with the reason.
    pub fn gaps(&self) -> impl Iterator<Item = (&str, Gap)> {
        self.checks.iter().filter_map(|(plugin, check)| Some((plugin.as_str(), check.gap()?)))
    }

    /// Returns true if the scan completed, and each plugin that was not left out checked
    /// everything. A scan without a single complete check checked nothing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.status == ScanStatus::Completed
            && self.checks.values().any(|check| check.gap().is_none())
            && self.gaps().all(|(_, gap)| gap.is_left_out)
    }
}

/// Why a plugin did not check everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The reason, as the end of "not checked: …".
    pub reason: &'static str,
    /// True if the scan did not select the plugin. One that the scanner skipped is a gap.
    pub is_left_out: bool,
    /// True if the plugin ran to its end, and its result could not be read completely.
    pub is_read_in_part: bool,
}

impl ExportedCheck {
    /// Returns why the plugin did not check everything; `None` if it did.
    #[must_use]
    pub const fn gap(&self) -> Option<Gap> {
        match self.end.check(self.read_completely) {
            Check::Completed => None,
            check => Some(Gap {
                reason: check.reason(),
                is_left_out: self.left_out,
                is_read_in_part: matches!(check, Check::ReadInPart),
            }),
        }
    }
}
