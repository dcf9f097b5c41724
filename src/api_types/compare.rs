//! What a scan checked and saw, and the comparison of two scans.

use std::collections::BTreeMap;

use kastrel_actors::model::{ObservedRecord, ProjectId, ScanResult, ScanStatus};
use kastrel_findings::Severity;
use kastrel_findings::identity::{FindingId, Fingerprint, TargetId};
use kastrel_findings::lifecycle::{PluginEnd, Status};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::finding_words::{PluginEndName, SeverityName, StatusName};
use super::moment::Moment;
use crate::service::findings::{ComparedFinding, ScanComparison, SeenPage};

/// The page of a list of what a scan saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ScanFindingParams {
    /// The number of findings to leave out.
    #[param(minimum = 0, maximum = 10_000_000, default = 0)]
    pub skip: Option<u32>,
    /// The maximum number of findings.
    #[param(minimum = 1, maximum = 500, default = 200)]
    pub limit: Option<u32>,
}

/// The scan with which to compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CompareParams {
    /// The number of the earlier scan; the newest earlier scan of the target if left out.
    #[param(minimum = 1)]
    pub with: Option<u64>,
}

/// The check of one plugin in one scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PluginCheck)]
pub struct PluginCheckBody {
    /// The plugin.
    pub plugin: String,
    /// How it ended.
    #[schema(value_type = PluginEndName)]
    pub end: PluginEnd,
    /// The version of the plugin or of its scanner.
    pub version: String,
    /// Whether its result was read completely.
    pub read_completely: bool,
}

/// What a scan checked on its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScanResult)]
pub struct ScanResultBody {
    /// The scan's number.
    pub scan_id: u64,
    /// When its attempt ended.
    pub at: Moment,
    /// The state in which it ended.
    pub status: ScanStatus,
    /// The number of its findings.
    pub findings: u64,
    /// The number of its findings by severity, without zeros.
    pub severities: BTreeMap<String, u64>,
    /// The number of findings that it saw first, and that came back.
    pub new: u64,
    /// The number of findings that it proved fixed.
    pub fixed: u64,
    /// What it checked.
    pub checks: Vec<PluginCheckBody>,
}

impl From<&ScanResult> for ScanResultBody {
    fn from(result: &ScanResult) -> Self {
        let severities = result.severities.iter().filter(|(_, count)| **count > 0);
        let checks = result.checks.iter().map(|(plugin, check)| PluginCheckBody {
            plugin: plugin.clone(),
            end: check.end,
            version: check.version.clone(),
            read_completely: check.read_completely,
        });
        Self {
            scan_id: result.scan.0,
            at: Moment::of(result.order.at),
            status: result.status,
            findings: result.findings,
            severities: severities.map(|(severity, count)| (severity.name().to_owned(), *count)).collect(),
            new: result.new,
            fixed: result.fixed,
            checks: checks.collect(),
        }
    }
}

/// A finding as one scan saw it. Its texts come from scanned sites: escape them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ScanFinding)]
pub struct ScanFindingBody {
    /// The id of the finding.
    #[schema(value_type = String)]
    pub id: FindingId,
    /// Its fingerprint within the target.
    #[schema(value_type = String)]
    pub fingerprint: Fingerprint,
    /// The plugin.
    pub plugin: String,
    /// The issue.
    pub issue: String,
    /// The title.
    pub title: String,
    /// The severity.
    #[schema(value_type = SeverityName)]
    pub severity: Severity,
    /// The category; null if none is known.
    pub category: Option<String>,
    /// The place, in words.
    pub place: String,
    /// The place as the plugin wrote it.
    pub location: String,
    /// What the plugin saw there.
    pub evidence: String,
    /// CVE and CWE numbers, and addresses to read.
    pub references: Vec<String>,
    /// What its sightings differ in; bounded.
    pub members: Vec<String>,
    /// The number of all members.
    pub members_count: usize,
}

impl ScanFindingBody {
    /// Shows what a scan saw on a target.
    #[must_use]
    pub fn of(target: TargetId, observed: &ObservedRecord) -> Self {
        let ObservedRecord { finding, severity, title, category, sighting } = observed;
        Self {
            id: FindingId::of(target, finding.fingerprint),
            fingerprint: finding.fingerprint,
            plugin: finding.plugin.clone(),
            issue: finding.issue.to_string(),
            title: title.clone(),
            severity: *severity,
            category: category.clone(),
            place: finding.place.to_string(),
            location: sighting.location.clone(),
            evidence: sighting.evidence.clone(),
            references: sighting.references.clone(),
            members: finding.members.clone(),
            members_count: finding.members_count,
        }
    }
}

/// A page of what a scan saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScanFindingList {
    /// The id of the target.
    #[schema(value_type = String)]
    pub target_id: TargetId,
    /// The project of the scan.
    #[schema(value_type = String)]
    pub project: ProjectId,
    /// What the scan checked.
    pub scan: ScanResultBody,
    /// The findings of the page, in the order of their fingerprints.
    pub findings: Vec<ScanFindingBody>,
    /// The value of `skip` that gets the next findings; null after the last one.
    pub next_skip: Option<u32>,
}

impl From<&SeenPage> for ScanFindingList {
    fn from(page: &SeenPage) -> Self {
        let target = page.result.target;
        Self {
            target_id: target,
            project: page.result.project.clone(),
            scan: (&page.result).into(),
            findings: page.findings.iter().map(|observed| ScanFindingBody::of(target, observed)).collect(),
            next_skip: page.next,
        }
    }
}

/// One finding in the comparison of two scans. Its texts come from scanned sites: escape them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ComparedFinding)]
pub struct ComparedBody {
    /// The id of the finding.
    #[schema(value_type = String)]
    pub id: FindingId,
    /// The plugin.
    pub plugin: String,
    /// The issue.
    pub issue: String,
    /// The title.
    pub title: String,
    /// The place, in words.
    pub place: String,
    /// The severity.
    #[schema(value_type = SeverityName)]
    pub severity: Severity,
    /// What a person sees now; null if the finding is not stored any more, or if the caller may not
    /// read the findings of the project.
    #[schema(value_type = Option<StatusName>)]
    pub status: Option<Status>,
    /// Why it is in its class: the proof of a fix, or why it was not checked. Empty for unchanged
    /// findings.
    pub why: String,
}

impl From<&ComparedFinding> for ComparedBody {
    fn from(finding: &ComparedFinding) -> Self {
        Self {
            id: finding.id,
            plugin: finding.plugin.clone(),
            issue: finding.issue.to_string(),
            title: finding.title.clone(),
            place: finding.place.clone(),
            severity: finding.severity,
            status: finding.status,
            why: finding.why.clone(),
        }
    }
}

/// The numbers of findings in the classes of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ComparisonCounts)]
pub struct ComparisonCountsBody {
    /// Only in the later scan.
    pub new: usize,
    /// Only in the earlier scan, and proven fixed.
    pub fixed: usize,
    /// In both.
    pub unchanged: usize,
    /// Only in the earlier scan, and not proven fixed.
    pub not_checked: usize,
}

/// The comparison of two scans of a target. Each list is worst first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Comparison)]
pub struct ComparisonBody {
    /// The id of the target.
    #[schema(value_type = String)]
    pub target_id: TargetId,
    /// The project of the scans.
    #[schema(value_type = String)]
    pub project: ProjectId,
    /// The earlier scan.
    pub earlier: ScanResultBody,
    /// The later scan.
    pub later: ScanResultBody,
    /// The number of findings in each class.
    pub counts: ComparisonCountsBody,
    /// Only in the later scan.
    pub new: Vec<ComparedBody>,
    /// Only in the earlier scan, and proven fixed.
    pub fixed: Vec<ComparedBody>,
    /// In both.
    pub unchanged: Vec<ComparedBody>,
    /// Only in the earlier scan, and not proven fixed.
    pub not_checked: Vec<ComparedBody>,
}

impl From<&ScanComparison> for ComparisonBody {
    fn from(comparison: &ScanComparison) -> Self {
        let all = |findings: &[ComparedFinding]| findings.iter().map(Into::into).collect();
        Self {
            target_id: comparison.later.target,
            project: comparison.later.project.clone(),
            earlier: (&comparison.earlier).into(),
            later: (&comparison.later).into(),
            counts: ComparisonCountsBody {
                new: comparison.new.len(),
                fixed: comparison.fixed.len(),
                unchanged: comparison.unchanged.len(),
                not_checked: comparison.not_checked.len(),
            },
            new: all(&comparison.new),
            fixed: all(&comparison.fixed),
            unchanged: all(&comparison.unchanged),
            not_checked: all(&comparison.not_checked),
        }
    }
}
