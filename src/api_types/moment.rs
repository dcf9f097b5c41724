//! Times and durations as the API writes them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// A point in time, to the second, in UTC: `2025-11-07T09:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub struct Moment(Timestamp);

impl Moment {
    /// Returns the time, truncated to the second that the API shows.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(Timestamp::from_second(at.as_second()).unwrap_or(at))
    }

    /// Returns the time.
    #[must_use]
    pub const fn at(self) -> Timestamp {
        self.0
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.0}", self.0))
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .description(Some("A point in time, to the second, in UTC."))
            .into()
    }
}

impl ToSchema for Moment {}

/// Returns the duration in seconds, rounded to milliseconds.
#[must_use]
pub fn seconds(duration: SignedDuration) -> f64 {
    (duration.as_secs_f64().max(0.0) * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_is_written_to_the_second_and_read_back() {
        let moment = Moment::of("2025-11-07T09:00:00.9Z".parse().unwrap());
        let json = serde_json::to_string(&moment).unwrap();
        assert_eq!(json, r#""2025-11-07T09:00:00Z""#);
        assert_eq!(serde_json::from_str::<Moment>(&json).unwrap(), moment);
    }
}
