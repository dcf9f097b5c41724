//! Merges the layers of the configuration: defaults < file < environment < flags.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Value;

use super::error::ConfigError;
use super::key::Key;
use super::keys::{Config, KEYS};
use super::origin::Origin;
use super::resolver::{Effective, Given, Resolver};
use super::typed::{contradictions, unusable};

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
        let mut resolver = Resolver::default();
        for key in KEYS {
            resolver.set(key, Origin::Default, Given::Toml(key.default()));
        }
        for (command, name, text) in &self.command_defaults {
            if let Some(key) = Key::find(name) {
                resolver.set(key, Origin::CommandDefault(command), Given::Text((*text).to_owned()));
            }
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
                problems.extend(unusable(&config, &effective));
                problems.extend(contradictions(&config, &effective));
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
