//! A finding in an export: the same for all formats, and as it is written in JSON.

use jiff::Timestamp;
use kastrel_actors::model::{AccountName, FindingRecord, ObservedRecord, ProjectId, ScanResult};
use kastrel_findings::identity::{FindingId, Fingerprint, TargetId};
use kastrel_findings::lifecycle::{Decision, Status};
use kastrel_findings::place::{Origin, Place};
use kastrel_findings::{IssueKey, Severity, Sighting};
use serde::{Deserialize, Serialize};

/// The state of a finding against an earlier scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Only the later scan saw it, and it was not open before.
    New,
    /// Both saw it; or the earlier scan did not check it, and it was open before.
    Unchanged,
    /// Only the earlier scan saw it, and the later one proves it fixed.
    Absent,
}

/// A finding in an export. Its texts come from a scanned site, so they are hostile; they are
/// bounded and have no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFinding {
    /// Its identity.
    pub id: FindingId,
    /// Its fingerprint within the target; `None` if the finding is not stored any more.
    pub fingerprint: Option<Fingerprint>,
    /// The target.
    pub target: TargetId,
    /// The project.
    pub project: ProjectId,
    /// The plugin.
    pub plugin: String,
    /// The issue.
    pub issue: IssueKey,
    /// The title.
    pub title: String,
    /// The severity.
    pub severity: Severity,
    /// The category of the registry.
    #[serde(default)]
    pub category: Option<String>,
    /// The site of the target.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// The address of the place: a page, a site, or a host with its port.
    pub address: String,
    /// The place, in words.
    pub place: String,
    /// The place as the plugin wrote it.
    #[serde(default)]
    pub location: String,
    /// What the plugin saw there.
    #[serde(default)]
    pub evidence: String,
    /// CVE and CWE numbers, and addresses to read.
    #[serde(default)]
    pub references: Vec<String>,
    /// What its sightings differ in.
    #[serde(default)]
    pub members: Vec<String>,
    /// The number of all members.
    #[serde(default)]
    pub members_count: u64,
    /// The state against the earlier scan, if there is one.
    #[serde(default)]
    pub baseline: Option<Baseline>,
    /// Its state over all scans. `None`: it is not known here.
    #[serde(default)]
    pub life: Option<ExportedLife>,
}

/// The state of a finding over all scans of its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedLife {
    /// What a person sees.
    pub status: Status,
    /// The decision of a person that is in force.
    #[serde(default)]
    pub decision: Option<Decision>,
    /// True if it came back after it had been fixed.
    #[serde(default)]
    pub regressed: bool,
    /// The first sighting.
    pub first_seen: Timestamp,
    /// The newest sighting.
    pub last_seen: Timestamp,
    /// When it became open.
    pub open_since: Timestamp,
    /// Since when it has not been checked, if the newest scan did not check it.
    #[serde(default)]
    pub not_checked_since: Option<Timestamp>,
    /// Why the newest scan did not.
    #[serde(default)]
    pub not_checked_because: Option<String>,
    /// Who takes care of it.
    #[serde(default)]
    pub owner: Option<AccountName>,
}

impl ExportedLife {
    /// Returns the state of a stored finding at `now`.
    #[must_use]
    pub fn of(record: &FindingRecord, now: Timestamp) -> Self {
        let (life, status) = (&record.life, record.status(now));
        let unchecked = life.not_checked_since();
        Self {
            status,
            // A decision that has expired is not in force.
            decision: life.decision.clone().filter(|_| matches!(status, Status::FalsePositive | Status::Accepted)),
            regressed: life.regressed,
            first_seen: life.first_seen.order.at,
            last_seen: life.last_seen.order.at,
            open_since: life.open_since,
            not_checked_since: unchecked.map(|(since, _)| since),
            not_checked_because: unchecked.map(|(_, check)| check.reason().to_owned()),
            owner: record.owner.clone(),
        }
    }
}

impl ExportedFinding {
    /// Returns a stored finding as it is at `now`.
    #[must_use]
    pub fn of_record(record: &FindingRecord, now: Timestamp) -> Self {
        Self {
            id: record.id,
            fingerprint: Some(record.fingerprint),
            target: record.target,
            project: record.project.clone(),
            plugin: record.plugin.clone(),
            issue: record.issue.clone(),
            title: record.title.clone(),
            severity: record.severity,
            category: record.category.clone(),
            origin: record.seen_with.target.clone(),
            address: address_of(&record.place, record.seen_with.target.as_ref()),
            place: record.place.to_string(),
            location: record.sighting.location.clone(),
            evidence: record.sighting.evidence.clone(),
            references: record.sighting.references.clone(),
            members: record.members.clone(),
            members_count: record.members_count,
            baseline: None,
            life: Some(ExportedLife::of(record, now)),
        }
    }

    /// Returns a finding as a scan saw it. Its life and its baseline are set by the caller.
    #[must_use]
    pub fn of_observed(result: &ScanResult, observed: &ObservedRecord) -> Self {
        let (finding, sighting): (_, &Sighting) = (&observed.finding, &observed.sighting);
        let origin = result.checks.get(&finding.plugin).and_then(|check| check.scope.target.clone());
        Self {
            id: FindingId::of(result.target, finding.fingerprint),
            fingerprint: Some(finding.fingerprint),
            target: result.target,
            project: result.project.clone(),
            plugin: finding.plugin.clone(),
            issue: finding.issue.clone(),
            title: observed.title.clone(),
            severity: observed.severity,
            category: observed.category.clone(),
            address: address_of(&finding.place, origin.as_ref()),
            origin,
            place: finding.place.to_string(),
            location: sighting.location.clone(),
            evidence: sighting.evidence.clone(),
            references: sighting.references.clone(),
            members: finding.members.clone(),
            members_count: finding.members_count as u64,
            baseline: None,
            life: None,
        }
    }

    /// Returns the decision of a person that is in force.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        self.life.as_ref().and_then(|life| life.decision.as_ref())
    }

    /// Returns the name of its rule: plugin and issue.
    #[must_use]
    pub fn rule(&self) -> String {
        format!("{}/{}", self.plugin, self.issue)
    }
}

/// Returns the address of a place: its page, its site, or its host with the port; otherwise the
/// site of the target.
#[must_use]
pub fn address_of(place: &Place, target: Option<&Origin>) -> String {
    match (place, place.origin()) {
        (Place::Url { address, .. }, _) => address.to_string(),
        (_, Some(origin)) => origin.to_string(),
        (Place::Host { host }, None) => host.to_string(),
        (_, None) => match (place.endpoint(), target) {
            (Some(endpoint), Some(target)) if target.endpoint() == endpoint => target.to_string(),
            (Some(endpoint), _) => endpoint.to_string(),
            (None, Some(target)) => target.to_string(),
            (None, None) => place.to_string(),
        },
    }
}

/// Returns the text of a decision for people: what, by whom, until when, and why.
pub(super) fn decision_text(decision: &Decision) -> String {
    match decision {
        Decision::FalsePositive { reason, by, at } => {
            format!("False positive by {by} on {}: {reason}", at.strftime("%Y-%m-%d"))
        }
        Decision::Accepted { reason, owner, until, by, .. } => {
            let until = until.strftime("%Y-%m-%d");
            format!("Accepted until {until} by {by}, owner {owner}: {reason}")
        }
    }
}
