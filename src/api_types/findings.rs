//! Lists of findings, and of issues with their numbers of findings.

use kastrel_actors::model::ProjectId;
use kastrel_findings::Severity;
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::{Check, ScanOrder, Sla, Status};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::finding_words::{CheckName, SeverityName, SlaName, StatusName};
use super::moment::Moment;
use crate::service::findings::{Facet, FindingGroup, FindingPage, FindingRow, GroupPage};

/// The filter, the order and the page of a list of findings. Clients write it; the server reads the
/// query by hand, because each wrong parameter is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FindingParams {
    /// The filter as tokens and words, such as `severity:high,critical plugin:testssl new:7d`.
    /// Without `status:` it has open and confirmed findings.
    #[param(max_length = 2000)]
    pub q: Option<String>,
    /// The order: severity (default), newest, due or target.
    #[param(pattern = "^ *(severity|newest|due|target)? *$")]
    pub sort: Option<String>,
    /// The number of matches to leave out.
    #[param(minimum = 0, maximum = 10_000_000, default = 0)]
    pub skip: Option<u32>,
    /// The maximum number of findings.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<u32>,
}

/// The filter and the page of a list of issues.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FindingGroupParams {
    /// The filter as tokens and words, as for the list of findings.
    #[param(max_length = 2000)]
    pub q: Option<String>,
    /// The number of groups to leave out.
    #[param(minimum = 0, maximum = 10_000_000, default = 0)]
    pub skip: Option<u32>,
    /// The maximum number of groups.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<u32>,
}

/// A scan that saw or checked something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SeenBy)]
pub struct SeenBody {
    /// The scan's number.
    pub scan_id: u64,
    /// When its attempt ended.
    pub at: Moment,
}

impl From<ScanOrder> for SeenBody {
    fn from(order: ScanOrder) -> Self {
        Self { scan_id: order.scan, at: Moment::of(order.at) }
    }
}

/// A finding in a list. Its texts come from scanned sites: escape them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Finding)]
pub struct FindingBody {
    /// The id of the finding.
    #[schema(value_type = String)]
    pub id: FindingId,
    /// The id of its target.
    #[schema(value_type = String)]
    pub target_id: TargetId,
    /// The target: scheme, host and port.
    #[schema(example = "https://shop.example")]
    pub target: String,
    /// The project.
    #[schema(value_type = String)]
    pub project: ProjectId,
    /// The plugin that found it.
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
    /// The category; null if none is known.
    pub category: Option<String>,
    /// What a person sees: a decision hides the state below it.
    #[schema(value_type = StatusName)]
    pub status: Status,
    /// Whether it came back after it had been fixed.
    pub regressed: bool,
    /// The scan that saw it first.
    pub first_seen: SeenBody,
    /// The newest scan that saw it.
    pub last_seen: SeenBody,
    /// When it became open.
    pub open_since: Moment,
    /// Since when it was not checked; null if the newest scan checked it.
    pub not_checked_since: Option<NotCheckedBody>,
    /// Whether it is due.
    #[schema(value_type = SlaName)]
    pub sla: String,
    /// When it is or was due, or when its acceptance ends; null without one.
    pub sla_at: Option<Moment>,
    /// The account that takes care of it.
    pub owner: Option<String>,
    /// The number of its members: pages, cipher suites.
    pub members_count: u64,
    /// The tags of its target.
    pub tags: Vec<String>,
}

/// Since when a finding was not checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = NotChecked)]
pub struct NotCheckedBody {
    /// The newest check.
    pub since: Moment,
    /// How the plugin ended in the newest scan.
    #[schema(value_type = CheckName)]
    pub check: Check,
    /// The reason in words.
    pub reason: String,
}

impl From<&FindingRow> for FindingBody {
    fn from(row: &FindingRow) -> Self {
        let (sla, sla_at) = sla_of(row.sla);
        Self {
            id: row.id,
            target_id: row.target,
            target: row.origin.to_string(),
            project: row.project.clone(),
            plugin: row.plugin.clone(),
            issue: row.issue.to_string(),
            title: row.title.clone(),
            place: row.place.clone(),
            severity: row.severity,
            category: row.category.clone(),
            status: row.status,
            regressed: row.regressed,
            first_seen: row.first_seen.into(),
            last_seen: row.last_seen.into(),
            open_since: Moment::of(row.open_since),
            not_checked_since: row.not_checked_since.map(|(since, check)| NotCheckedBody {
                since: Moment::of(since),
                check,
                reason: check.reason().to_owned(),
            }),
            sla: sla.to_owned(),
            sla_at,
            owner: row.owner.as_ref().map(ToString::to_string),
            members_count: row.members_count,
            tags: row.tags.clone(),
        }
    }
}

fn sla_of(sla: Sla) -> (&'static str, Option<Moment>) {
    match sla {
        Sla::None => ("none", None),
        Sla::Due { at } => ("due", Some(Moment::of(at))),
        Sla::Overdue { at } => ("overdue", Some(Moment::of(at))),
        Sla::Paused { until } => ("paused", Some(Moment::of(until))),
    }
}

/// A value of a facet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FacetValue)]
pub struct FacetValueBody {
    /// The value, as in a token of the filter.
    pub value: String,
    /// How many findings the list would have with this value.
    pub count: usize,
}

impl FacetValueBody {
    /// Shows values with their numbers.
    #[must_use]
    pub fn all(values: &[(String, usize)]) -> Vec<Self> {
        values.iter().map(|(value, count)| Self { value: value.clone(), count: *count }).collect()
    }
}

/// The values of one token of the filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Facet)]
pub struct FacetBody {
    /// The name of the token, such as `severity`.
    pub name: String,
    /// The values, most first; at most 30.
    pub values: Vec<FacetValueBody>,
}

impl From<&Facet> for FacetBody {
    fn from(facet: &Facet) -> Self {
        Self { name: facet.name.to_owned(), values: FacetValueBody::all(&facet.values) }
    }
}

/// A page of findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingList {
    /// The findings.
    pub findings: Vec<FindingBody>,
    /// The number of all matches.
    pub total: usize,
    /// The number of targets with a match.
    pub targets: usize,
    /// The numbers of matches by values of the filter's tokens.
    pub facets: Vec<FacetBody>,
}

impl From<&FindingPage> for FindingList {
    fn from(page: &FindingPage) -> Self {
        Self {
            findings: page.rows.iter().map(Into::into).collect(),
            total: page.total,
            targets: page.targets,
            facets: page.facets.iter().map(Into::into).collect(),
        }
    }
}

/// The findings of one issue of one plugin, as numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FindingGroup)]
pub struct FindingGroupBody {
    /// The plugin.
    pub plugin: String,
    /// The issue.
    pub issue: String,
    /// The title of the newest finding.
    pub title: String,
    /// The worst severity.
    #[schema(value_type = SeverityName)]
    pub severity: Severity,
    /// The number of findings.
    pub findings: usize,
    /// The number of targets.
    pub targets: usize,
}

impl From<&FindingGroup> for FindingGroupBody {
    fn from(group: &FindingGroup) -> Self {
        Self {
            plugin: group.plugin.clone(),
            issue: group.issue.to_string(),
            title: group.title.clone(),
            severity: group.severity,
            findings: group.findings,
            targets: group.targets,
        }
    }
}

/// A page of issues.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingGroupList {
    /// The issues: worst first, then those with the most targets.
    pub groups: Vec<FindingGroupBody>,
    /// The number of all groups.
    pub total: usize,
    /// The number of all findings.
    pub findings: usize,
    /// The numbers of matches by values of the filter's tokens.
    pub facets: Vec<FacetBody>,
}

impl From<&GroupPage> for FindingGroupList {
    fn from(page: &GroupPage) -> Self {
        Self {
            groups: page.groups.iter().map(Into::into).collect(),
            total: page.total,
            findings: page.findings,
            facets: page.facets.iter().map(Into::into).collect(),
        }
    }
}
