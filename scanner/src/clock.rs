//! The one place that reads the wall clock. Everything that decides by time gets it as an argument.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

/// The time now, in the system's time zone, in which KAST writes `kast_info.json`.
#[expect(clippy::disallowed_methods, reason = "the scanner is a program of its own, and this is its clock")]
pub(crate) fn now() -> ZonedDateTime {
    ZonedDateTime::new(Timestamp::now(), TimeZone::system())
}
