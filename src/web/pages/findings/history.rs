//! The history of a finding in words.

use kastrel_actors::model::{FindingEntry, LogChange};
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::{Event, Proof};

use super::marks::finding_url;
use crate::web::text::{MomentText, clean};
use crate::web::zone::WallClock;

/// An entry of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HistoryLine {
    pub(super) at: MomentText,
    /// The person; empty for a scan and for the clock.
    pub(super) who: String,
    pub(super) scan: Option<u64>,
    pub(super) what: String,
    /// The reason or the comment.
    pub(super) text: String,
    /// The link to an earlier finding.
    pub(super) url: Option<String>,
}

/// Returns the history, newest first.
pub(super) fn history(log: &[FindingEntry], clock: &WallClock) -> Vec<HistoryLine> {
    let line = |entry: &FindingEntry| {
        let (what, text, earlier) = words(&entry.change);
        HistoryLine {
            at: clock.moment(entry.at),
            who: entry.by.as_deref().map(clean).unwrap_or_default(),
            scan: entry.scan,
            what,
            text: clean(text),
            url: earlier.map(finding_url),
        }
    };
    log.iter().rev().map(line).collect()
}

/// Returns what happened, what a person wrote, and the earlier finding.
fn words(change: &LogChange) -> (String, &str, Option<FindingId>) {
    match change {
        LogChange::Life { event, reason } => (event_words(event), reason.as_deref().unwrap_or_default(), None),
        LogChange::Comment { text } => ("Comment".into(), text, None),
        LogChange::Assigned { owner: Some(owner) } => (format!("Assigned to {owner}"), "", None),
        LogChange::Assigned { owner: None } => ("Assigned to nobody".into(), "", None),
        LogChange::Continues { finding } => ("Continues an earlier finding".into(), "", Some(*finding)),
    }
}

fn event_words(event: &Event) -> String {
    match event {
        Event::Found => "Found".into(),
        Event::Regressed => "Seen again after it had been fixed".into(),
        Event::Fixed { proof } => format!("Fixed: {}", proof_words(proof)),
        Event::ProofLost => "Open again: an older scan, whose result arrived late, saw it".into(),
        Event::Absent => "Not seen by a complete check".into(),
        Event::NotChecked { check } => format!("Not checked: {}", check.reason()),
        Event::SeenAgain => "Seen again".into(),
        Event::FirstSeenEarlier => "An older scan had seen it before".into(),
        Event::Confirmed => "Confirmed".into(),
        Event::Decided => "Decided".into(),
        Event::Withdrawn => "Withdrawn".into(),
        Event::AcceptanceExpired => "The acceptance expired".into(),
    }
}

/// Returns which scans prove that a finding is fixed.
fn proof_words(proof: &[Proof]) -> String {
    let scans: Vec<String> = proof.iter().map(|proof| format!("#{}", proof.order.scan)).collect();
    match scans.as_slice() {
        [] => "no scan is stored".into(),
        [one] => format!("the complete check of scan {one} did not see it"),
        several => format!("the complete checks of scans {} did not see it", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_findings::lifecycle::{Check, ScanOrder};

    use super::*;
    use crate::web::pages::layout::HOSTILE;

    fn entry(change: LogChange) -> FindingEntry {
        FindingEntry { at: Timestamp::UNIX_EPOCH, by: None, scan: Some(3), change }
    }

    fn life(event: Event) -> FindingEntry {
        entry(LogChange::Life { event, reason: None })
    }

    #[test]
    fn history_is_newest_first_and_names_scans_and_reasons() {
        let proof = |scan| Proof::new(ScanOrder { at: Timestamp::UNIX_EPOCH, scan, token: 1 }, "3.2");
        let earlier: FindingId = "0123456789abcdef0123".parse().unwrap();
        let log = [
            life(Event::Found),
            life(Event::NotChecked { check: Check::TimedOut }),
            life(Event::Fixed { proof: vec![proof(7)] }),
            life(Event::Fixed { proof: vec![proof(7), proof(9)] }),
            entry(LogChange::Assigned { owner: None }),
            entry(LogChange::Continues { finding: earlier }),
        ];
        let lines = history(&log, &WallClock::sample());
        let what: Vec<&str> = lines.iter().map(|line| line.what.as_str()).collect();
        assert_eq!(
            what,
            [
                "Continues an earlier finding",
                "Assigned to nobody",
                "Fixed: the complete checks of scans #7, #9 did not see it",
                "Fixed: the complete check of scan #7 did not see it",
                "Not checked: the plugin ran out of time",
                "Found",
            ]
        );
        assert_eq!(lines[0].url.as_deref(), Some("/findings/0123456789abcdef0123"));
    }

    #[test]
    fn comment_has_no_control_characters() {
        let log = [FindingEntry { by: Some(HOSTILE.into()), ..entry(LogChange::Comment { text: HOSTILE.into() }) }];
        let line = &history(&log, &WallClock::sample())[0];
        for text in [&line.who, &line.text] {
            assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.contains("<script>"), "{text:?}");
        }
    }
}
