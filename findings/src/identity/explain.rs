//! Explanations: how a fingerprint came about, and why two sightings are one finding or two.

use super::fingerprint::{fingerprint, place_key};
use super::rules::RuleSet;
use crate::place::{Part, Place, Steps, WebAddress};
use crate::sighting::Sighting;

/// Explains the fingerprint of a sighting, one step a line.
#[must_use]
pub fn explain(sighting: &Sighting, rules: &RuleSet) -> Vec<String> {
    let rule = rules.rule_for(sighting);
    let mut lines = vec![format!("Plugin: {}", sighting.plugin)];
    let issue = rule.issue_of(sighting);
    if issue == sighting.issue.as_str() {
        lines.push(format!("Issue: {issue}"));
    } else {
        lines.push(format!("Issue: {issue}, with {} as a member", sighting.issue));
    }
    if !sighting.location.is_empty() {
        lines.push(format!("Place in the plugin's result: {}", sighting.location));
        lines.extend(steps(sighting).into_iter().map(|step| format!("  {step}")));
    }
    lines.push(format!("Place: {} ({})", sighting.place, sighting.place.kind()));
    lines.push(format!("Rule (set {}): {}", rules.version, rule.why));
    let key = place_key(&sighting.place, rule);
    if key.is_empty() {
        lines.push("No part of the place counts".to_owned());
    }
    lines.extend(key.into_iter().map(|(part, value)| format!("  counts: {} = {value}", part.name())));
    for part in Part::ALL.into_iter().filter(|part| !rule.parts.contains(part)) {
        if let Some(value) = sighting.place.part(part) {
            lines.push(format!("  does not count: {} = {value}", part.name()));
        }
    }
    lines.push("Severity, title, evidence and versions do not count".to_owned());
    lines.push(format!("Fingerprint: {}", fingerprint(sighting, rules)));
    lines
}

/// The steps from the location to the normal form, for places that are addresses.
fn steps(sighting: &Sighting) -> Vec<String> {
    let mut steps = Steps::new();
    let address = match &sighting.place {
        Place::Url { address, .. } => Some(address),
        Place::Script { script, .. } => Some(script),
        _ => None,
    };
    if let Some(address) = address {
        let read = WebAddress::parse_with(&sighting.location, Some(address.origin()), &mut steps);
        // The location is bounded. Where it was cut, its steps are not those of the place.
        if read.as_ref() != Ok(address) {
            steps = vec!["the location is cut; its full text gave the place below".to_owned()];
        }
    }
    steps
}

/// Explains why two sightings are one finding, or why they are two.
#[must_use]
pub fn explain_pair(one: &Sighting, other: &Sighting, rules: &RuleSet) -> Vec<String> {
    let (rule, other_rule) = (rules.rule_for(one), rules.rule_for(other));
    let mut lines = Vec::new();
    let mut compare = |what: &str, counts: bool, one: Option<String>, other: Option<String>| {
        let show = |value: Option<String>| value.unwrap_or_else(|| "(none)".to_owned());
        let counting = if counts { "" } else { ", which does not count" };
        match (one, other) {
            (None, None) => {}
            (one, other) if one == other => lines.push(format!("Same {what}: {}{counting}", show(one))),
            (one, other) => lines.push(format!("Different {what}: {} and {}{counting}", show(one), show(other))),
        }
    };
    compare("plugin", true, Some(one.plugin.clone()), Some(other.plugin.clone()));
    compare("issue", true, Some(rule.issue_of(one).to_owned()), Some(other_rule.issue_of(other).to_owned()));
    for part in Part::ALL {
        let counts = rule.parts.contains(&part) || other_rule.parts.contains(&part);
        compare(part.name(), counts, one.place.part(part), other.place.part(part));
    }
    compare("severity", false, severity(one), severity(other));
    lines.push(match fingerprint(one, rules) == fingerprint(other, rules) {
        true => format!("One finding: {}", rule.why),
        false => "Two findings: something that counts is different".to_owned(),
    });
    lines
}

fn severity(sighting: &Sighting) -> Option<String> {
    sighting.severity.map(|severity| severity.name().to_owned())
}
