//! What one scan checked and saw on its target.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_findings::identity::{ObservedFinding, TargetId};
use kastrel_findings::lifecycle::{Check, PluginCheck, ScanOrder};
use kastrel_findings::{ReadNotes, Severity, Sighting};
use serde::{Deserialize, Serialize};

use crate::model::{ProjectId, ScanId, ScanStatus};

/// The findings of one chunk of a scan's result. The last chunk has fewer, or none.
pub const OBSERVED_CHUNK: usize = 200;

/// What a scan checked. It is stored when all chunks of what it saw are stored, so its presence
/// means that the result is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanResult {
    /// The scan.
    pub scan: ScanId,
    /// The target.
    pub target: TargetId,
    /// The project of the scan.
    pub project: ProjectId,
    /// The scan's place among those of the target.
    pub order: ScanOrder,
    /// The state in which the scan ended.
    pub status: ScanStatus,
    /// The time at which the result was stored.
    pub stored_at: Timestamp,
    /// The version of the rule set.
    pub rules: u32,
    /// What it checked, by plugin key.
    pub checks: BTreeMap<String, PluginCheck>,
    /// What it means for a plugin that it does not have.
    #[serde(default = "left_out")]
    pub absent: Check,
    /// What could not be taken over, by plugin key; without empty ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, ReadNotes>,
    /// The number of its findings by severity.
    #[serde(default)]
    pub severities: BTreeMap<Severity, u64>,
    /// The number of its findings.
    pub findings: u64,
    /// The number of findings that it saw first, and that came back.
    #[serde(default)]
    pub new: u64,
    /// The number of findings that it proved fixed.
    #[serde(default)]
    pub fixed: u64,
}

const fn left_out() -> Check {
    Check::Skipped
}

impl ScanResult {
    /// Returns the place of a plugin's check among all scans of the target: that of the scan, or of
    /// the earlier attempt whose result it kept.
    #[must_use]
    pub fn order_of(&self, plugin: &str) -> ScanOrder {
        self.checks.get(plugin).map_or(self.order, |check| check.order(self.order))
    }

    /// Returns the number of chunks of what it saw.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        u32::try_from(self.findings.div_ceil(OBSERVED_CHUNK as u64)).unwrap_or(u32::MAX)
    }
}

/// A finding as one scan saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedRecord {
    /// The finding.
    pub finding: ObservedFinding,
    /// Its severity, with the registry's where the plugin gives none.
    pub severity: Severity,
    /// Its title, with the registry's where the plugin gives none.
    pub title: String,
    /// The category of the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The sighting that stands for all.
    pub sighting: Sighting,
}
