//! What a scan does to the findings of its target.

use std::collections::{BTreeMap, BTreeSet};

use kastrel_findings::Severity;
use kastrel_findings::identity::{FindingId, Fingerprint, RuleSet, fingerprint};
use kastrel_findings::lifecycle::{Check, Event, Finding, Observation, scans_to_fix};
use kastrel_findings::scope::CheckScope;

use super::coverage::{check_of, version_of};
use super::log;
use super::reading::ScanReading;
use crate::model::{FindingRecord, ObservedRecord, ScanResult};

/// The findings of a target, by fingerprint.
pub(super) type Rows = BTreeMap<Fingerprint, FindingRecord>;

/// Applies a scan to all findings of its target, and adds those that are new. `newer` has the
/// results of newer scans, the oldest first; an older check that one of them kept does not count.
/// `older_rules` has the rule sets of which there may be rows.
pub(super) fn observe(
    rows: &mut Rows,
    reading: &ScanReading,
    newer: &[ScanResult],
    rules: &RuleSet,
    older_rules: &[&RuleSet],
) {
    let observed: BTreeMap<Fingerprint, &ObservedRecord> =
        reading.observed.iter().map(|one| (one.finding.fingerprint, one)).collect();
    let mut seen_by_older = BTreeMap::<u32, BTreeSet<Fingerprint>>::new();
    for older in older_rules.iter().filter(|older| rows.values().any(|row| row.rules == older.version)) {
        let prints = reading.sightings.iter().map(|sighting| fingerprint(sighting, older)).collect();
        seen_by_older.insert(older.version, prints);
    }
    for (print, row) in rows.iter_mut() {
        let one = observed.get(print).filter(|_| row.rules == rules.version);
        // A finding of older rules that could not be carried over is still seen.
        let is_seen = seen_by_older.get(&row.rules).is_some_and(|prints| prints.contains(print));
        match one {
            Some(one) => see(row, one, reading, newer),
            None => apply(row, reading, is_seen),
        }
    }
    for (print, one) in observed {
        if let std::collections::btree_map::Entry::Vacant(entry) = rows.entry(print)
            && let Some(row) = first(one, reading, newer, rules)
        {
            entry.insert(row);
        }
    }
}

/// A finding that was not known.
fn first(one: &ObservedRecord, reading: &ScanReading, newer: &[ScanResult], rules: &RuleSet) -> Option<FindingRecord> {
    let (head, finding) = (&reading.head, &one.finding);
    let scope = reading.checks.get(&finding.plugin)?.scope.clone();
    let (target, order) = (head.target(), reading.order_of(&finding.plugin));
    let mut row = FindingRecord {
        id: FindingId::of(target, finding.fingerprint),
        target,
        project: head.project.clone(),
        fingerprint: finding.fingerprint,
        rules: rules.version,
        plugin: finding.plugin.clone(),
        issue: finding.issue.clone(),
        title: one.title.clone(),
        severity: one.severity,
        category: one.category.clone(),
        place: finding.place.clone(),
        members: finding.members.clone(),
        members_count: finding.members_count as u64,
        sighting: one.sighting.clone(),
        seen_with: scope,
        life: Finding::first(order),
        owner: None,
        log: Vec::new(),
        version: 0,
    };
    log::write(&mut row, vec![Event::Found], order);
    check_again(&mut row, newer);
    Some(row)
}

/// A known finding was seen.
fn see(row: &mut FindingRecord, one: &ObservedRecord, reading: &ScanReading, newer: &[ScanResult]) {
    let order = reading.order_of(&row.plugin);
    let Some(scope) = reading.checks.get(&row.plugin).map(|check| check.scope.clone()) else { return };
    if order > row.life.last_seen.order && scope != row.seen_with {
        // The checks after this sighting were compared with the scope of an older one.
        let proves =
            |at: &ScanResult| check_of((&at.checks, at.absent), &row.plugin, &row.issue, &scope).proves_absence();
        let is_proof = |at| newer.iter().any(|result| result.order_of(&row.plugin) == at && proves(result));
        row.life.absences.retain(|proof| proof.order < order || is_proof(proof.order));
    }
    if order >= row.life.last_seen.order {
        describe(row, one, scope);
    }
    apply(row, reading, true);
    if row.life.last_seen.order == order {
        check_again(row, newer);
    }
}

/// Takes over what the newest sighting shows. What this process does not know, because it has no
/// registry, stays.
fn describe(row: &mut FindingRecord, one: &ObservedRecord, scope: CheckScope) {
    let finding = &one.finding;
    let knows_title = one.title != finding.issue.as_str();
    if knows_title || row.title.is_empty() {
        row.title.clone_from(&one.title);
    }
    if one.severity != Severity::Unknown {
        row.severity = one.severity;
    }
    if one.category.is_some() {
        row.category.clone_from(&one.category);
    }
    row.issue = finding.issue.clone();
    row.place = finding.place.clone();
    row.members.clone_from(&finding.members);
    row.members_count = finding.members_count as u64;
    row.sighting = one.sighting.clone();
    row.seen_with = scope;
}

/// Applies a scan that saw the finding, or did not.
fn apply(row: &mut FindingRecord, reading: &ScanReading, seen: bool) {
    let order = reading.order_of(&row.plugin);
    let check = check_of((&reading.checks, reading.head.absent), &row.plugin, &row.issue, &row.seen_with);
    observe_one(row, &Observation { order, check, seen, plugin_version: version_of(&reading.checks, &row.plugin) });
}

/// Applies the newer scans again to a finding whose newest sighting is before them.
fn check_again(row: &mut FindingRecord, newer: &[ScanResult]) {
    let seen = row.life.last_seen.order;
    for result in newer {
        let order = result.order_of(&row.plugin);
        if order <= seen {
            continue;
        }
        let check: Check = check_of((&result.checks, result.absent), &row.plugin, &row.issue, &row.seen_with);
        let plugin_version = version_of(&result.checks, &row.plugin);
        observe_one(row, &Observation { order, check, seen: false, plugin_version });
    }
}

pub(super) fn observe_one(row: &mut FindingRecord, observation: &Observation<'_>) {
    let (life, events) = row.life.clone().observe(observation, scans_to_fix(&row.plugin));
    row.life = life;
    log::write(row, events, observation.order);
}
