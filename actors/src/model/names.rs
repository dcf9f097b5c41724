//! The macros for types that are written and read as text: for enums with stable names, where one
//! list per enum defines the names that are written, read and round-tripped in tests; and for ids.

/// No variant has the given name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not one of {expected}")]
pub struct UnknownName {
    /// The given name.
    pub given: String,
    /// The existing names, separated by commas.
    pub expected: String,
}

/// Declares a field-less enum with its stable names. Generates `ALL`, `as_str`, `Display`,
/// `FromStr`, the serde implementations and the OpenAPI schema from one list.
macro_rules! named_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $( $(#[$variant_meta])* $variant, )+ }

        impl $name {
            /// All variants, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the stable name, which is stored and shown.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or_else(|| $crate::model::UnknownName {
                    given: text.to_owned(),
                    expected: Self::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some(Self::ALL.iter().map(|one| one.as_str())))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

/// Implements for an id, which is a checked text, what follows from its `FromStr`: `as_str`,
/// `Display` and the conversions that serde uses.
macro_rules! text_id {
    ($name:ident) => {
        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = <Self as std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::model::*;

    fn round_trips<T>(all: &[T])
    where
        T: Copy
            + PartialEq
            + std::fmt::Debug
            + std::fmt::Display
            + std::str::FromStr<Err = UnknownName>
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        for one in all {
            assert_eq!(one.to_string().parse::<T>().as_ref(), Ok(one));
            let json = serde_json::to_string(one).unwrap();
            assert_eq!(json, format!("\"{one}\""));
            assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), one);
        }
        let error = "no-such-name".parse::<T>().unwrap_err();
        assert!(error.to_string().contains(&all[0].to_string()), "{error}");
    }

    #[test]
    fn every_name_is_read_as_it_is_written() {
        round_trips(ScanStatus::ALL);
        round_trips(PluginStatus::ALL);
        round_trips(Severity::ALL);
        round_trips(FailureKind::ALL);
        round_trips(Interruption::ALL);
        round_trips(FaultKind::ALL);
        round_trips(Priority::ALL);
        round_trips(ScanMode::ALL);
        round_trips(ReportFormat::ALL);
        round_trips(CancelledBy::ALL);
        round_trips(ScannerKind::ALL);
        round_trips(PluginKind::ALL);
        round_trips(AttemptPhase::ALL);
        round_trips(ScanOrder::ALL);
        round_trips(AttemptOutcome::ALL);
        round_trips(ExitClass::ALL);
        round_trips(LeaseResult::ALL);
        round_trips(AccountKind::ALL);
        round_trips(ServerRole::ALL);
        round_trips(ProjectRole::ALL);
        round_trips(Operation::ALL);
        round_trips(ClearanceLevel::ALL);
    }
}
