//! The parameters that limit a list to days or moments.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::parameter::unspaced;
use crate::web::zone::Zone;

/// A day or a moment, as written and as a time range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) text: String,
    pub(super) begins: Timestamp,
    pub(super) ends: Timestamp,
}

/// Parses `2026-11-23`, a full day in `zone`, or a moment such as `2026-11-23T08:00:00Z`.
pub(super) fn day(text: &str, zone: &Zone) -> Result<Option<Day>, String> {
    let text = unspaced(text);
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || "expected a date such as 2026-11-23 or a time such as 2026-11-23T08:00:00Z".to_owned();
    if !is_day_or_moment(text) {
        return Err(wrong());
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(Some(Day { text: text.to_owned(), begins: moment, ends: moment }));
    }
    // If a clock change skips or repeats midnight, the day begins with its first moment.
    let begin = |date: Date| zone.zone().to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| wrong());
    let date: Date = text.parse().map_err(|_| wrong())?;
    let next = date.checked_add(1.day()).map_err(|_| wrong())?;
    Ok(Some(Day { text: text.to_owned(), begins: begin(date)?, ends: begin(next)? }))
}

/// Returns whether a text has the form that the API description allows; the parsers accept more
/// forms. The parsers check whether the day exists.
fn is_day_or_moment(text: &str) -> bool {
    let has_form = |text: &str, form: &str| {
        text.len() == form.len()
            && text
                .bytes()
                .zip(form.bytes())
                .all(|(byte, expected)| if expected == b'0' { byte.is_ascii_digit() } else { byte == expected })
    };
    let Some((date, time)) = text.split_at_checked("0000-00-00".len()) else { return false };
    if !has_form(date, "0000-00-00") || !date.starts_with(['0', '1', '2']) {
        return false;
    }
    if time.is_empty() {
        return true;
    }
    let Some((clock, rest)) = time.strip_prefix('T').and_then(|time| time.split_at_checked("00:00:00".len())) else {
        return false;
    };
    // A leap second exists, but is not accepted in a search.
    if !has_form(clock, "00:00:00") || clock.ends_with(":60") {
        return false;
    }
    let offset = match rest.strip_prefix('.') {
        None => rest,
        Some(rest) => {
            let offset = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            if !(1..=9).contains(&(rest.len() - offset.len())) {
                return false;
            }
            offset
        }
    };
    match offset.strip_prefix(['+', '-']) {
        Some(offset) => has_form(offset, "00:00") && &offset[..2] < "24" && &offset[3..] < "60",
        None => offset == "Z",
    }
}

#[cfg(test)]
mod tests {
    use super::super::ScanListQuery;

    #[test]
    fn days_are_those_of_the_zone() {
        for (query, from, until) in [
            ("from=2026-11-01&to=2026-11-01", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
            ("from=2026-11-01&to=2026-11-01&zone=Pacific%2FAuckland", "2026-10-31T11:00:00Z", "2026-11-01T11:00:00Z"),
            // The day on which clocks are set back has 25 hours.
            ("zone=Europe%2FBerlin&from=2026-10-25&to=2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            // In Beirut, that day begins at 1 o'clock: it has no midnight.
            ("zone=Asia%2FBeirut&from=2026-03-29&to=2026-03-29", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"),
            (
                "from=2026-11-01T08:00:00Z&to=2026-11-01T09:00:00Z&zone=Pacific%2FAuckland",
                "2026-11-01T08:00:00Z",
                "2026-11-01T09:00:00Z",
            ),
        ] {
            let (list, errors) = ScanListQuery::parse(Some(query));
            assert_eq!(errors, [], "{query}");
            let store = list.for_store();
            assert_eq!((store.created_from, store.created_until), (from.parse().ok(), until.parse().ok()), "{query}");
            assert_eq!(ScanListQuery::parse(list.link("/").split_once('?').map(|(_, query)| query)).0, list, "{query}");
        }
        let alone = ScanListQuery::parse(Some("zone=Pacific%2FAuckland")).0;
        assert!(!alone.is_narrowed() && alone.link("/scans") == "/scans", "a zone without days asks for nothing");
    }
}
