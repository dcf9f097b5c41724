//! Values of the types of Rust, and secrets. An empty text is an optional value that is not set.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::setting::Setting;
use crate::config::secret::{SecretText, SecretUrl};

impl Setting for String {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn to_toml(&self) -> Value {
        self.as_str().into()
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }

    fn to_toml(&self) -> Value {
        self.to_string_lossy().into_owned().into()
    }
}

impl Setting for SecretUrl {
    const EXPECTED: &'static str = "a URL";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_toml(&self) -> Value {
        self.expose().into()
    }
}

impl Setting for SecretText {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }

    fn to_toml(&self) -> Value {
        self.expose().into()
    }
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an address with a port, such as 127.0.0.1:5000 or [::1]:5000";

    fn from_text(text: &str) -> Option<Self> {
        // `localhost` always means the loopback address; other names would need a resolver.
        match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}").parse().ok(),
            None => text.parse().ok(),
        }
    }

    fn to_toml(&self) -> Value {
        self.to_string().into()
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    fn from_toml(value: &Value) -> Option<Self> {
        value.as_bool()
    }

    fn to_toml(&self) -> Value {
        (*self).into()
    }
}

/// Implements `Setting` for the integer types in use.
macro_rules! whole_number {
    ($($type:ty),+) => { $(
        impl Setting for $type {
            const EXPECTED: &'static str = "a whole number";

            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn from_toml(value: &Value) -> Option<Self> {
                value.as_integer().and_then(|number| Self::try_from(number).ok())
            }

            fn to_toml(&self) -> Value {
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }

            fn magnitude(&self) -> Option<f64> {
                u32::try_from(*self).ok().map(f64::from).or(Some(f64::MAX))
            }
        }
    )+ };
}
whole_number!(u32, usize);

/// A number of seconds; fractions are allowed.
impl Setting for Duration {
    const EXPECTED: &'static str = "a number of seconds";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().and_then(|seconds| Self::try_from_secs_f64(seconds).ok())
    }

    fn from_toml(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Self::from_secs),
            Value::Float(seconds) => Self::try_from_secs_f64(*seconds).ok(),
            _ => None,
        }
    }

    fn to_toml(&self) -> Value {
        match (self.subsec_nanos(), i64::try_from(self.as_secs())) {
            (0, Ok(seconds)) => seconds.into(),
            _ => self.as_secs_f64().into(),
        }
    }

    fn magnitude(&self) -> Option<f64> {
        Some(self.as_secs_f64())
    }
}

/// An empty value means not set.
impl<T: Setting> Setting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_text(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::from_text(text).map(Some) }
    }

    fn from_toml(value: &Value) -> Option<Self> {
        if value.as_str() == Some("") { Some(None) } else { T::from_toml(value).map(Some) }
    }

    fn to_toml(&self) -> Value {
        self.as_ref().map_or_else(|| "".into(), Setting::to_toml)
    }

    fn magnitude(&self) -> Option<f64> {
        self.as_ref().and_then(Setting::magnitude)
    }
}

#[cfg(test)]
mod tests {
    use super::super::setting::testing::read;
    use super::*;
    use crate::config::BasePath;

    #[test]
    fn every_standard_type_parses_what_it_writes() {
        assert_eq!(read("localhost:80"), Some(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert_eq!(read::<SocketAddr>("example.com:80"), None);
        assert_eq!(read::<SocketAddr>("5000"), None);
        assert_eq!(read("Yes"), Some(true));
        assert_eq!(read::<bool>("maybe"), None);
        assert_eq!(read("7"), Some(7_u32));
        assert_eq!(read::<u32>("-7"), None);
        assert_eq!(read("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(read("14400"), Some(Duration::from_secs(14400)));
        for bad in ["-1", "NaN", "inf", "1e300", "5s", ""] {
            assert_eq!(read::<Duration>(bad), None, "{bad}");
        }
        assert_eq!(read::<Option<PathBuf>>(""), Some(None));
        assert_eq!(read::<PathBuf>(""), None);
        assert_eq!(read::<Option<SecretUrl>>("no url"), None);
        assert!(read::<Option<SecretUrl>>("ws://db:8000").is_some());
        assert_eq!(read("/kastrel/").map(|base: BasePath| base.to_string()), Some("/kastrel".to_owned()));
    }

    #[test]
    fn standard_toml_values_must_have_the_right_type() {
        assert_eq!(u32::from_toml(&"7".into()), None);
        assert_eq!(bool::from_toml(&"true".into()), None);
        assert_eq!(String::from_toml(&Value::Integer(7)), None);
    }
}
