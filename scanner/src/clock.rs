//! The only module that reads the wall clock. All other code takes the time as an argument.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

/// Returns the current time in the system's time zone. KAST writes `kast_info.json` in this zone.
#[expect(clippy::disallowed_methods, reason = "the scanner is a program of its own, and this is its clock")]
pub(crate) fn now() -> ZonedDateTime {
    ZonedDateTime::new(Timestamp::now(), TimeZone::system())
}
