//! What the services of findings and targets return.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_actors::model::{AccountName, FindingRecord, LastCheck, ProjectId, ScanResult, SeenAsset, TargetRecord};
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::{Check, ScanOrder, Sla, Status};
use kastrel_findings::place::Origin;
use kastrel_findings::{IssueKey, Severity};

use crate::ports::IssueFix;

/// A finding in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// Its identity.
    pub id: FindingId,
    /// The target.
    pub target: TargetId,
    /// The origin of the target.
    pub origin: Origin,
    /// The project.
    pub project: ProjectId,
    /// The plugin.
    pub plugin: String,
    /// The issue.
    pub issue: IssueKey,
    /// The title.
    pub title: String,
    /// The place, in words.
    pub place: String,
    /// The severity.
    pub severity: Severity,
    /// The category.
    pub category: Option<String>,
    /// What a person sees.
    pub status: Status,
    /// True if it came back after it had been fixed.
    pub regressed: bool,
    /// The scan that saw it first.
    pub first_seen: ScanOrder,
    /// The newest scan that saw it.
    pub last_seen: ScanOrder,
    /// When it became open.
    pub open_since: Timestamp,
    /// Since when it was not checked, and why the newest scan did not.
    pub not_checked_since: Option<(Timestamp, Check)>,
    /// When it is due.
    pub sla: Sla,
    /// Who takes care of it.
    pub owner: Option<AccountName>,
    /// The number of its members.
    pub members_count: u64,
    /// The tags of its target.
    pub tags: Vec<String>,
}

/// Findings of one issue of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingGroup {
    /// The plugin.
    pub plugin: String,
    /// The issue.
    pub issue: IssueKey,
    /// The title of the newest finding.
    pub title: String,
    /// The worst severity.
    pub severity: Severity,
    /// The number of findings.
    pub findings: usize,
    /// The number of targets.
    pub targets: usize,
}

/// The values of one facet with their numbers of findings, most first. The numbers are those that
/// the list would have with this value in place of the present values of the facet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// The name of the token: `severity`, `status`, `plugin`, `category`, `target`, `tag`,
    /// `owner`, `project`, `new`, `age`, `is`.
    pub name: &'static str,
    /// The values, at most 30.
    pub values: Vec<(String, usize)>,
}

/// A page of findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingPage {
    /// The findings.
    pub rows: Vec<FindingRow>,
    /// The number of all matches.
    pub total: usize,
    /// The number of targets with a match.
    pub targets: usize,
    /// The facets of all matches.
    pub facets: Vec<Facet>,
}

/// A page of issues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupPage {
    /// The issues: worst first, then those with the most targets.
    pub groups: Vec<FindingGroup>,
    /// The number of all groups.
    pub total: usize,
    /// The number of all findings.
    pub findings: usize,
    /// The facets of all matches.
    pub facets: Vec<Facet>,
}

/// A finding with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingDetail {
    /// The row of a list.
    pub row: FindingRow,
    /// The stored finding.
    pub record: FindingRecord,
    /// The meaning of the issue, if a scanner of this server knows it.
    pub description: Option<String>,
    /// What to do, if a scanner of this server knows it.
    pub remediation: Option<String>,
    /// How the issue is best fixed, if a scanner of this server knows the issue.
    pub fix: Option<IssueFix>,
    /// True if the principal may triage it.
    pub may_triage: bool,
}

/// A target in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRow {
    /// Its identity.
    pub id: TargetId,
    /// The project.
    pub project: ProjectId,
    /// Scheme, host and port.
    pub origin: Origin,
    /// Its tags.
    pub tags: Vec<String>,
    /// The number of open and confirmed findings by severity.
    pub open: BTreeMap<Severity, usize>,
    /// The number of open findings that the newest scan saw first, or that came back in it.
    pub new: usize,
    /// The number of findings that the newest scan proved fixed.
    pub fixed: usize,
    /// The number of plugins whose newest check was not complete.
    pub unchecked: usize,
    /// True if a check was ever complete. Otherwise nothing is known of the target.
    pub is_checked: bool,
    /// The newest scan.
    pub last_scan: ScanOrder,
}

/// A page of targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetPage {
    /// The targets: those with the worst open findings first.
    pub rows: Vec<TargetRow>,
    /// The number of all matches.
    pub total: usize,
    /// All tags with their numbers of targets.
    pub tags: Vec<(String, usize)>,
}

/// A target with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetDetail {
    /// The row of a list.
    pub row: TargetRow,
    /// The stored target.
    pub record: TargetRecord,
    /// Its assets, by kind and name.
    pub assets: Vec<SeenAsset>,
    /// Its newest scans, newest first; at most 60. Scans that the principal may not read are there
    /// too: it may read the project.
    pub scans: Vec<ScanResult>,
    /// The newest check of each plugin, by key.
    pub coverage: Vec<(String, LastCheck)>,
    /// True if the principal may change tags and notes.
    pub may_edit: bool,
}

/// One finding in the comparison of two scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedFinding {
    /// Its identity.
    pub id: FindingId,
    /// The plugin.
    pub plugin: String,
    /// The issue.
    pub issue: IssueKey,
    /// The title.
    pub title: String,
    /// The place, in words.
    pub place: String,
    /// The severity.
    pub severity: Severity,
    /// True if it was open before the later scan, and is only new because the earlier scan did not
    /// check it.
    pub is_known: bool,
    /// What a person sees now; `None` if the finding is not stored any more.
    pub status: Option<Status>,
    /// Why it is in its class, in words: the proof of a fix, or why it was not checked. Empty for
    /// unchanged findings.
    pub why: String,
}

/// The comparison of two scans of a target. Each list is worst first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanComparison {
    /// The earlier scan.
    pub earlier: ScanResult,
    /// The later scan.
    pub later: ScanResult,
    /// Only in the later scan.
    pub new: Vec<ComparedFinding>,
    /// Only in the earlier scan, and proven fixed.
    pub fixed: Vec<ComparedFinding>,
    /// In both.
    pub unchanged: Vec<ComparedFinding>,
    /// Only in the earlier scan, and not proven fixed.
    pub not_checked: Vec<ComparedFinding>,
}

/// What changed since the last comparable scan of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastChanges {
    /// The comparison. Its findings have no status.
    Compared(ScanComparison),
    /// The scans saw too many findings for a page of one scan.
    Counted {
        /// The earlier scan.
        earlier: ScanResult,
        /// The later scan, with the numbers of what it saw first and of what it proved fixed.
        later: ScanResult,
    },
}

/// What became of one finding of a bulk change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriageResult {
    /// The finding.
    pub id: FindingId,
    /// `Ok`: the new status. `Err`: why nothing changed.
    pub outcome: Result<Status, String>,
}
