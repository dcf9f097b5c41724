//! Pairing of drifted places: a finding that is gone, and one that is new, may be one finding whose
//! place moved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Fingerprint, fingerprint, place_key};
use super::rules::RuleSet;
use super::similar::is_similar;
use crate::place::Part;
use crate::sighting::Sighting;

/// Two fingerprints that are probably one finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The finding that is gone.
    pub old: Fingerprint,
    /// The finding that is new.
    pub new: Fingerprint,
    /// The part of the place that moved.
    pub part: Part,
    /// Its value before.
    pub from: String,
    /// Its value now.
    pub to: String,
}

/// What two sightings must have in common to be paired: plugin, issue and the other parts.
type LooseKey = (String, String, Vec<(Part, String)>);

/// Pairs findings that are gone with findings that are new. `gone` has the last sighting of each
/// finding whose absence is proven, `new` one sighting of each finding that is seen for the first
/// time; both are of one target.
///
/// Two are paired only if plugin, issue and all other parts of the place key are equal, the part
/// that moved still ends in the same name, and there is no other candidate on either side. A
/// wrong pair would hide a new finding behind the history of another, so everything else is no
/// pair. A pair moves the history of a finding. A decision of a person stays where it was made.
#[must_use]
pub fn pair_drifted(gone: &[Sighting], new: &[Sighting], rules: &RuleSet) -> Vec<Drift> {
    let (gone, new) = (by_loose_key(gone, rules), by_loose_key(new, rules));
    let mut pairs = Vec::new();
    for (key, (part, old)) in &gone {
        let Some((_, new)) = new.get(key) else { continue };
        // One fingerprint on each side, and not the same one.
        let (old, new) = (distinct(old), distinct(new));
        let ([(old, from)], [(new, to)]) = (old.as_slice(), new.as_slice()) else { continue };
        if old != new && is_similar(from, to) {
            pairs.push(Drift { old: *old, new: *new, part: *part, from: from.clone(), to: to.clone() });
        }
    }
    pairs
}

/// A fingerprint, and the value of the part that may drift.
type Candidate = (Fingerprint, String);

fn by_loose_key(sightings: &[Sighting], rules: &RuleSet) -> BTreeMap<LooseKey, (Part, Vec<Candidate>)> {
    let mut found: BTreeMap<LooseKey, (Part, Vec<Candidate>)> = BTreeMap::new();
    for sighting in sightings {
        let rule = rules.rule_for(sighting);
        let Some(part) = rule.drift else { continue };
        let Some(value) = sighting.place.part(part) else { continue };
        let mut others = place_key(&sighting.place, rule);
        others.retain(|(one, _)| *one != part);
        let key = (sighting.plugin.clone(), rule.issue_of(sighting).to_owned(), others);
        found.entry(key).or_insert((part, Vec::new())).1.push((fingerprint(sighting, rules), value));
    }
    found
}

/// The candidates with different fingerprints.
fn distinct(candidates: &[Candidate]) -> Vec<Candidate> {
    let mut candidates = candidates.to_vec();
    candidates.sort();
    candidates.dedup_by_key(|(fingerprint, _)| *fingerprint);
    candidates
}
