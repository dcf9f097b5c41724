//! The trait of all types of values.

use toml::Value;

/// A type of values.
pub(in crate::config) trait Setting: Sized {
    /// The text after "expected …".
    const EXPECTED: &'static str;

    /// Parses the value of an environment variable or a flag.
    fn from_text(text: &str) -> Option<Self>;

    /// Parses the value of the file. Most types are strings there.
    fn from_toml(value: &Value) -> Option<Self> {
        value.as_str().and_then(Self::from_text)
    }

    /// Returns the value as written in the file; an optional value that is not set is an empty
    /// string.
    fn to_toml(&self) -> Value;

    /// Returns the size of the value, for keys with bounds.
    fn magnitude(&self) -> Option<f64> {
        None
    }
}

#[cfg(test)]
pub(super) mod testing {
    use std::fmt::Debug;

    use super::Setting;

    /// Parses `text`, and parses again what is written.
    pub(super) fn read<T: Setting + PartialEq + Debug>(text: &str) -> Option<T> {
        let value = T::from_text(text)?;
        assert_eq!(T::from_toml(&value.to_toml()).as_ref(), Some(&value), "{text}");
        Some(value)
    }
}
