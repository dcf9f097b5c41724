//! Merges the layers of the configuration: defaults < file < environment < flags.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use toml::Value;

use super::secret::HIDDEN;
use super::suggest::nearest;
use super::values::Setting;
use super::{Config, ConfigError, KEYS, Key, Problem, redact};

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The default; no layer sets the value.
    Default,
    /// The command's own default; no layer sets the value.
    CommandDefault(&'static str),
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A command line flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::CommandDefault(command) => write!(f, "default of `{command}`"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A value from a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// The key, whose declaration has the name of the flag.
    pub key: &'static str,
    /// The value.
    pub value: String,
}

/// The sources of a configuration.
#[derive(Debug, Clone)]
pub struct Sources<'a> {
    /// The environment variables.
    pub env: &'a BTreeMap<String, String>,
    /// The path and the text of the file.
    pub file: Option<(PathBuf, String)>,
    /// The values of flags.
    pub flags: Vec<FlagValue>,
    /// The defaults of one command: the command's name, a key, and the value as text.
    pub command_defaults: Vec<(&'static str, &'static str, &'static str)>,
}

impl<'a> Sources<'a> {
    /// Returns sources with an environment only.
    #[must_use]
    pub const fn of(env: &'a BTreeMap<String, String>) -> Self {
        Self { env, file: None, flags: Vec::new(), command_defaults: Vec::new() }
    }

    /// Merges the sources.
    ///
    /// # Errors
    /// All problems at once.
    pub fn resolve(&self) -> Result<Resolved, ConfigError> {
        let mut resolver = Resolver { layers: BTreeMap::new(), effective: Vec::new(), problems: Vec::new() };
        for key in KEYS {
            resolver.set(key, Origin::Default, Given::Toml(key.default()));
        }
        for (command, name, text) in &self.command_defaults {
            resolver.set_named(name, Origin::CommandDefault(command), text);
        }
        self.read_file(&mut resolver)?;
        self.read_environment(&mut resolver);
        for flag in &self.flags {
            if let Some(key) = Key::find(flag.key) {
                resolver.set(key, Origin::Flag(key.flag.unwrap_or(key.name)), Given::Text(flag.value.clone()));
            }
        }
        let config = Config::take(&mut resolver);
        let Resolver { effective, mut problems, .. } = resolver;
        match config {
            Some(config) => {
                problems.extend(super::typed::unusable(&config, &effective));
                problems.extend(super::typed::contradictions(&config, &effective));
                if problems.is_empty() {
                    Ok(Resolved { config, effective })
                } else {
                    Err(ConfigError::Invalid(problems))
                }
            }
            None => Err(ConfigError::Invalid(problems)),
        }
    }

    fn read_file(&self, resolver: &mut Resolver<'_>) -> Result<(), ConfigError> {
        let Some((path, text)) = &self.file else { return Ok(()) };
        let table: toml::Table = toml::from_str(text).map_err(|error| syntax_error(path, text, &error))?;
        let origin = || Origin::File(path.clone());
        for (section, value) in table {
            match value {
                Value::Table(keys) if KEYS.iter().any(|key| key.section() == section) => {
                    for (field, value) in keys {
                        let name = format!("{section}.{field}");
                        match Key::find(&name) {
                            Some(key) => resolver.set(key, origin(), Given::Toml(value)),
                            None => resolver.unknown(name, origin(), KEYS.iter().map(|key| key.name)),
                        }
                    }
                }
                Value::Table(_) => resolver.unknown(
                    format!("[{section}]"),
                    origin(),
                    KEYS.iter().map(|key| section_name(key.section())),
                ),
                _ => resolver.unknown(section, origin(), KEYS.iter().map(|key| key.name)),
            }
        }
        Ok(())
    }

    fn read_environment(&self, resolver: &mut Resolver<'_>) {
        // An empty variable counts as not set, as with `${NAME:-}` in a compose file.
        let given = |name: &str| self.env.get(name).filter(|value| !value.is_empty()).cloned();
        let mut variables: BTreeMap<String, &'static Key> = BTreeMap::new();
        for key in KEYS {
            // The long name comes last, because it is more explicit.
            for name in key.env.iter().map(ToString::to_string).chain([key.variable()]) {
                if let Some(value) = given(&name) {
                    resolver.set(key, Origin::Environment(name.clone()), Given::Text(value));
                }
                variables.insert(name, key);
            }
        }
        for name in self
            .env
            .keys()
            .filter(|name| name.starts_with("KASTREL_") && name.contains("__") && !variables.contains_key(*name))
        {
            resolver.unknown(name.clone(), Origin::Environment(name.clone()), variables.keys().map(String::as_str));
        }
    }
}

/// Returns the error of a file that is not valid TOML. The error does not repeat the line: its
/// value may be a secret.
fn syntax_error(path: &std::path::Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..at).unwrap_or(text);
    let (number, start) = (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |end| end + 1));
    let line = text.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    let (key, value) = line.split_once('=').unwrap_or(("", line));
    // A text that is not a key may be a part of a secret as well.
    let is_key = |key: &str| {
        KEYS.iter().any(|known| known.name == key || known.name.split_once('.').is_some_and(|(_, field)| field == key))
    };
    let value = if is_key(key.trim()) { value } else { line };
    let key = Some(key.trim()).filter(|key| is_key(key)).map(|key| format!(", at `{key}`")).unwrap_or_default();
    let place = format!("line {number}, column {}{key}", before[start..].chars().count() + 1);
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    // Use the parser's message, unless it repeats a part of the value.
    let mut words = value.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2);
    let why = if words.any(|word| message.contains(word)) { "this is not valid TOML".to_owned() } else { message };
    ConfigError::Syntax { path: path.to_owned(), place, why }
}

/// Returns the name of a section as written in the file, so that a suggestion can be copied.
fn section_name(section: &'static str) -> &'static str {
    match section {
        "server" => "[server]",
        "data" => "[data]",
        "database" => "[database]",
        "backup" => "[backup]",
        "artifacts" => "[artifacts]",
        "redis" => "[redis]",
        "kast" => "[kast]",
        "scans" => "[scans]",
        "queue" => "[queue]",
        "node" => "[node]",
        "scope" => "[scope]",
        "overrides" => "[overrides]",
        "secrets" => "[secrets]",
        "supervision" => "[supervision]",
        "log" => "[log]",
        "telemetry" => "[telemetry]",
        other => other,
    }
}

/// A value before it is parsed into its type.
#[derive(Debug, Clone)]
enum Given {
    Text(String),
    Toml(Value),
}

/// Holds the value of the highest layer for each key, while a [`Config`] is built.
#[derive(Debug)]
pub(super) struct Resolver<'a> {
    layers: BTreeMap<&'a str, (&'static Key, Origin, Given)>,
    effective: Vec<Effective>,
    problems: Vec<Problem>,
}

impl Resolver<'_> {
    fn set(&mut self, key: &'static Key, origin: Origin, given: Given) {
        self.layers.insert(key.name, (key, origin, given));
    }

    fn set_named(&mut self, name: &str, origin: Origin, text: &str) {
        if let Some(key) = Key::find(name) {
            self.set(key, origin, Given::Text(text.to_owned()));
        }
    }

    fn unknown<'n>(&mut self, name: String, origin: Origin, names: impl IntoIterator<Item = &'n str>) {
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

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Effective {
    /// Returns the value as it may be shown.
    #[must_use]
    pub fn shown(&self) -> String {
        self.key.shown(&self.value)
    }
}

/// A configuration with the source of each value.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// Every key, in the order of the file.
    pub effective: Vec<Effective>,
}

#[cfg(test)]
mod tests;
