//! The clearances of targets, as the page of a project shows them and sets them.

use kastrel_actors::model::{Clearance, ClearanceDraft, ClearanceLevel};

use super::fields::{Errors, Fields, Input, Select};
use crate::web::text::{MomentText, clean};
use crate::web::zone::WallClock;

/// What the levels allow.
const LEVELS: &str = "none allows no scan; passive allows passive plugins; active allows all.";

/// A clearance.
pub(super) struct ClearanceRow {
    pub(super) pattern: String,
    pub(super) level: &'static str,
    pub(super) until: Option<MomentText>,
    /// Whether the level `active` has ended.
    pub(super) has_ended: bool,
    pub(super) authorised_by: String,
    pub(super) at: MomentText,
    pub(super) text: String,
}

/// Returns the rows of clearances.
pub(super) fn clearance_rows(clearances: &[Clearance], clock: &WallClock) -> Vec<ClearanceRow> {
    let row = |clearance: &Clearance| ClearanceRow {
        pattern: clearance.pattern.to_string(),
        level: clearance.level.as_str(),
        until: clearance.until.map(|until| clock.moment(until)),
        has_ended: clearance.until.is_some_and(|until| until <= clock.now),
        authorised_by: clean(&clearance.authorised_by.to_string()),
        at: clock.moment(clearance.at),
        text: clean(&clearance.text),
    };
    clearances.iter().map(row).collect()
}

/// The form of a clearance.
pub(super) struct ClearanceForm {
    pub(super) pattern: Input,
    pub(super) level: Select,
    pub(super) until: Input,
    pub(super) text: Input,
}

impl ClearanceForm {
    /// Returns the form with what was typed into it.
    pub(super) fn new(typed: &Fields, errors: &mut Errors) -> Self {
        let levels = ClearanceLevel::ALL.iter().map(|level| (level.to_string(), level.to_string()));
        let chosen = if typed.is_empty("level") { ClearanceLevel::Passive.as_str() } else { typed.text("level") };
        let until = Input::text("until", "Last day (UTC)", typed, errors);
        Self {
            pattern: Input::text("pattern", "Host", typed, errors).with_hint(
                "A host such as example.com, or *.example.com for all names below it. A clearance of the same host is replaced.",
            ),
            level: Select::new("level", "Clearance", levels, chosen, errors).with_hint(LEVELS),
            until: Input { kind: "date", ..until }.with_hint("Of the clearance active; empty if it does not end.").optional(),
            text: Input::text("text", "Permission", typed, errors)
                .with_hint("Who gave the permission, and where it is written. Required for active."),
        }
    }
}

/// Reads the form.
pub(super) fn read_clearance(fields: &Fields) -> ClearanceDraft {
    ClearanceDraft {
        pattern: fields.text("pattern").to_owned(),
        level: fields.text("level").to_owned(),
        until: fields.text("until").to_owned(),
        text: fields.text("text").to_owned(),
    }
}
