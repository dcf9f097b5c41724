//! How the check of one plugin ended in one scan, and what that means for a finding.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::check::{Check, ScanOrder};
use crate::identity::RuleSet;
use crate::readers::Reading;
use crate::scope::CheckScope;
use crate::sighting::IssueKey;

/// How a plugin ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginEnd {
    /// It ran to its end.
    Completed,
    /// It failed.
    Failed,
    /// It ran out of time.
    TimedOut,
    /// It was left out.
    Skipped,
    /// Its tool is not installed.
    Unavailable,
    /// The scan ended first.
    Cancelled,
    /// The scan was a dry run.
    DryRun,
}

impl PluginEnd {
    /// All ends.
    pub const ALL: [Self; 7] = [
        Self::Completed,
        Self::Failed,
        Self::TimedOut,
        Self::Skipped,
        Self::Unavailable,
        Self::Cancelled,
        Self::DryRun,
    ];

    /// Returns how the check of a plugin that ended like this ended, whatever finding it is about.
    /// `read_completely` is false if sightings may be missing from the reading of its result.
    #[must_use]
    pub const fn check(self, read_completely: bool) -> Check {
        match self {
            Self::Completed if read_completely => Check::Completed,
            Self::Completed => Check::ReadInPart,
            Self::Failed => Check::Failed,
            Self::TimedOut => Check::TimedOut,
            Self::Skipped => Check::Skipped,
            Self::Unavailable => Check::Unavailable,
            Self::Cancelled => Check::Cancelled,
            Self::DryRun => Check::DryRun,
        }
    }
}

/// The check of one plugin in one scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginCheck {
    /// How the plugin ended.
    pub end: PluginEnd,
    /// The plugin's version, or the scanner that ran it with its version.
    pub version: String,
    /// What the plugin was asked to look at.
    pub scope: CheckScope,
    /// False if sightings may be missing from the reading of its result.
    pub read_completely: bool,
    /// The issues without a result, by the keys of findings.
    pub inconclusive: BTreeSet<IssueKey>,
    /// The attempt that ran it, if the last attempt of the scan only kept its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_from: Option<ScanOrder>,
}

impl PluginCheck {
    /// Creates the check from the reading of the plugin's result. A plugin that left no result has
    /// none.
    #[must_use]
    pub fn new(end: PluginEnd, version: &str, scope: CheckScope, reading: Option<&Reading>, rules: &RuleSet) -> Self {
        let inconclusive = reading.iter().flat_map(|reading| &reading.inconclusive);
        Self {
            end,
            version: crate::text::clean(version, 80),
            read_completely: reading.is_some_and(|reading| !reading.notes.may_hide_findings()),
            inconclusive: inconclusive.map(|issue| rules.issue_of(&scope.plugin, issue)).collect(),
            scope,
            kept_from: None,
        }
    }

    /// Returns the place of the check among all scans of a target. `last` is that of the last
    /// attempt of its scan. What an earlier attempt saw is not newer because a later one kept it.
    #[must_use]
    pub fn order(&self, last: ScanOrder) -> ScanOrder {
        self.kept_from.unwrap_or(last)
    }

    /// Returns how the check ended, whatever finding it is about.
    #[must_use]
    pub const fn outcome(&self) -> Check {
        self.end.check(self.read_completely)
    }

    /// Returns true if the plugin ran to its end and its result was read completely.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.outcome().proves_absence()
    }

    /// Returns what the check means for a finding with this issue key that was seen with the scope
    /// `seen_with`.
    #[must_use]
    pub fn check_for(&self, issue: &IssueKey, seen_with: &CheckScope) -> Check {
        match self.outcome() {
            Check::Completed if self.inconclusive.contains(issue) => Check::ReadInPart,
            Check::Completed if !self.scope.covers(seen_with) => Check::NarrowerScope,
            outcome => outcome,
        }
    }
}
