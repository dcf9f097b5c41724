//! The names and words of findings in the API.

use kastrel_actors::model::LogChange;
use kastrel_findings::Severity;
use kastrel_findings::lifecycle::{Check, Event, PluginEnd, Status};
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The name of a severity, worst first in its description.
pub(super) struct SeverityName;
/// The name of a status.
pub(super) struct StatusName;
/// The name of the end of a check.
pub(super) struct CheckName;
/// The name of the end of a plugin.
pub(super) struct PluginEndName;
/// The name of what an SLA says.
pub(super) struct SlaName;

/// The schema of a text that is one of these names.
fn names<T: Serialize>(names: impl IntoIterator<Item = T>) -> RefOr<Schema> {
    let names = names.into_iter().filter_map(|name| serde_json::to_value(name).ok());
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).into()
}

macro_rules! name_schema {
    ($name:ident, $shown:literal, $values:expr) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                names($values)
            }
        }

        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $shown.into()
            }
        }
    };
}

name_schema!(SeverityName, "FindingSeverity", Severity::ALL);
name_schema!(StatusName, "FindingStatus", Status::ALL);
name_schema!(CheckName, "FindingCheck", Check::ALL);
name_schema!(PluginEndName, "PluginEnd", PluginEnd::ALL);
name_schema!(SlaName, "FindingSla", ["none", "due", "overdue", "paused"]);

/// Returns the name of the kind of an entry of the log.
pub(super) const fn log_kind(change: &LogChange) -> &'static str {
    match change {
        LogChange::Life { event, .. } => event_name(event),
        LogChange::Comment { .. } => "comment",
        LogChange::Assigned { .. } => "assigned",
        LogChange::Continues { .. } => "continues",
    }
}

const fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Found => "found",
        Event::Regressed => "regressed",
        Event::Fixed { .. } => "fixed",
        Event::ProofLost => "proof_lost",
        Event::Absent => "absent",
        Event::NotChecked { .. } => "not_checked",
        Event::SeenAgain => "seen_again",
        Event::FirstSeenEarlier => "first_seen_earlier",
        Event::Confirmed => "confirmed",
        Event::Decided => "decided",
        Event::Withdrawn => "withdrawn",
        Event::AcceptanceExpired => "acceptance_expired",
    }
}

/// Returns the words for an entry of the log.
pub(super) fn log_text(change: &LogChange) -> String {
    match change {
        LogChange::Life { event, reason } => {
            let words = event_words(event);
            reason.as_ref().map_or_else(|| words.clone(), |reason| format!("{words}: {reason}"))
        }
        LogChange::Comment { text } => text.clone(),
        LogChange::Assigned { owner: Some(owner) } => format!("assigned to {owner}"),
        LogChange::Assigned { owner: None } => "assigned to nobody".into(),
        LogChange::Continues { finding } => format!("continues the finding {finding}"),
    }
}

fn event_words(event: &Event) -> String {
    match event {
        Event::Found => "seen for the first time".into(),
        Event::Regressed => "seen again after it had been fixed".into(),
        Event::Fixed { proof } => {
            let scans: Vec<String> = proof.iter().map(|proof| proof.order.scan.to_string()).collect();
            match scans.as_slice() {
                [one] => format!("fixed: scan {one} did not see it"),
                several => format!("fixed: the scans {} did not see it", several.join(", ")),
            }
        }
        Event::ProofLost => "open again: a scan that arrived late had seen it".into(),
        Event::Absent => "a complete check did not see it; one more is needed".into(),
        Event::NotChecked { check } => format!("not checked: {}", check.reason()),
        Event::SeenAgain => "seen again".into(),
        Event::FirstSeenEarlier => "an older scan had seen it earlier".into(),
        Event::Confirmed => "confirmed".into(),
        Event::Decided => "decided".into(),
        Event::Withdrawn => "decision withdrawn".into(),
        Event::AcceptanceExpired => "the acceptance has expired".into(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_findings::lifecycle::{Proof, ScanOrder};

    use super::*;

    #[test]
    fn each_entry_of_the_log_has_a_kind_and_words() {
        let proof = |scan| Proof::new(ScanOrder { at: Timestamp::UNIX_EPOCH, scan, token: 1 }, "3.2");
        let life = |event, reason: Option<&str>| LogChange::Life { event, reason: reason.map(str::to_owned) };
        for (change, kind, text) in [
            (life(Event::Found, None), "found", "seen for the first time"),
            (life(Event::Fixed { proof: vec![proof(7)] }, None), "fixed", "fixed: scan 7 did not see it"),
            (
                life(Event::Fixed { proof: vec![proof(7), proof(9)] }, None),
                "fixed",
                "fixed: the scans 7, 9 did not see it",
            ),
            (life(Event::NotChecked { check: Check::Failed }, None), "not_checked", "not checked: the plugin failed"),
            (life(Event::Decided, Some("a test host")), "decided", "decided: a test host"),
            (LogChange::Comment { text: "<b>".into() }, "comment", "<b>"),
            (LogChange::Assigned { owner: "ana".parse().ok() }, "assigned", "assigned to ana"),
            (LogChange::Assigned { owner: None }, "assigned", "assigned to nobody"),
        ] {
            assert_eq!((log_kind(&change), log_text(&change).as_str()), (kind, text));
        }
    }

    #[test]
    fn names_of_events_are_those_that_are_stored() {
        for event in [
            Event::Found,
            Event::Regressed,
            Event::Fixed { proof: Vec::new() },
            Event::ProofLost,
            Event::Absent,
            Event::NotChecked { check: Check::Failed },
            Event::SeenAgain,
            Event::FirstSeenEarlier,
            Event::Confirmed,
            Event::Decided,
            Event::Withdrawn,
            Event::AcceptanceExpired,
        ] {
            assert_eq!(serde_json::to_value(&event).unwrap()["event"], event_name(&event));
        }
    }
}
