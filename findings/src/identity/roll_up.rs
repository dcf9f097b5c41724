//! The findings of one scan: sightings with one fingerprint, joined.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::fingerprint::{Fingerprint, fingerprint};
use super::rules::{Rule, RuleSet};
use crate::limits::MOST_MEMBERS;
use crate::place::{Part, Place};
use crate::severity::Severity;
use crate::sighting::{IssueKey, Sighting};

/// A finding as one scan saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedFinding {
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    /// The plugin.
    pub plugin: String,
    /// The issue key of the finding.
    pub issue: IssueKey,
    /// The title of the rule, or of the first sighting.
    pub title: String,
    /// The place that the sightings have in common.
    pub place: Place,
    /// The worst severity that a sighting has of its own.
    pub severity: Option<Severity>,
    /// What the sightings differ in: pages, cipher suites. Sorted, and at most
    /// [`MOST_MEMBERS`]. Empty if there is nothing in which they could differ.
    pub members: Vec<String>,
    /// The number of all members.
    pub members_count: usize,
    /// The positions of the sightings in the list that was joined, the one that stands for all
    /// first.
    pub sightings: Vec<usize>,
}

/// Joins sightings to findings, in the order of their fingerprints. The order of the sightings does
/// not matter, except for the positions in the result.
#[must_use]
pub fn roll_up(sightings: &[Sighting], rules: &RuleSet) -> Vec<ObservedFinding> {
    let mut groups: BTreeMap<Fingerprint, Vec<usize>> = BTreeMap::new();
    for (at, sighting) in sightings.iter().enumerate() {
        groups.entry(fingerprint(sighting, rules)).or_default().push(at);
    }
    groups.into_iter().map(|(fingerprint, group)| join(fingerprint, group, sightings, rules)).collect()
}

fn join(fingerprint: Fingerprint, mut group: Vec<usize>, all: &[Sighting], rules: &RuleSet) -> ObservedFinding {
    let order = |at: usize| {
        let one = &all[at];
        (&one.place, &one.issue, &one.title, &one.location, &one.evidence)
    };
    group.sort_by(|one, other| order(*one).cmp(&order(*other)).then(one.cmp(other)));
    let first = &all[group[0]];
    let rule = rules.rule_for(first);
    let mut members: BTreeSet<String> = BTreeSet::new();
    for at in &group {
        members.extend(member(&all[*at], rule));
    }
    ObservedFinding {
        fingerprint,
        plugin: first.plugin.clone(),
        issue: IssueKey::new(rule.issue_of(first)),
        title: rule.title.map_or_else(|| first.title.clone(), str::to_owned),
        place: first.place.reduced(rule.parts),
        severity: group.iter().filter_map(|at| all[*at].severity).min(),
        members_count: members.len(),
        members: members.into_iter().take(MOST_MEMBERS).collect(),
        sightings: group,
    }
}

/// What a sighting has of its own within its finding: the issue, if the rule gives another one, and
/// the place, if some parts of it do not count or if its path has ids.
fn member(sighting: &Sighting, rule: &Rule) -> Option<String> {
    if rule.issue_as.is_some() {
        return Some(sighting.issue.to_string());
    }
    let place = &sighting.place;
    let has_more = Part::ALL.iter().any(|part| !rule.parts.contains(part) && place.part(*part).is_some());
    let exact = match place {
        Place::Url { address, .. } | Place::Script { script: address, .. } => address.exact_page(&sighting.location),
        _ => None,
    };
    match (exact, place) {
        (Some(page), Place::Url { parameter: Some(parameter), .. }) => Some(format!("{page} (parameter {parameter})")),
        (Some(page), _) => Some(page),
        (None, _) => has_more.then(|| place.to_string()),
    }
}
