//! The rows of the list: findings, and issues with their numbers of findings.

use super::address::ListAddress;
use super::marks::{DueView, UncheckedView, chip, due, finding_url, status_badge, target_url};
use crate::service::findings::{FindingFilter, FindingGroup, FindingRow};
use crate::web::pages::badge::{Badge, SeverityChip};
use crate::web::pages::project_names::ProjectNames;
use crate::web::text::{MomentText, clean, counted};
use crate::web::zone::WallClock;

/// A finding in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FindingLine {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) title: String,
    pub(super) plugin: String,
    pub(super) severity: SeverityChip,
    pub(super) status: Badge,
    pub(super) is_regressed: bool,
    pub(super) place: String,
    /// The number of members, if there are several.
    pub(super) members: Option<String>,
    pub(super) origin: String,
    pub(super) target_url: String,
    pub(super) project: Option<String>,
    pub(super) tags: Vec<String>,
    /// When it became open.
    pub(super) since: MomentText,
    pub(super) last_seen: MomentText,
    pub(super) unchecked: Option<UncheckedView>,
    pub(super) due: Option<DueView>,
    pub(super) owner: Option<String>,
}

impl FindingLine {
    pub(super) fn new(row: &FindingRow, projects: &ProjectNames, clock: &WallClock) -> Self {
        Self {
            id: row.id.to_string(),
            url: finding_url(row.id),
            title: clean(&row.title),
            plugin: clean(&row.plugin),
            severity: chip(row.severity, 1),
            status: status_badge(row.status),
            is_regressed: row.regressed,
            place: clean(&row.place),
            members: (row.members_count > 1).then(|| counted(row.members_count, "member", "members")),
            origin: clean(&row.origin.to_string()),
            target_url: target_url(row.target),
            project: projects.title_of(&row.project),
            tags: row.tags.iter().map(|tag| clean(tag)).collect(),
            since: clock.moment(row.open_since),
            last_seen: clock.moment(row.last_seen.at),
            unchecked: row.not_checked_since.map(|unchecked| UncheckedView::new(unchecked, clock)),
            due: due(row.sla, clock),
            owner: row.owner.as_ref().map(ToString::to_string),
        }
    }
}

/// An issue in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupLine {
    pub(super) title: String,
    pub(super) issue: String,
    pub(super) plugin: String,
    pub(super) severity: SeverityChip,
    pub(super) findings: String,
    pub(super) targets: String,
    /// The link to the findings of the issue.
    pub(super) url: String,
}

impl GroupLine {
    pub(super) fn new(group: &FindingGroup, list: &ListAddress, filter: &FindingFilter) -> Self {
        let of_issue = FindingFilter {
            plugins: [group.plugin.clone()].into(),
            issues: [group.issue.to_string()].into(),
            ..filter.clone()
        };
        let findings = ListAddress { by_issue: false, ..list.with_tokens(of_issue.to_string()) };
        Self {
            title: clean(&group.title),
            issue: clean(group.issue.as_str()),
            plugin: clean(&group.plugin),
            severity: chip(group.severity, group.findings as u64),
            findings: counted(group.findings as u64, "finding", "findings"),
            targets: counted(group.targets as u64, "target", "targets"),
            url: findings.link(),
        }
    }
}
