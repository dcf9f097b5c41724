//! The words of an estimated remaining time, which are never more precise than its data.

use kastrel_actors::policy::estimate::TimeLeft;

/// Returns the estimate in words, as coarse as its data: `~3 min left`. `None` if it is unknown.
#[must_use]
pub(crate) fn words(left: TimeLeft) -> Option<String> {
    match left {
        TimeLeft::Unknown => None,
        TimeLeft::Overdue => Some("slower than usual for this target".into()),
        TimeLeft::About(left) => Some(match left.as_secs() {
            0..=20 => "a few seconds left".into(),
            21..=45 => "~30 s left".into(),
            46..=5_399 => format!("~{} min left", (left.as_secs() + 30) / 60),
            more => format!("~{} h left", (more + 1_800) / 3_600),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn estimate_is_shown_coarsely() {
        for (left, text) in [
            (0, "a few seconds left"),
            (30, "~30 s left"),
            (50, "~1 min left"),
            (140, "~2 min left"),
            (7_200, "~2 h left"),
        ] {
            assert_eq!(words(TimeLeft::About(Duration::from_secs(left))).as_deref(), Some(text));
        }
        assert_eq!(words(TimeLeft::Unknown), None);
    }
}
