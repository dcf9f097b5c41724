//! The declaration of one key.

use toml::Value;

use super::secret::{HIDDEN, redact};

/// The declaration of a key.
#[derive(Debug)]
pub struct Key {
    /// The name as `section.key`.
    pub name: &'static str,
    /// The documentation, one entry for each line.
    pub doc: &'static [&'static str],
    /// The short environment variables, in addition to `KASTREL_<SECTION>__<KEY>`.
    pub env: &'static [&'static str],
    /// The command line flag, if a command has one.
    pub flag: Option<&'static str>,
    /// Returns the text after "expected …", with the bounds.
    pub expected: fn() -> String,
    /// Whether the value may hold a password.
    pub secret: bool,
    /// Whether no part of the value may be shown.
    pub concealed: bool,
    pub(super) default: fn() -> Value,
    pub(super) bounds: Option<(i32, i32)>,
}

impl Key {
    /// Returns the section, such as `server` of `server.listen`.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// Returns the field, such as `listen` of `server.listen`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, field)| field)
    }

    /// Returns the environment variable, such as `KASTREL_SERVER__LISTEN` of `server.listen`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("KASTREL_{}__{}", self.section().to_uppercase(), self.field().to_uppercase())
    }

    /// Returns the default, as written in the file.
    #[must_use]
    pub fn default(&self) -> Value {
        (self.default)()
    }

    /// Returns a value of this key as it may be shown.
    #[must_use]
    pub fn shown(&self, value: &Value) -> String {
        match value {
            Value::String(text) if self.concealed && text.is_empty() => String::new(),
            _ if self.concealed => HIDDEN.to_owned(),
            Value::String(text) if self.secret => redact(text),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
