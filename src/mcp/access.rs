//! What the tools need of Kastrel.

use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::{ScanId, ScanRequestDraft};
use kastrel_findings::identity::{FindingId, TargetId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::ToolFault;

/// What the tools need of Kastrel, with the rights of one caller. Documents are those of the HTTP
/// API; `None` is something that does not exist, or that the caller may not see.
#[async_trait]
pub trait ToolAccess: Send + Sync {
    /// Returns a page of targets.
    async fn targets(&self, wanted: &TargetsWanted) -> Result<Value, ToolFault>;

    /// Returns a target.
    async fn target(&self, id: TargetId) -> Result<Option<Value>, ToolFault>;

    /// Submits a scan. Returns its number, and a warning if there is one.
    async fn submit(&self, draft: &ScanRequestDraft) -> Result<(ScanId, Option<String>), ToolFault>;

    /// Returns the status of a scan.
    async fn scan(&self, id: ScanId) -> Result<Option<Value>, ToolFault>;

    /// Returns the status of a scan when it has ended, or after `at_most`.
    async fn wait(&self, id: ScanId, at_most: Duration) -> Result<Option<Value>, ToolFault>;

    /// Returns a page of findings, or of issues if `wanted` groups them.
    async fn findings(&self, wanted: &FindingsWanted) -> Result<Value, ToolFault>;

    /// Returns a finding.
    async fn finding(&self, id: FindingId) -> Result<Option<Value>, ToolFault>;

    /// Changes a finding.
    async fn triage(&self, id: FindingId, triage: &Triage) -> Result<Value, ToolFault>;

    /// Compares a scan with an earlier one of its target, or with the last comparable one.
    async fn compare(&self, earlier: Option<ScanId>, later: ScanId) -> Result<Option<Value>, ToolFault>;

    /// Returns the longest time that [`wait`](Self::wait) may take.
    fn longest_wait(&self) -> Duration;
}

/// Which targets a list has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetsWanted {
    /// Words that the origin must have.
    pub words: String,
    /// Tags that the target must have.
    pub tags: Vec<String>,
    /// Only this project.
    pub project: Option<String>,
    /// The number of matches to leave out.
    pub skip: u32,
    /// The most targets.
    pub limit: u32,
}

/// Which findings a list has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingsWanted {
    /// The filter, as a line of tokens.
    pub filter: String,
    /// The order.
    pub sort: Sorting,
    /// True for a list of issues in place of findings.
    pub grouped: bool,
    /// The number of matches to leave out.
    pub skip: u32,
    /// The most findings or issues.
    pub limit: u32,
}

/// The order of a list of findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sorting {
    /// Worst severity first, then the newest.
    #[default]
    Severity,
    /// The newest first.
    Newest,
    /// The one due first.
    Due,
    /// By target.
    Target,
}

impl Sorting {
    /// Returns the name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Severity => "severity",
            Self::Newest => "newest",
            Self::Due => "due",
            Self::Target => "target",
        }
    }
}

/// A change of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Triage {
    /// What to do.
    pub kind: TriageKind,
    /// Why.
    pub reason: Option<String>,
    /// Who answers for an accepted risk, or takes care of the finding.
    pub owner: Option<String>,
    /// The end of an acceptance: a day or a time.
    pub until: Option<String>,
}

/// What to do with a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TriageKind {
    /// Confirm that it is real.
    Confirm,
    /// Mark it as a false positive; needs a reason.
    FalsePositive,
    /// Accept the risk until a day; needs a reason, an owner and an end.
    Accept,
    /// Withdraw the decision, or the confirmation where there is no decision.
    Withdraw,
    /// Give it to the owner; without one, to nobody.
    Assign,
}

impl TriageKind {
    /// Returns the name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::FalsePositive => "false_positive",
            Self::Accept => "accept",
            Self::Withdraw => "withdraw",
            Self::Assign => "assign",
        }
    }
}
