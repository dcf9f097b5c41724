//! Rows of targets and findings for tests.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _};
use kastrel_actors::model::{
    FindingEntry, FindingRecord, LogChange, ObservedRecord, ProjectId, ScanId, ScanResult, ScanStatus, TargetRecord,
};
use kastrel_findings::identity::{FindingId, ObservedFinding, TargetId, current, fingerprint};
use kastrel_findings::lifecycle::{Check, Event, Finding, ScanOrder};
use kastrel_findings::place::{Origin, Place, WebAddress};
use kastrel_findings::scope::CheckScope;
use kastrel_findings::{Severity, Sighting};

/// The end of the scan with this number: one hour after that of the one before.
pub(crate) fn order(scan: u64) -> ScanOrder {
    let hours = i64::try_from(scan).unwrap();
    ScanOrder { at: Timestamp::UNIX_EPOCH + hours.hours(), scan, token: 1 }
}

/// A target of the project, of which `scan` is the newest scan.
pub(crate) fn target(project: &str, origin: &str, scan: u64) -> TargetRecord {
    let origin = Origin::of_target(origin).unwrap();
    TargetRecord {
        id: TargetId::of(project, &origin),
        project: project.parse::<ProjectId>().unwrap(),
        origin,
        tags: Vec::new(),
        notes: String::new(),
        first_scan: order(1).at,
        last_scan: order(scan),
        checks: BTreeMap::new(),
        version: 0,
    }
}

/// A finding at a page of a target, which this scan saw first.
pub(crate) fn finding(
    target: &TargetRecord,
    plugin: &str,
    issue: &str,
    path: &str,
    severity: Severity,
    scan: u64,
) -> FindingRecord {
    let place = Place::page(WebAddress::parse(&format!("{}/{path}", target.origin)).unwrap());
    let sighting = Sighting::new(plugin, issue, place.clone()).severity(Some(severity)).location(&place.to_string());
    let fingerprint = fingerprint(&sighting, current());
    let order = order(scan);
    let found = LogChange::Life { event: Event::Found, reason: None };
    FindingRecord {
        id: FindingId::of(target.id, fingerprint),
        target: target.id,
        project: target.project.clone(),
        fingerprint,
        rules: current().version,
        plugin: plugin.to_owned(),
        issue: sighting.issue.clone(),
        title: format!("Title of {issue}"),
        severity,
        category: None,
        place,
        members: Vec::new(),
        members_count: 0,
        seen_with: CheckScope {
            plugin: plugin.to_owned(),
            target: Some(target.origin.clone()),
            settings: BTreeMap::new(),
        },
        sighting,
        life: Finding::first(order),
        owner: None,
        log: vec![FindingEntry { at: order.at, by: None, scan: Some(scan), change: found }],
        version: 0,
    }
}

/// The result of a scan of a target with these findings.
pub(crate) fn result(target: &TargetRecord, scan: u64, findings: &[FindingRecord]) -> ScanResult {
    ScanResult {
        scan: ScanId(scan),
        target: target.id,
        project: target.project.clone(),
        order: order(scan),
        status: ScanStatus::Completed,
        stored_at: order(scan).at,
        rules: current().version,
        checks: BTreeMap::new(),
        absent: Check::Skipped,
        notes: BTreeMap::new(),
        severities: BTreeMap::new(),
        findings: findings.len() as u64,
        new: 0,
        fixed: 0,
    }
}

/// A finding as its scan saw it.
pub(crate) fn observed(record: &FindingRecord) -> ObservedRecord {
    ObservedRecord {
        finding: ObservedFinding {
            fingerprint: record.fingerprint,
            plugin: record.plugin.clone(),
            issue: record.issue.clone(),
            title: record.title.clone(),
            place: record.place.clone(),
            severity: Some(record.severity),
            members: Vec::new(),
            members_count: 0,
            sightings: vec![0],
        },
        severity: record.severity,
        title: record.title.clone(),
        category: None,
        sighting: record.sighting.clone(),
    }
}
