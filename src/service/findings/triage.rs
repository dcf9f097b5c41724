//! What people do to findings: decisions, owners and comments. Each change is written with its
//! entry in the log of the finding and in the audit log, only if nobody changed the finding since
//! it was read; otherwise it is read and checked again.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kastrel_actors::model::{
    Account, AccountName, DomainEvent, FindingRecord, Operation, ProjectId, Put, RequestContext, TriageKind,
};
use kastrel_actors::policy::access::{Denial, decide};
use kastrel_actors::service::CommandError;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::{Action, Finding, Refusal, ScanOrder, Status};

use super::change::{Change, NotChanged};
use super::fields::{MOST_COMMENT_CHARS, lines, wrong};
use super::service::FindingService;
use super::views::TriageResult;

/// The most findings of one bulk change.
pub const MOST_TRIAGED: usize = 500;
/// The longest reason in characters.
const MOST_REASON_CHARS: usize = 2_000;
/// How often a change is tried while others change the finding.
const MOST_TRIES: usize = 8;

/// What became of a change of one finding.
enum Outcome {
    /// There is no such finding, or the principal may not read it.
    Missing,
    /// The principal lacks a right in this project.
    Denied(Denial, ProjectId),
    /// The finding has this status now.
    Done(Status),
    /// The change does not fit the finding.
    Refused(String),
}

impl FindingService {
    /// Applies an action to findings. Each has its own result; the results are in the order of the
    /// ids, each once.
    ///
    /// # Errors
    /// A field is invalid (`ids`: there are more than [`MOST_TRIAGED`]; `reason`, `owner`,
    /// `until`), the principal may triage none of the findings that it may read, or the store fails
    /// before the first change. A later failure is in the results.
    pub async fn triage(
        &self,
        context: &RequestContext,
        ids: &[FindingId],
        action: &Action,
    ) -> Result<Vec<TriageResult>, CommandError> {
        check_action(action, self.clock.now())?;
        self.change_all(context, ids, &Change::Act(action)).await
    }

    /// Gives findings to an account, or to nobody. The results are as those of
    /// [`triage`](Self::triage).
    ///
    /// # Errors
    /// As for [`triage`](Self::triage). The field `owner` is invalid if there is no such active
    /// account; on a server without any account every name is valid.
    pub async fn assign(
        &self,
        context: &RequestContext,
        ids: &[FindingId],
        owner: Option<AccountName>,
    ) -> Result<Vec<TriageResult>, CommandError> {
        let account = match &owner {
            Some(name) => self.owner(name).await?,
            None => None,
        };
        self.change_all(context, ids, &Change::Assign { owner, account: account.as_ref() }).await
    }

    /// Writes a comment. Returns `false` if there is no such finding, or if the principal may not
    /// read it.
    ///
    /// # Errors
    /// The field `text` is invalid (it is empty, has more than 2,000 characters, or the log of the
    /// finding is full), the principal lacks a right, or the store fails.
    pub async fn comment(&self, context: &RequestContext, id: FindingId, text: &str) -> Result<bool, CommandError> {
        // What the principal may not see is not found, whatever the text is.
        if self.visible(context, id).await?.is_none() {
            return Ok(false);
        }
        let text = lines("text", text, MOST_COMMENT_CHARS)?;
        if text.is_empty() {
            return Err(wrong("text", "it must not be empty"));
        }
        match self.change(context, id, &Change::Comment(&text)).await? {
            Outcome::Missing => Ok(false),
            Outcome::Denied(denial, _) => Err(denial.into()),
            Outcome::Refused(message) => Err(wrong("text", message)),
            Outcome::Done(_) => Ok(true),
        }
    }

    /// Returns an active account; `None` if the server has no accounts at all.
    async fn owner(&self, name: &AccountName) -> Result<Option<Account>, CommandError> {
        match self.access.account(name).await? {
            Some(account) if !account.is_disabled => Ok(Some(account)),
            None if self.access.accounts().await?.is_empty() => Ok(None),
            _ => Err(wrong("owner", format!("there is no active account `{name}`"))),
        }
    }

    async fn change_all(
        &self,
        context: &RequestContext,
        ids: &[FindingId],
        change: &Change<'_>,
    ) -> Result<Vec<TriageResult>, CommandError> {
        if ids.len() > MOST_TRIAGED {
            return Err(wrong("ids", format!("expected at most {MOST_TRIAGED} findings")));
        }
        let mut seen = BTreeSet::new();
        let (mut results, mut denied, mut is_visible) = (Vec::new(), None, false);
        let (mut failed, mut stopped): (Option<String>, Option<CommandError>) = (None, None);
        for id in ids.iter().copied().filter(|id| seen.insert(*id)) {
            if let Some(why) = &failed {
                results.push(TriageResult { id, outcome: Err(why.clone()) });
                continue;
            }
            let outcome = match self.change(context, id, change).await {
                Ok(Outcome::Missing) => Err("there is no such finding".to_owned()),
                Ok(Outcome::Denied(denial, project)) => {
                    let why = denial.to_string();
                    denied.get_or_insert((denial, project));
                    Err(why)
                }
                Ok(Outcome::Done(status)) => {
                    is_visible = true;
                    Ok(status)
                }
                Ok(Outcome::Refused(why)) => {
                    is_visible = true;
                    Err(why)
                }
                Err(error) if !is_visible => {
                    stopped = Some(error);
                    break;
                }
                Err(error) => {
                    let why = error.to_string();
                    failed = Some(why.clone());
                    Err(why)
                }
            };
            results.push(TriageResult { id, outcome });
        }
        match (stopped, denied) {
            // Where the request is answered, its denial is recorded.
            (None, Some((denial, _))) if !is_visible => Err(denial.into()),
            (stopped, denied) => {
                if let Some((_, project)) = denied {
                    self.record_denial(context, project).await;
                }
                stopped.map_or(Ok(results), Err)
            }
        }
    }

    /// Writes the denial of a part of a change to the audit log. That of a principal without an
    /// account has no entry. A failure of the store is logged.
    async fn record_denial(&self, context: &RequestContext, project: ProjectId) {
        if context.principal.account().is_none() {
            return;
        }
        let operation = Operation::TriageFindings.to_string();
        let event = DomainEvent::AccessDenied { operation, project: Some(project) };
        if let Err(error) = self.access.record(event, None, &context.principal).await {
            tracing::error!(
                principal = %context.principal,
                error = &error as &dyn std::error::Error,
                "the denial of a change of findings could not be written to the audit log"
            );
        }
    }

    /// Changes one finding.
    async fn change(
        &self,
        context: &RequestContext,
        id: FindingId,
        change: &Change<'_>,
    ) -> Result<Outcome, CommandError> {
        let by = context.principal.to_string();
        for _ in 0..MOST_TRIES {
            let Some(record) = self.store.finding(id).await? else { return Ok(Outcome::Missing) };
            match decide(&context.grants, Operation::TriageFindings, Some(&record.project)) {
                Ok(()) => {}
                Err(Denial::NotVisible) => return Ok(Outcome::Missing),
                Err(denial) => return Ok(Outcome::Denied(denial, record.project)),
            }
            let now = self.clock.now();
            let (changed, did) = match change.apply(record, &by, now) {
                Ok(changed) => changed,
                Err(NotChanged::Same(status)) => return Ok(Outcome::Done(status)),
                Err(NotChanged::Refused(why)) => return Ok(Outcome::Refused(why)),
            };
            let status = changed.status(now);
            let event = event_of(&changed, did, change);
            match self.store.edit_finding(changed, &event, &context.principal).await? {
                Put::Stored => return Ok(Outcome::Done(status)),
                Put::Changed => {}
            }
        }
        Ok(Outcome::Refused("others change the finding at this time: try again".to_owned()))
    }
}

/// Returns the entry of the audit log.
fn event_of(record: &FindingRecord, did: TriageKind, change: &Change<'_>) -> DomainEvent {
    let (text, until) = match change {
        Change::Act(Action::MarkFalsePositive { .. } | Action::Accept { .. }) => super::change::decision_of(record),
        Change::Assign { owner, .. } => (owner.as_ref().map(ToString::to_string), None),
        Change::Act(Action::Confirm | Action::Withdraw) | Change::Comment(_) => (None, None),
    };
    DomainEvent::FindingTriaged { project: record.project.clone(), finding: record.id, did, text, until }
}

/// Checks the fields of an action, whatever the finding is.
fn check_action(action: &Action, now: Timestamp) -> Result<(), CommandError> {
    let (Action::MarkFalsePositive { reason } | Action::Accept { reason, .. }) = action else { return Ok(()) };
    if reason.trim().chars().count() > MOST_REASON_CHARS {
        return Err(wrong("reason", format!("expected at most {MOST_REASON_CHARS} characters")));
    }
    // An open finding without a decision refuses only because of a field.
    let open = Finding::first(ScanOrder { at: now, scan: 0, token: 0 });
    match open.act(action, "", now) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(wrong(field_of(refusal), message_of(refusal))),
    }
}

const fn field_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoReason => "reason",
        Refusal::NoOwner => "owner",
        Refusal::EndInThePast | Refusal::EndTooFar => "until",
        Refusal::IsFixed | Refusal::IsConfirmed | Refusal::IsDecided | Refusal::NothingToWithdraw => "action",
    }
}

/// Returns the words of a refusal without the field.
fn message_of(refusal: Refusal) -> String {
    let text = refusal.to_string();
    match text.split_once(": ") {
        Some((field, message)) if field == field_of(refusal) => message.to_owned(),
        _ => text,
    }
}
