//! The rules for what an operator gives with a command: the reason of a pause, and the time limit
//! of a drain.

use std::time::Duration;

use crate::model::FieldError;

/// The maximum length of a pause reason, in characters.
pub const MAX_REASON: usize = 200;

/// The longest time limit of a drain: 30 days, in seconds.
pub const MAX_DRAIN_SECONDS: u64 = 2_592_000;

/// Returns the reason of a pause as it is stored: without control characters, and without blanks
/// around it. `None` if nothing is left.
///
/// # Errors
/// The reason is too long; the error names the field `reason`.
pub fn pause_reason(given: &str) -> Result<Option<String>, FieldError> {
    if given.chars().count() > MAX_REASON {
        return Err(FieldError::new("reason", format!("expected at most {MAX_REASON} characters")));
    }
    let reason: String = given.chars().filter(|c| !c.is_control()).collect();
    let reason = reason.trim();
    Ok((!reason.is_empty()).then(|| reason.to_owned()))
}

/// Checks the time limit of a drain.
///
/// # Errors
/// The limit is too long; the error names the field `within_seconds`.
pub fn drain_limit(within: Duration) -> Result<Duration, FieldError> {
    if within > Duration::from_secs(MAX_DRAIN_SECONDS) {
        return Err(FieldError::new("within_seconds", format!("expected 0 to {MAX_DRAIN_SECONDS}")));
    }
    Ok(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_reason_is_one_short_line_or_missing() {
        for (given, stored) in [
            ("upgrade <b>", Some("upgrade <b>")),
            (" an\u{1b} \u{7f}upgrade\n ", Some("an upgrade")),
            ("", None),
            (" \n\t", None),
        ] {
            assert_eq!(pause_reason(given).unwrap().as_deref(), stored, "{given:?}");
        }
        assert!(pause_reason(&"é".repeat(MAX_REASON)).is_ok());
        // What would be removed counts as well.
        for given in ["x".repeat(MAX_REASON + 1), "\n".repeat(MAX_REASON + 1)] {
            assert_eq!(pause_reason(&given).unwrap_err().to_string(), "reason: expected at most 200 characters");
        }
    }

    #[test]
    fn drain_limit_is_at_most_thirty_days() {
        let limit = Duration::from_secs(MAX_DRAIN_SECONDS);
        assert_eq!((drain_limit(limit), drain_limit(Duration::ZERO)), (Ok(limit), Ok(Duration::ZERO)));
        let error = drain_limit(limit + Duration::from_nanos(1)).unwrap_err();
        assert_eq!(error.to_string(), "within_seconds: expected 0 to 2592000");
    }
}
