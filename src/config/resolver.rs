//! Resolves each key: the value of its highest layer, converted into the type of the key.

use std::collections::BTreeMap;

use toml::Value;

use super::error::Problem;
use super::key::Key;
use super::origin::Origin;
use super::secret::{HIDDEN, redact};
use super::suggest::nearest;
use super::values::Setting;

/// A value before it is parsed into its type.
#[derive(Debug, Clone)]
pub(super) enum Given {
    Text(String),
    Toml(Value),
}

/// Holds the value of the highest layer for each key, while a `Config` is built.
#[derive(Debug, Default)]
pub(super) struct Resolver<'a> {
    layers: BTreeMap<&'a str, (&'static Key, Origin, Given)>,
    pub(super) effective: Vec<Effective>,
    pub(super) problems: Vec<Problem>,
}

impl Resolver<'_> {
    pub(super) fn set(&mut self, key: &'static Key, origin: Origin, given: Given) {
        self.layers.insert(key.name, (key, origin, given));
    }

    pub(super) fn unknown<'n>(&mut self, name: String, origin: Origin, names: impl IntoIterator<Item = &'n str>) {
        let suggestion = nearest(&name, names).map(str::to_owned);
        self.problems.push(Problem::Unknown { name, origin, suggestion });
    }

    /// Returns the typed value of a key. If the value is invalid, it returns `None` and keeps the
    /// problem.
    pub(super) fn take<T: Setting>(&mut self, name: &str) -> Option<T> {
        let (key, origin, given) = self.layers.remove(name)?;
        let value = match &given {
            Given::Text(text) => T::from_text(text.trim()),
            Given::Toml(value) => T::from_toml(value),
        };
        let within = |value: &T| match (key.bounds, value.magnitude()) {
            (Some((least, most)), Some(size)) => (f64::from(least)..=f64::from(most)).contains(&size),
            _ => true,
        };
        if let Some(value) = value.filter(within) {
            self.effective.push(Effective { key, value: value.to_toml(), origin });
            return Some(value);
        }
        let is_hidden = |text: &str| key.secret && !text.contains("://") && !text.contains('@');
        let shown = match given {
            _ if key.concealed => HIDDEN.to_owned(),
            // A text that is not a URL may be the password alone, put there by mistake.
            Given::Text(text) if is_hidden(&text) => HIDDEN.to_owned(),
            Given::Toml(value) if is_hidden(value.as_str().unwrap_or_default()) => HIDDEN.to_owned(),
            Given::Text(text) => redact(&text),
            Given::Toml(Value::String(text)) => Value::from(redact(&text)).to_string(),
            Given::Toml(other) => other.to_string(),
        };
        let given = if key.name == "kast.environment" { without_values(&shown) } else { shown };
        self.problems.push(Problem::Value { key: key.name, origin, given, expected: (key.expected)() });
        None
    }
}

/// Hides the values in `NAME=secret`: users may write values where names are expected.
fn without_values(text: &str) -> String {
    text.split(',')
        .map(|part| part.split_once('=').map_or(part.to_owned(), |(name, _)| format!("{name}=***")))
        .collect::<Vec<_>>()
        .join(",")
}

/// The effective value of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// The key.
    pub key: &'static Key,
    /// The value as written in the file, including secrets.
    pub value: Value,
    /// The source of the value.
    pub origin: Origin,
}

impl Effective {
    /// Returns the value as it may be shown.
    #[must_use]
    pub fn shown(&self) -> String {
        self.key.shown(&self.value)
    }
}
