//! The viewer's time zone: the zone that the browser sends, and moments in its local time.
//!
//! The browser stores the name of its zone in a cookie, so that the server formats times and parses
//! days in the viewer's zone. Without the cookie, as without JavaScript, and if this machine does
//! not know the zone, the zone is UTC. The page shows the zone.

use axum::http::HeaderMap;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::base_path;
use super::text::MomentText;
use crate::cookies;
use crate::human_time::{clock, full, relative};

const COOKIE: &str = "kastrel-zone";
/// An upper bound of the name length, longer than any name in the time zone database.
const LONGEST_NAME: usize = 64;

/// A time zone with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Zone {
    name: String,
    zone: TimeZone,
}

impl Default for Zone {
    fn default() -> Self {
        Self { name: "UTC".into(), zone: TimeZone::UTC }
    }
}

impl Zone {
    /// Returns whether a text can be the name of a zone.
    pub(crate) fn is_name(text: &str) -> bool {
        (1..=LONGEST_NAME).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b))
    }

    /// Returns the zone of this name, such as `Pacific/Auckland`; `None` if the name is invalid or
    /// this machine does not know the zone.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if !Self::is_name(name) {
            return None;
        }
        if name.eq_ignore_ascii_case("UTC") {
            return Some(Self::default());
        }
        TimeZone::get(name).ok().map(|zone| Self { name: name.to_owned(), zone })
    }

    /// Returns the zone of the request's cookie.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        cookies::values(headers, COOKIE).find_map(Self::named).unwrap_or_default()
    }

    /// Returns the cookie with the zone. The script of a page may set it too.
    pub(crate) fn cookie(&self) -> String {
        format!("{COOKIE}={}; Path={}; Max-Age=31536000; SameSite=Lax", self.name, base_path::of_cookies())
    }

    /// Returns the cookie that removes the choice, so that the script sets the browser's zone
    /// again.
    pub(crate) fn forget() -> String {
        format!("{COOKIE}=; Path={}; Max-Age=0; SameSite=Lax", base_path::of_cookies())
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn is_utc(&self) -> bool {
        self.name == "UTC"
    }

    pub(crate) const fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

/// The current time and the zone of a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WallClock {
    pub(crate) now: Timestamp,
    pub(crate) zone: Zone,
}

impl WallClock {
    /// Formats a moment for people and for machines.
    pub(crate) fn moment(&self, at: Timestamp) -> MomentText {
        let here = full(at, self.zone.zone());
        MomentText {
            shown: clock(at, self.now, self.zone.zone()),
            full: if self.zone.is_utc() { here } else { format!("{here} ({})", full(at, &TimeZone::UTC)) },
            exact: exact(at),
            ago: relative(at, self.now),
        }
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self { now: Timestamp::UNIX_EPOCH, zone: Zone::default() }
    }
}

/// Formats a moment for machines, to the second.
pub(crate) fn exact(at: Timestamp) -> String {
    format!("{at:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_cookie_round_trips_and_other_values_mean_utc() {
        let of =
            |cookie: &str| Zone::of(&HeaderMap::from_iter([(axum::http::header::COOKIE, cookie.parse().unwrap())]));
        let auckland = Zone::named("Pacific/Auckland").unwrap();
        assert_eq!(of(auckland.cookie().split(';').next().unwrap()), auckland);
        assert_eq!(of("a=b; kastrel-zone=Pacific/Auckland; c=d").name(), "Pacific/Auckland");
        for other in [
            "",
            "kastrel-zone=",
            "kastrel-zone=UTC",
            "kastrel-zone=../../etc/passwd",
            "kastrel-zone=/etc/localtime",
            "kastrel-zone=Nowhere/Town",
            "kastrel-zone=<b>",
            "xkastrel-zone=Pacific/Auckland",
        ] {
            assert!(of(other).is_utc(), "{other}");
        }
        assert_eq!(Zone::named(&"a".repeat(65)), None);
    }

    #[test]
    fn moments_are_in_the_viewers_zone_with_the_exact_time() {
        let at = "2025-11-07T09:00:00.987Z".parse::<Timestamp>().unwrap();
        let now = "2025-11-07T10:30:00Z".parse().unwrap();
        let utc = WallClock { now, zone: Zone::default() }.moment(at);
        assert_eq!(
            (utc.shown.as_str(), utc.full.as_str(), utc.exact.as_str(), utc.ago.as_str()),
            ("09:00:00", "2025-11-07 09:00:00 UTC", "2025-11-07T09:00:00Z", "1 h ago")
        );
        let there = WallClock { now, zone: Zone::named("Pacific/Auckland").unwrap() }.moment(at);
        assert_eq!(
            (there.shown.as_str(), there.full.as_str()),
            ("22:00:00", "2025-11-07 22:00:00 NZDT (2025-11-07 09:00:00 UTC)")
        );
        assert_eq!(there.exact, utc.exact);
    }
}
