//! What the submission of a scan needs because of its mode: an operation, and the confirmation that
//! the user may attack the target. Every scan that can run active plugins needs the confirmation
//! each time, however the scan is started.

use crate::model::{FieldError, Operation, ScanMode};

/// The field of a submission that holds the confirmation.
pub const CONFIRM_ACTIVE: &str = "confirm_active";

/// Returns true if scans of this mode need a confirmation.
#[must_use]
pub const fn is_required(mode: ScanMode) -> bool {
    match mode {
        ScanMode::Passive => false,
        ScanMode::Active | ScanMode::Both => true,
    }
}

/// Returns the operation that a submission of this mode is.
#[must_use]
pub const fn operation(mode: ScanMode) -> Operation {
    if is_required(mode) { Operation::SubmitActive } else { Operation::SubmitPassive }
}

/// Checks a confirmation. The confirmation of an earlier scan does not count for its repetition.
///
/// # Errors
/// The scan needs a confirmation and has none; the error names [`CONFIRM_ACTIVE`].
pub fn check(mode: ScanMode, is_confirmed: bool) -> Result<(), FieldError> {
    if is_required(mode) && !is_confirmed {
        return Err(FieldError::new(
            CONFIRM_ACTIVE,
            "confirm that you have permission to run active plugins: they send attacks to the target",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_with_active_plugins_needs_a_confirmation() {
        for (mode, is_confirmed, is_allowed) in [
            (ScanMode::Passive, false, true),
            (ScanMode::Passive, true, true),
            (ScanMode::Active, false, false),
            (ScanMode::Active, true, true),
            (ScanMode::Both, false, false),
            (ScanMode::Both, true, true),
        ] {
            let answer = check(mode, is_confirmed);
            assert_eq!(answer.is_ok(), is_allowed, "{mode} {is_confirmed}");
            assert!(answer.err().is_none_or(|error| error.field == "confirm_active"));
            let is_active = operation(mode) == Operation::SubmitActive;
            assert_eq!(is_active, is_required(mode), "{mode}");
        }
    }
}
