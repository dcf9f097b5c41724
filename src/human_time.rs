//! Formats times and durations for people. All pages, commands and messages use these functions, so
//! that they round alike.
//!
//! Everything rounds down, as a clock does: a scan that has run for 59.9 s shows `59 s`, and no
//! text is ever ahead of the time. Machines get exact values elsewhere (`datetime` attributes,
//! `--json`).

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Formats a duration in at most two units: `0.8 s`, `42 s`, `3 min 5 s`, `2 h 7 min`, `3 d 4 h`. A
/// negative duration is `0.0 s`.
#[must_use]
pub fn duration(duration: SignedDuration) -> String {
    let duration = duration.max(SignedDuration::ZERO);
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("0.{} s", duration.subsec_millis() / 100),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Like [`duration`], from seconds as in the API. An invalid duration (negative, infinite, not a
/// number) is `0.0 s`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    duration(SignedDuration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Formats the distance of a moment from `now` in one unit: `just now`, `42 s ago`, `5 min ago`,
/// `3 h ago`, `12 d ago`, `in 20 s`.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let distance = now.duration_since(at);
    let (seconds, is_past) = (distance.as_secs().unsigned_abs(), !distance.is_negative());
    let text = match seconds {
        // The clocks of several machines may differ by that much.
        0..=1 => return "just now".into(),
        2..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    };
    if is_past { format!("{text} ago") } else { format!("in {text}") }
}

/// Formats a moment in `zone`, with 24 hours: `14:03:22` today, `27 Nov 14:03` on another day of
/// the year, `27 Nov 2025 14:03` in another year.
#[must_use]
pub fn clock(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (at.to_zoned_datetime(zone.clone()), now.to_zoned_datetime(zone.clone()));
    let format = match (at.date() == now.date(), at.year() == now.year()) {
        (true, _) => "%H:%M:%S",
        (false, true) => "%-d %b %H:%M",
        (false, false) => "%-d %b %Y %H:%M",
    };
    at.strftime(format).to_string()
}

/// Formats a moment with its date and its zone, for a tooltip or a text that shows no day:
/// `2025-11-27 14:03:22 UTC`.
#[must_use]
pub fn full(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn durations_have_at_most_two_units_and_never_run_ahead() {
        for (milliseconds, text) in [
            (-5, "0.0 s"),
            (0, "0.0 s"),
            (49, "0.0 s"),
            (840, "0.8 s"),
            (999, "0.9 s"),
            (1_000, "1 s"),
            (42_900, "42 s"),
            (59_999, "59 s"),
            (60_000, "1 min 0 s"),
            (185_000, "3 min 5 s"),
            (3_599_999, "59 min 59 s"),
            (7_620_000, "2 h 7 min"),
            (86_399_999, "23 h 59 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(SignedDuration::from_millis(milliseconds)), text, "{milliseconds}");
        }
    }

    #[test]
    fn seconds_of_the_api_round_as_durations_do() {
        for (given, text) in [
            (0.25, "0.2 s"),
            (59.6, "59 s"),
            (61.0, "1 min 1 s"),
            (-1.0, "0.0 s"),
            (f64::NAN, "0.0 s"),
            (f64::INFINITY, "0.0 s"),
            (1e300, "0.0 s"),
        ] {
            assert_eq!(seconds(given), text, "{given}");
        }
    }

    #[test]
    fn moments_are_near_or_far() {
        let now = at("2025-11-27T12:00:00Z");
        for (moment, text) in [
            ("2025-11-27T12:00:00Z", "just now"),
            ("2025-11-27T11:59:59Z", "just now"),
            ("2025-11-27T12:00:01Z", "just now"),
            ("2025-11-27T11:59:18Z", "42 s ago"),
            ("2025-11-27T11:59:00.5Z", "59 s ago"),
            ("2025-11-27T11:54:59Z", "5 min ago"),
            ("2025-11-27T08:59:59Z", "3 h ago"),
            ("2025-11-15T11:00:00Z", "12 d ago"),
            ("2025-11-27T12:00:20Z", "in 20 s"),
            ("2025-11-27T14:30:00Z", "in 2 h"),
        ] {
            assert_eq!(relative(at(moment), now), text, "{moment}");
        }
    }

    #[test]
    fn clock_shows_the_day_unless_it_is_today() {
        let now = at("2025-11-27T12:00:00Z");
        let paris = TimeZone::fixed(jiff::tz::offset(1));
        for (moment, utc, there) in [
            ("2025-11-27T00:10:05.9Z", "00:10:05", "01:10:05"),
            ("2025-11-26T23:30:00Z", "26 Nov 23:30", "00:30:00"),
            ("2025-01-03T23:30:00Z", "3 Jan 23:30", "4 Jan 00:30"),
            ("2024-12-31T23:30:00Z", "31 Dec 2024 23:30", "1 Jan 00:30"),
        ] {
            assert_eq!(
                (clock(at(moment), now, &TimeZone::UTC).as_str(), clock(at(moment), now, &paris).as_str()),
                (utc, there),
                "{moment}"
            );
        }
        assert_eq!(full(now, &TimeZone::UTC), "2025-11-27 12:00:00 UTC");
    }
}
