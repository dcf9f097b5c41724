//! The comparison of two scans of a target.
//!
//! | earlier scan | later scan | class |
//! |---|---|---|
//! | seen | seen | unchanged |
//! | not seen | seen | new; `was_checked` is false if the earlier scan had not looked |
//! | seen | not seen, check completed, one scan is enough | fixed, with proof |
//! | seen | not seen, check completed, the plugin needs two | not checked: one of two |
//! | seen | not seen, and the later scan kept a check older than the earlier one's | not checked |
//! | seen | not seen, any other check | not checked, with the reason |

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::identity::{Fingerprint, ObservedFinding};
use crate::lifecycle::{Check, PluginCheck, Proof, ScanOrder, scans_to_fix};

/// One scan.
#[derive(Debug, Clone, Copy)]
pub struct ScanSide<'a> {
    /// The attempt whose result counts.
    pub order: ScanOrder,
    /// What it found.
    pub findings: &'a [ObservedFinding],
    /// What it checked, by plugin. A plugin that is missing was left out.
    pub checks: &'a BTreeMap<String, PluginCheck>,
}

/// A finding of the later scan only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFinding {
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    /// True if the earlier scan looked for it and did not see it. A gate counts both.
    pub was_checked: bool,
}

/// A finding of the earlier scan that is fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedFinding {
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    /// The check of the later scan.
    pub proof: Proof,
}

/// Why the absence of a finding proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotProven {
    /// The later scan did not check it.
    NotChecked(Check),
    /// The plugin needs this many scans, and the comparison has one.
    OneOf(usize),
    /// The later scan kept a check that is older than that of the earlier scan.
    OlderCheck,
}

/// A finding of the earlier scan about which the later one says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncheckedFinding {
    /// The fingerprint.
    pub fingerprint: Fingerprint,
    /// The reason.
    pub why: NotProven,
}

/// The result of a comparison, each class in the order of the fingerprints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Only in the later scan.
    pub new: Vec<NewFinding>,
    /// Only in the earlier scan, and proven fixed.
    pub fixed: Vec<FixedFinding>,
    /// In both.
    pub unchanged: Vec<Fingerprint>,
    /// Only in the earlier scan, and not proven fixed.
    pub not_checked: Vec<UncheckedFinding>,
}

/// Compares two scans. `aliases` has the present fingerprint of each one that changed with the
/// rules.
#[must_use]
pub fn compare(
    earlier: &ScanSide<'_>,
    later: &ScanSide<'_>,
    aliases: &BTreeMap<Fingerprint, Fingerprint>,
) -> Comparison {
    let (before, after) = (by_fingerprint(earlier, aliases), by_fingerprint(later, aliases));
    let all: BTreeSet<&Fingerprint> = before.keys().chain(after.keys()).collect();
    let mut comparison = Comparison::default();
    for &fingerprint in all {
        match (before.get(&fingerprint), after.get(&fingerprint)) {
            (Some(_), Some(_)) => comparison.unchanged.push(fingerprint),
            (None, Some(finding)) => {
                let was_checked = check_of(earlier, later, finding).proves_absence();
                comparison.new.push(NewFinding { fingerprint, was_checked });
            }
            (Some(finding), None) => {
                let check = check_of(later, earlier, finding);
                let needed = scans_to_fix(&finding.plugin);
                let why = match check {
                    Check::Completed if order_of(later, finding) < order_of(earlier, finding) => NotProven::OlderCheck,
                    Check::Completed if needed == 1 => {
                        let version = later.checks.get(&finding.plugin).map_or("", |check| check.version.as_str());
                        comparison
                            .fixed
                            .push(FixedFinding { fingerprint, proof: Proof::new(order_of(later, finding), version) });
                        continue;
                    }
                    Check::Completed => NotProven::OneOf(needed),
                    check => NotProven::NotChecked(check),
                };
                comparison.not_checked.push(UncheckedFinding { fingerprint, why });
            }
            (None, None) => {}
        }
    }
    comparison
}

/// Returns the place of the check of a finding's plugin among all scans of the target.
fn order_of(side: &ScanSide<'_>, finding: &ObservedFinding) -> ScanOrder {
    side.checks.get(&finding.plugin).map_or(side.order, |check| check.order(side.order))
}

/// What the check of `by` means for a finding that `seen_by` saw.
fn check_of(by: &ScanSide<'_>, seen_by: &ScanSide<'_>, finding: &ObservedFinding) -> Check {
    let checks = (by.checks.get(&finding.plugin), seen_by.checks.get(&finding.plugin));
    let (Some(check), seen_with) = checks else { return Check::Skipped };
    match seen_with {
        Some(seen_with) => check.check_for(&finding.issue, &seen_with.scope),
        // With which scope it was seen is not known.
        None => Check::NarrowerScope,
    }
}

fn by_fingerprint<'a>(
    side: &ScanSide<'a>,
    aliases: &BTreeMap<Fingerprint, Fingerprint>,
) -> BTreeMap<Fingerprint, &'a ObservedFinding> {
    side.findings.iter().map(|finding| (present(finding.fingerprint, aliases), finding)).collect()
}

/// Follows the aliases of a fingerprint. A circle ends where it began.
fn present(start: Fingerprint, aliases: &BTreeMap<Fingerprint, Fingerprint>) -> Fingerprint {
    let mut known = BTreeSet::from([start]);
    let mut now = start;
    while let Some(next) = aliases.get(&now) {
        if !known.insert(*next) {
            return start;
        }
        now = *next;
    }
    now
}

#[cfg(test)]
mod tests;
