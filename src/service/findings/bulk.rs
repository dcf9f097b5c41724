//! A change of many findings as a request from outside: ids or a filter, and what to do.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kastrel_actors::model::{AccountName, FieldError, RequestContext};
use kastrel_actors::policy::access::Denial;
use kastrel_actors::ports::StoreError;
use kastrel_actors::service::CommandError;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::Action;

use super::query::FindingFilter;
use super::service::FindingService;
use super::triage::MOST_TRIAGED;
use super::views::TriageResult;

/// The names of what can be done.
const ACTIONS: [&str; 5] = ["confirm", "false_positive", "accept", "withdraw", "assign"];

/// An unchecked change of findings from JSON, a form or the command line. An empty text is one that
/// was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriageDraft {
    /// The ids of the findings; or `filter`.
    pub ids: Vec<String>,
    /// The filter that they match; or `ids`.
    pub filter: Option<String>,
    /// What to do: `confirm`, `false_positive`, `accept`, `withdraw` or `assign`.
    pub action: String,
    /// Why.
    pub reason: String,
    /// Who answers for an accepted risk, or takes care of the findings.
    pub owner: String,
    /// The end of an acceptance: a time, or a day, which it includes, in UTC.
    pub until: String,
}

/// Which findings a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Ids(Vec<FindingId>),
    Filter(Box<FindingFilter>),
}

/// What is done to them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Act(Action),
    Assign(Option<AccountName>),
}

/// Why a change of findings was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum TriageError {
    /// All invalid fields. Nothing was changed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldError>),
    /// The principal lacks a right. Nothing was changed.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CommandError> for TriageError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Invalid(error) => Self::Invalid(vec![error]),
            CommandError::Denied(denial) => denial.into(),
            CommandError::Store(error) => error.into(),
        }
    }
}

impl FindingService {
    /// Carries out a change of at most [`MOST_TRIAGED`] findings. Each of them has a result of its
    /// own.
    ///
    /// # Errors
    /// Fields are invalid: all of them are named. A right is missing, or the store does not
    /// respond.
    pub async fn change_many(
        &self,
        context: &RequestContext,
        draft: &TriageDraft,
    ) -> Result<Vec<TriageResult>, TriageError> {
        // The name of an account, in place of the text of a principal.
        let caller = context.principal.account().map_or_else(|| context.principal.to_string(), ToString::to_string);
        let (which, what) = draft.read(&caller).map_err(TriageError::Invalid)?;
        let ids = match which {
            Which::Ids(ids) => ids,
            Which::Filter(filter) => {
                let ids = self.matching(context, &filter, MOST_TRIAGED + 1).await?;
                if ids.len() > MOST_TRIAGED {
                    let text = format!("more than {MOST_TRIAGED} findings match; narrow the filter");
                    return Err(TriageError::Invalid(vec![FieldError::new("q", text)]));
                }
                ids
            }
        };
        Ok(match what {
            What::Act(action) => self.triage(context, &ids, &action).await?,
            What::Assign(owner) => self.assign(context, &ids, owner).await?,
        })
    }
}

impl TriageDraft {
    /// Reads the change. `caller` answers for an accepted risk if the draft names nobody.
    fn read(&self, caller: &str) -> Result<(Which, What), Vec<FieldError>> {
        let (which, what) = (self.which(), self.what(caller));
        match (which, what) {
            (Ok(which), Ok(what)) => Ok((which, what)),
            (which, what) => Err(which.err().into_iter().chain(what.err()).flatten().collect()),
        }
    }

    fn which(&self) -> Result<Which, Vec<FieldError>> {
        let filter = self.filter.as_deref();
        match (self.ids.as_slice(), filter) {
            ([], None) => Err(vec![FieldError::new("ids", "expected ids of findings, or a filter in `q`")]),
            ([], Some(filter)) => {
                let read = filter.parse().map(Box::new).map(Which::Filter);
                read.map_err(|error| vec![FieldError::new("q", error.to_string())])
            }
            (_, Some(_)) => Err(vec![FieldError::new("q", "expected either `ids` or `q`")]),
            (ids, None) if ids.len() > MOST_TRIAGED => {
                Err(vec![FieldError::new("ids", format!("expected at most {MOST_TRIAGED} ids"))])
            }
            (ids, None) => {
                let (mut read, mut errors) = (Vec::new(), Vec::new());
                for (at, id) in ids.iter().enumerate() {
                    match id.parse::<FindingId>() {
                        Ok(id) => read.push(id),
                        Err(error) => errors.push(FieldError::new(format!("ids[{at}]"), error.to_string())),
                    }
                }
                // A finding that is named twice is changed once.
                let mut known = std::collections::BTreeSet::new();
                read.retain(|id| known.insert(*id));
                if errors.is_empty() { Ok(Which::Ids(read)) } else { Err(errors) }
            }
        }
    }

    fn what(&self, caller: &str) -> Result<What, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut unused = |fields: &[(&str, &str)]| {
            let given = fields.iter().filter(|(_, text)| !text.is_empty());
            errors.extend(given.map(|(name, _)| FieldError::new(*name, format!("`{}` has no {name}", self.action))));
        };
        let (reason, owner, until) = (self.reason.trim(), self.owner.trim(), self.until.trim());
        let what = match self.action.as_str() {
            "confirm" | "withdraw" => {
                unused(&[("reason", reason), ("owner", owner), ("until", until)]);
                Some(What::Act(if self.action == "confirm" { Action::Confirm } else { Action::Withdraw }))
            }
            "false_positive" => {
                unused(&[("owner", owner), ("until", until)]);
                Some(What::Act(Action::MarkFalsePositive { reason: needed_text("reason", reason, &mut errors) }))
            }
            "accept" => {
                let reason = needed_text("reason", reason, &mut errors);
                let end = end_of(until).map_err(|text| errors.push(FieldError::new("until", text))).ok();
                let owner = if owner.is_empty() { caller } else { owner }.to_owned();
                end.map(|until| What::Act(Action::Accept { reason, owner, until }))
            }
            "assign" => {
                unused(&[("reason", reason), ("until", until)]);
                let account = if owner.is_empty() { Ok(None) } else { owner.parse::<AccountName>().map(Some) };
                let account = account.map_err(|error| errors.push(FieldError::new("owner", error.to_string())));
                account.ok().map(What::Assign)
            }
            _ => {
                errors.push(FieldError::new("action", format!("expected one of {}", ACTIONS.join(", "))));
                None
            }
        };
        what.filter(|_| errors.is_empty()).ok_or(errors)
    }
}

fn needed_text(field: &str, text: &str, errors: &mut Vec<FieldError>) -> String {
    if text.is_empty() {
        errors.push(FieldError::new(field, "it must not be empty"));
    }
    text.to_owned()
}

/// Reads the end of an acceptance, or returns what is wrong.
fn end_of(text: &str) -> Result<Timestamp, String> {
    // A text of a date with more behind it must not be read as the date.
    let of_day = || text.parse::<Date>().ok().filter(|_| text.len() == "2026-12-31".len());
    match (text.parse::<Timestamp>(), of_day()) {
        (Ok(until), _) => Ok(until),
        (Err(_), Some(day)) => {
            let next = day.tomorrow().and_then(|next| next.to_zoned_datetime(TimeZone::UTC));
            next.map(|next| next.timestamp()).map_err(|_| "the day is too far away".to_owned())
        }
        (Err(_), None) => Err("expected a day such as 2026-12-31, or a time such as 2026-12-31T18:00:00Z".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123";

    fn draft(action: &str) -> TriageDraft {
        TriageDraft { ids: vec![ID.into(), ID.into()], action: action.into(), ..TriageDraft::default() }
    }

    fn fields(draft: &TriageDraft) -> Vec<String> {
        draft.read("ana").unwrap_err().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn change_is_read_with_ids_or_a_filter() {
        let ids = || Which::Ids(vec![ID.parse().unwrap()]);
        assert_eq!(draft("confirm").read("ana"), Ok((ids(), What::Act(Action::Confirm))));
        assert_eq!(draft("withdraw").read("ana"), Ok((ids(), What::Act(Action::Withdraw))));
        assert_eq!(draft("assign").read("ana"), Ok((ids(), What::Assign(None))));
        let assigned = TriageDraft { owner: " ben ".into(), ..draft("assign") };
        assert_eq!(assigned.read("ana"), Ok((ids(), What::Assign("ben".parse().ok()))));
        let wrong = TriageDraft { reason: " a test host ".into(), ..draft("false_positive") };
        let action = Action::MarkFalsePositive { reason: "a test host".into() };
        assert_eq!(wrong.read("ana"), Ok((ids(), What::Act(action))));
        let accepted = TriageDraft { reason: "later".into(), until: "2026-12-31".into(), ..draft("accept") };
        let until = "2027-01-01T00:00:00Z".parse().unwrap();
        let action = Action::Accept { reason: "later".into(), owner: "ana".into(), until };
        assert_eq!(accepted.read("ana"), Ok((ids(), What::Act(action))));
        let filtered = TriageDraft { ids: Vec::new(), filter: Some("severity:high".into()), ..draft("confirm") };
        let (which, _) = filtered.read("ana").unwrap();
        assert_eq!(which, Which::Filter(Box::new("severity:high".parse().unwrap())));
    }

    #[test]
    fn each_invalid_field_of_a_change_is_named() {
        let none = TriageDraft { ids: Vec::new(), ..draft("confirm") };
        assert_eq!(fields(&none), ["ids"]);
        assert_eq!(fields(&TriageDraft { filter: Some(String::new()), ..draft("confirm") }), ["q"]);
        assert_eq!(fields(&TriageDraft { filter: Some("colour:red".into()), ..none.clone() }), ["q"]);
        assert_eq!(fields(&TriageDraft { ids: vec![ID.into(), "7".into()], ..draft("king") }), ["ids[1]", "action"]);
        assert_eq!(fields(&TriageDraft { ids: vec![ID.into(); MOST_TRIAGED + 1], ..draft("confirm") }), ["ids"]);
        assert_eq!(fields(&draft("accept")), ["reason", "until"]);
        assert_eq!(fields(&draft("false_positive")), ["reason"]);
        let all = |action: &str| TriageDraft {
            reason: "r".into(),
            owner: "No Name".into(),
            until: "2026-12-31x".into(),
            ..draft(action)
        };
        assert_eq!(fields(&all("confirm")), ["reason", "owner", "until"]);
        assert_eq!(fields(&all("assign")), ["reason", "until", "owner"]);
        assert_eq!(fields(&all("false_positive")), ["owner", "until"]);
        assert_eq!(fields(&all("accept")), ["until"]);
    }
}
