//! The changes of a finding by people, as pure functions.

use jiff::Timestamp;
use kastrel_actors::model::{
    Account, AccountName, FindingEntry, FindingRecord, LogChange, MOST_LOG_ENTRIES, Operation, TriageKind,
};
use kastrel_actors::policy::access::decide;
use kastrel_findings::lifecycle::{Action, Decision, Event, Status};

/// What a person does to a finding.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// An action.
    Act(&'a Action),
    /// Somebody else takes care of it.
    Assign {
        /// The name; `None`: nobody.
        owner: Option<AccountName>,
        /// Its account; `None` on a server without accounts.
        account: Option<&'a Account>,
    },
    /// A comment.
    Comment(&'a str),
}

/// Why a finding is not changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotChanged {
    /// It is so already.
    Same(Status),
    /// The change does not fit the finding.
    Refused(String),
}

impl Change<'_> {
    /// Applies the change of the principal `by`, and writes it into the log of the finding.
    pub(super) fn apply(
        &self,
        mut record: FindingRecord,
        by: &str,
        now: Timestamp,
    ) -> Result<(FindingRecord, TriageKind), NotChanged> {
        let entry = |change| FindingEntry { at: now, by: Some(by.to_owned()), scan: None, change };
        match self {
            Self::Act(action) => {
                let acted = record.life.clone().act(action, by, now);
                let (life, events) = acted.map_err(|refusal| NotChanged::Refused(refusal.to_string()))?;
                record.life = life;
                let reason = decision_of(&record).0;
                for event in events {
                    let is_of_clock = event == Event::AcceptanceExpired;
                    let reason = reason.clone().filter(|_| event == Event::Decided);
                    let entry = entry(LogChange::Life { event, reason });
                    write(&mut record.log, if is_of_clock { FindingEntry { by: None, ..entry } } else { entry });
                }
                Ok((record, kind_of(action)))
            }
            Self::Assign { owner, account } => {
                if record.owner == *owner {
                    return Err(NotChanged::Same(record.status(now)));
                }
                let may_read = |account: &&Account| {
                    decide(&account.grants(), Operation::ReadFindings, Some(&record.project)).is_ok()
                };
                if let Some(account) = account.filter(|account| !may_read(account)) {
                    let (name, project) = (&account.name, &record.project);
                    return Err(NotChanged::Refused(format!("{name} may not read the project {project}")));
                }
                record.owner.clone_from(owner);
                write(&mut record.log, entry(LogChange::Assigned { owner: owner.clone() }));
                Ok((record, TriageKind::Assigned))
            }
            Self::Comment(text) => {
                let has_room = record.log.len() < MOST_LOG_ENTRIES || record.log.iter().any(|entry| entry.by.is_none());
                if !has_room {
                    return Err(NotChanged::Refused(format!(
                        "the log of the finding is full: it has {MOST_LOG_ENTRIES} comments and decisions"
                    )));
                }
                write(&mut record.log, entry(LogChange::Comment { text: (*text).to_owned() }));
                Ok((record, TriageKind::Commented))
            }
        }
    }
}

/// Returns the reason and the end of the decision about a finding.
pub(super) fn decision_of(record: &FindingRecord) -> (Option<String>, Option<Timestamp>) {
    match &record.life.decision {
        Some(Decision::FalsePositive { reason, .. }) => (Some(reason.clone()), None),
        Some(Decision::Accepted { reason, until, .. }) => (Some(reason.clone()), Some(*until)),
        None => (None, None),
    }
}

const fn kind_of(action: &Action) -> TriageKind {
    match action {
        Action::Confirm => TriageKind::Confirmed,
        Action::MarkFalsePositive { .. } => TriageKind::FalsePositive,
        Action::Accept { .. } => TriageKind::Accepted,
        Action::Withdraw => TriageKind::Withdrawn,
    }
}

/// Writes an entry of a person or of the clock, and keeps the log within its limit: the oldest
/// entries of scans go first, then the oldest decisions and owners, which the audit log has too.
/// Comments stay.
fn write(log: &mut Vec<FindingEntry>, entry: FindingEntry) {
    let at = log.partition_point(|other| other.at <= entry.at);
    log.insert(at, entry);
    let is_comment = |entry: &FindingEntry| matches!(entry.change, LogChange::Comment { .. });
    while log.len() > MOST_LOG_ENTRIES {
        let of_scan = log.iter().position(|entry| entry.by.is_none());
        let Some(oldest) = of_scan.or_else(|| log.iter().position(|entry| !is_comment(entry))) else { return };
        log.remove(oldest);
    }
}
