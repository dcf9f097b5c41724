//! The row of a finding.

use jiff::Timestamp;
use kastrel_findings::identity::{FindingId, Fingerprint, TargetId};
use kastrel_findings::lifecycle::{Event, Finding, Sla, SlaPolicy, Status};
use kastrel_findings::place::Place;
use kastrel_findings::scope::CheckScope;
use kastrel_findings::{IssueKey, Severity, Sighting};
use serde::{Deserialize, Serialize};

use crate::model::{AccountName, ProjectId};

/// The limit for the entries of a finding's log. Afterwards the oldest entries of scans are removed
/// first; comments and decisions stay, and a comment is refused when they alone fill the log.
pub const MOST_LOG_ENTRIES: usize = 200;

/// One finding of a target. Its texts come from a scanned site or a tool, so they are hostile; they
/// are bounded and have no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingRecord {
    /// Its identity.
    pub id: FindingId,
    /// The target.
    pub target: TargetId,
    /// The project of the target.
    pub project: ProjectId,
    /// Its fingerprint within the target.
    pub fingerprint: Fingerprint,
    /// The version of the rule set that gave the fingerprint.
    pub rules: u32,
    /// The plugin, by its key.
    pub plugin: String,
    /// The issue.
    pub issue: IssueKey,
    /// The title for people.
    pub title: String,
    /// The severity: that of the newest sighting, or that of the registry.
    pub severity: Severity,
    /// The category of the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The place that the sightings have in common.
    pub place: Place,
    /// What the sightings of the newest scan differ in: pages, cipher suites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// The number of all members.
    #[serde(default)]
    pub members_count: u64,
    /// The sighting of the newest scan that stands for all: location, evidence, references.
    pub sighting: Sighting,
    /// The scope of the check of the newest sighting.
    pub seen_with: CheckScope,
    /// Its state, the decision about it, and its dates.
    pub life: Finding,
    /// The account that takes care of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<AccountName>,
    /// What happened, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<FindingEntry>,
    /// Incremented with every change; the store's compare-and-set key. 0: it is not stored yet.
    #[serde(default)]
    pub version: u64,
}

impl FindingRecord {
    /// Returns what a person sees at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        self.life.status(now)
    }

    /// Returns when it is due.
    #[must_use]
    pub fn sla(&self, policy: &SlaPolicy, now: Timestamp) -> Sla {
        self.life.sla(self.severity, policy, now)
    }
}

/// One entry of a finding's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingEntry {
    /// The time.
    pub at: Timestamp,
    /// The person, as the text of a principal. `None`: a scan, or the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The scan that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<u64>,
    /// What happened.
    pub change: LogChange,
}

/// What happened to a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LogChange {
    /// Its life changed.
    Life {
        /// The change.
        event: Event,
        /// The reason of a person, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person wrote a comment.
    Comment {
        /// The text, at most 2,000 characters.
        text: String,
    },
    /// Somebody else takes care of it.
    Assigned {
        /// The account; `None`: nobody.
        owner: Option<AccountName>,
    },
    /// It continues a finding whose place moved, or whose rules changed.
    Continues {
        /// The earlier finding.
        finding: FindingId,
    },
}
