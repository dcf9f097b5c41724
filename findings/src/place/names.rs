//! Names within places: headers, cookies, parameters.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fault::PlaceFault;
use crate::text::clean;

/// The longest name in characters.
const MOST_CHARS: usize = 200;

/// A name as a scanner writes it, on one line, without control characters and at most 200
/// characters long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// Reads a name.
    ///
    /// # Errors
    /// Nothing is left of the text.
    pub fn parse(text: &str) -> Result<Self, PlaceFault> {
        let text = clean(text, MOST_CHARS);
        if text.is_empty() { Err(PlaceFault::Empty) } else { Ok(Self(text)) }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a header, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderName(String);

impl HeaderName {
    /// Reads the name of a header.
    ///
    /// # Errors
    /// Nothing is left of the text.
    pub fn parse(text: &str) -> Result<Self, PlaceFault> {
        Label::parse(text.trim().trim_end_matches(':')).map(|label| Self(label.0.to_ascii_lowercase()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_conversions {
    ($($name:ident)+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = PlaceFault;

            fn try_from(text: String) -> Result<Self, PlaceFault> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    )+};
}

text_conversions!(Label HeaderName);
