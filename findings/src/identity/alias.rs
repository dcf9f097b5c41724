//! Aliases: the fingerprints of findings under an older rule set.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::fingerprint::{Fingerprint, fingerprint};
use super::rules::RuleSet;
use crate::sighting::Sighting;

/// What a change of the rules does to findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum AliasChange {
    /// One finding has a new fingerprint. Its state, decision and history move.
    Moved {
        /// The fingerprint by the older rules.
        old: Fingerprint,
        /// The fingerprint by the newer rules.
        new: Fingerprint,
    },
    /// Several findings are one. History moves. A decision moves only if all of them have the same
    /// one.
    Merged {
        /// The fingerprints by the older rules.
        old: BTreeSet<Fingerprint>,
        /// The fingerprint by the newer rules.
        new: Fingerprint,
    },
    /// One finding is several. The dates of its history move. A decision does not: it was about all
    /// of them together.
    Split {
        /// The fingerprint by the older rules.
        old: Fingerprint,
        /// The fingerprints by the newer rules.
        new: BTreeSet<Fingerprint>,
    },
    /// Several findings are several others. Nothing moves.
    Mixed {
        /// The fingerprints by the older rules.
        old: BTreeSet<Fingerprint>,
        /// The fingerprints by the newer rules.
        new: BTreeSet<Fingerprint>,
    },
}

/// Compares two rule sets on the sightings of a scan. Findings whose fingerprint stays the same are
/// not in the result.
#[must_use]
pub fn aliases(sightings: &[Sighting], from: &RuleSet, to: &RuleSet) -> Vec<AliasChange> {
    let mut forward: BTreeMap<Fingerprint, BTreeSet<Fingerprint>> = BTreeMap::new();
    let mut backward: BTreeMap<Fingerprint, BTreeSet<Fingerprint>> = BTreeMap::new();
    for sighting in sightings {
        let (old, new) = (fingerprint(sighting, from), fingerprint(sighting, to));
        forward.entry(old).or_default().insert(new);
        backward.entry(new).or_default().insert(old);
    }
    let mut changes = Vec::new();
    let mut open: BTreeSet<Fingerprint> = forward.keys().copied().collect();
    while let Some(start) = open.pop_first() {
        let (old, new) = connected(start, &forward, &backward);
        open.retain(|one| !old.contains(one));
        changes.extend(change(old, new));
    }
    changes
}

/// Everything that is connected with the fingerprint `start` of the older rules.
fn connected(
    start: Fingerprint,
    forward: &BTreeMap<Fingerprint, BTreeSet<Fingerprint>>,
    backward: &BTreeMap<Fingerprint, BTreeSet<Fingerprint>>,
) -> (BTreeSet<Fingerprint>, BTreeSet<Fingerprint>) {
    let (mut old, mut new) = (BTreeSet::from([start]), BTreeSet::new());
    let mut open = vec![start];
    while let Some(one) = open.pop() {
        for next in forward.get(&one).into_iter().flatten() {
            if new.insert(*next) {
                open.extend(backward.get(next).into_iter().flatten().filter(|other| old.insert(**other)));
            }
        }
    }
    (old, new)
}

fn change(old: BTreeSet<Fingerprint>, new: BTreeSet<Fingerprint>) -> Option<AliasChange> {
    let (first_old, first_new) = (*old.first()?, *new.first()?);
    match (old.len(), new.len()) {
        (1, 1) if first_old == first_new => None,
        (1, 1) => Some(AliasChange::Moved { old: first_old, new: first_new }),
        (_, 1) => Some(AliasChange::Merged { old, new: first_new }),
        (1, _) => Some(AliasChange::Split { old: first_old, new }),
        _ => Some(AliasChange::Mixed { old, new }),
    }
}
