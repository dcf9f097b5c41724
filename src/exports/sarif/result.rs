//! One finding as a result of SARIF.

use std::collections::BTreeMap;

use kastrel_findings::Severity;
use kastrel_findings::lifecycle::Decision;
use serde_json::Value;
use serde_sarif::sarif::{
    ArtifactLocation, Location, LogicalLocation, Message, PhysicalLocation, PropertyBag, Result as SarifResult,
    ResultKind, ResultLevel, Suppression,
};

use super::text::{message_text, uri_of};
use crate::exports::finding::{Baseline, ExportedFinding, decision_text};

/// The key of a finding's fingerprint in `partialFingerprints`.
pub const FINGERPRINT_KEY: &str = "kastrelFinding/v1";
/// The key that code scanning follows alerts by.
const LINE_KEY: &str = "primaryLocationLineHash";
/// The members that a message lists.
const MOST_MEMBERS: usize = 10;

/// Returns the result of a finding.
pub(super) fn result_of(finding: &ExportedFinding) -> SarifResult {
    let mut result = SarifResult::builder().message(Message::builder().text(text_of(finding)).build()).build();
    result.rule_id = Some(finding.rule());
    let is_absent = finding.baseline == Some(Baseline::Absent);
    // A result that is fixed is no failure any more.
    result.kind = Some(if is_absent { ResultKind::Pass } else { ResultKind::Fail });
    result.level = Some(if is_absent { ResultLevel::None } else { level(finding.severity) });
    result.locations = Some(vec![location(finding)]);
    result.partial_fingerprints = finding.fingerprint.map(|print| {
        let print = print.to_string();
        let hash = print.rsplit(':').next().unwrap_or_default();
        BTreeMap::from([
            (LINE_KEY.to_owned(), format!("{}:1", hash.get(..16).unwrap_or(hash))),
            (FINGERPRINT_KEY.to_owned(), print),
        ])
    });
    // An empty list says that nothing is suppressed; no list says that it is not known.
    result.suppressions = finding.life.as_ref().map(|life| life.decision.iter().map(suppression).collect());
    result.baseline_state = finding.baseline.map(|state| {
        Value::from(match state {
            Baseline::New => "new",
            Baseline::Unchanged => "unchanged",
            Baseline::Absent => "absent",
        })
    });
    result.properties = Some(properties(facts(finding)));
    result
}

fn text_of(finding: &ExportedFinding) -> String {
    let mut text = format!("{} at {}", finding.title, finding.place);
    if !finding.evidence.is_empty() {
        text.push_str(&format!(". Evidence: {}", finding.evidence));
    }
    if finding.members_count > 1 {
        let listed: Vec<&str> = finding.members.iter().take(MOST_MEMBERS).map(String::as_str).collect();
        let more = finding.members_count.saturating_sub(listed.len() as u64);
        text.push_str(&format!(". {} members: {}", finding.members_count, listed.join(", ")));
        if more > 0 {
            text.push_str(&format!(", and {more} more"));
        }
    }
    message_text(&text)
}

fn location(finding: &ExportedFinding) -> Location {
    let mut artifact = ArtifactLocation::builder().build();
    artifact.uri = Some(uri_of(&finding.address));
    let mut physical = PhysicalLocation::builder().build();
    physical.artifact_location = Some(artifact);
    let mut logical = LogicalLocation::builder().build();
    logical.fully_qualified_name = Some(finding.place.clone());
    let mut location = Location::builder().build();
    location.physical_location = Some(physical);
    location.logical_locations = Some(vec![logical]);
    location
}

fn suppression(decision: &Decision) -> Suppression {
    let mut suppression = Suppression::builder().kind(Value::from("external")).build();
    suppression.status = Some(Value::from("accepted"));
    suppression.justification = Some(decision_text(decision));
    suppression
}

fn facts(finding: &ExportedFinding) -> Vec<(&'static str, Value)> {
    let mut facts = vec![
        ("address", Value::from(finding.address.clone())),
        ("finding", Value::from(finding.id.to_string())),
        ("severity", Value::from(finding.severity.name())),
    ];
    facts.extend(finding.origin.as_ref().map(|origin| ("target", Value::from(origin.to_string()))));
    if let Some(life) = &finding.life {
        facts.push(("status", Value::from(life.status.name())));
        facts.push(("firstSeen", Value::from(life.first_seen.to_string())));
        facts.push(("lastSeen", Value::from(life.last_seen.to_string())));
        facts.push(("regressed", Value::from(life.regressed)));
        facts.extend(life.owner.as_ref().map(|owner| ("owner", Value::from(owner.to_string()))));
        facts.extend(life.not_checked_since.map(|since| ("notCheckedSince", Value::from(since.to_string()))));
    }
    facts
}

/// Returns a bag of properties.
pub(super) fn properties(facts: impl IntoIterator<Item = (&'static str, Value)>) -> PropertyBag {
    let mut bag = PropertyBag::builder().build();
    bag.additional_properties.extend(facts.into_iter().map(|(name, value)| (name.to_owned(), value)));
    bag
}

fn level(severity: Severity) -> ResultLevel {
    match severity {
        Severity::Critical | Severity::High => ResultLevel::Error,
        Severity::Medium | Severity::Unknown => ResultLevel::Warning,
        Severity::Low | Severity::Informational => ResultLevel::Note,
    }
}

/// Returns the name of the level of a severity.
pub(super) const fn level_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium | Severity::Unknown => "warning",
        Severity::Low | Severity::Informational => "note",
    }
}
