//! The form of a decision about findings, as it was sent: what to do with which findings.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use kastrel_actors::model::{AccountName, FieldError};
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::Action;

use super::form::{Field, Typed};
use crate::web::zone::Zone;

/// The actions with their labels.
const ACTIONS: [(&str, &str); 5] = [
    ("confirm", "Confirm"),
    ("false_positive", "False positive"),
    ("accept", "Accept the risk"),
    ("withdraw", "Withdraw the decision"),
    ("assign", "Assign"),
];

/// A choice of the field with the action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActionChoice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) is_chosen: bool,
}

/// The fields of the form with their errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TriageFields {
    pub(super) actions: Vec<ActionChoice>,
    pub(super) action_error: Option<String>,
    pub(super) reason: Field,
    pub(super) owner: Field,
    pub(super) until: Field,
}

impl TriageFields {
    /// The names of the fields.
    pub(super) const NAMES: [&'static str; 4] = ["action", "reason", "owner", "until"];

    /// Returns the fields with what was typed into them.
    pub(super) fn new(form: &Typed, errors: &[FieldError]) -> Self {
        let chosen = form.text("action");
        let choice =
            |(value, label): &(&'static str, &'static str)| ActionChoice { value, label, is_chosen: *value == chosen };
        let field = |name| Field::new(name, form.text(name), errors);
        Self {
            actions: ACTIONS.iter().map(choice).collect(),
            action_error: field("action").error,
            reason: field("reason"),
            owner: field("owner"),
            until: field("until"),
        }
    }

    /// Returns the empty fields.
    pub(super) fn empty() -> Self {
        Self::new(&Typed::default(), &[])
    }
}

/// What a person wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Decide.
    Act(Action),
    /// Give it to somebody, or to nobody.
    Assign(Option<AccountName>),
}

/// Returns the findings that are selected, each once.
pub(super) fn selected(form: &Typed) -> Vec<FindingId> {
    let mut ids: Vec<FindingId> = form.all("finding").filter_map(|id| id.parse().ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Reads what to do. Days are days of `zone`.
///
/// # Errors
/// All fields that are wrong.
pub(super) fn wanted(form: &Typed, zone: &Zone) -> Result<Wanted, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut needed = |name: &str, message: &str| {
        if form.text(name).is_empty() {
            errors.push(FieldError::new(name, message));
        }
        form.text(name).to_owned()
    };
    let wanted = match form.text("action") {
        "confirm" => Wanted::Act(Action::Confirm),
        "withdraw" => Wanted::Act(Action::Withdraw),
        "false_positive" => {
            Wanted::Act(Action::MarkFalsePositive { reason: needed("reason", "write why it is no problem") })
        }
        "accept" => {
            let reason = needed("reason", "write why the risk is accepted");
            let owner = needed("owner", "write who answers for the risk");
            let until = end_of_day(form.text("until"), zone).unwrap_or_else(|message| {
                errors.push(FieldError::new("until", message));
                Timestamp::MAX
            });
            Wanted::Act(Action::Accept { reason, owner, until })
        }
        "assign" => Wanted::Assign(account(form.text("owner")).unwrap_or_else(|message| {
            errors.push(FieldError::new("owner", message));
            None
        })),
        _ => {
            let expected: Vec<&str> = ACTIONS.iter().map(|(value, _)| *value).collect();
            errors.push(FieldError::new("action", format!("choose one of {}", expected.join(", "))));
            return Err(errors);
        }
    };
    if errors.is_empty() { Ok(wanted) } else { Err(errors) }
}

/// Reads the name of an account; empty: nobody.
fn account(text: &str) -> Result<Option<AccountName>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| "expected the name of an account, or nothing for nobody".to_owned())
}

/// Reads a day, and returns its end.
fn end_of_day(text: &str, zone: &Zone) -> Result<Timestamp, String> {
    let wrong = || "expected the last day, such as 2026-12-31".to_owned();
    let day: Date = text.parse().map_err(|_| wrong())?;
    let next = day.checked_add(1.day()).map_err(|_| wrong())?;
    zone.zone().to_timestamp(next.at(0, 0, 0, 0)).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Result<Wanted, Vec<FieldError>> {
        wanted(&Typed::parse(form.as_bytes()), &Zone::named("Europe/Berlin").unwrap())
    }

    fn fields(form: &str) -> Vec<String> {
        read(form).unwrap_err().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn form_names_every_wrong_field() {
        for (form, expected) in [
            ("", vec!["action"]),
            ("action=delete", vec!["action"]),
            ("action=false_positive&reason=+", vec!["reason"]),
            ("action=accept", vec!["reason", "owner", "until"]),
            ("action=accept&reason=r&owner=ana&until=tomorrow", vec!["until"]),
            ("action=accept&reason=r&owner=ana&until=9999-12-31", vec!["until"]),
            ("action=assign&owner=Not+A+Name", vec!["owner"]),
        ] {
            assert_eq!(fields(form), expected, "{form}");
        }
    }

    #[test]
    fn form_is_read_and_the_last_day_counts_completely() {
        assert_eq!(read("action=confirm"), Ok(Wanted::Act(Action::Confirm)));
        assert_eq!(read("action=withdraw&reason=x"), Ok(Wanted::Act(Action::Withdraw)));
        assert_eq!(
            read("action=false_positive&reason=+a+test+"),
            Ok(Wanted::Act(Action::MarkFalsePositive { reason: "a test".into() }))
        );
        assert_eq!(
            read("action=accept&reason=r&owner=ana&until=2026-12-31"),
            Ok(Wanted::Act(Action::Accept {
                reason: "r".into(),
                owner: "ana".into(),
                until: "2026-12-31T23:00:00Z".parse().unwrap()
            }))
        );
        assert_eq!(read("action=assign&owner="), Ok(Wanted::Assign(None)));
        assert_eq!(read("action=assign&owner=ana"), Ok(Wanted::Assign(Some("ana".parse().unwrap()))));
    }

    #[test]
    fn selected_findings_are_valid_ids_each_once() {
        let (one, two) = ("0123456789abcdef0123", "f".repeat(20));
        let form = Typed::parse(format!("finding={two}&finding={one}&finding=x&finding={two}").as_bytes());
        assert_eq!(selected(&form), [one.parse().unwrap(), two.parse().unwrap()]);
    }
}
