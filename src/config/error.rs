//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

use super::Origin;

/// One thing that is wrong: which key, where it stood, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A value that is none for its key.
    Value {
        /// The key.
        key: &'static str,
        /// Where the value came from.
        origin: Origin,
        /// The value, without secrets.
        given: String,
        /// What would be right.
        expected: String,
    },
    /// A name that no key has.
    Unknown {
        /// The name as it was given.
        name: String,
        /// Where.
        origin: Origin,
        /// The nearest name that exists.
        suggestion: Option<String>,
    },
    /// A value that has the form of its key, and leads nowhere.
    Unusable {
        /// The key.
        key: &'static str,
        /// Where the value came from.
        origin: Origin,
        /// Why, without secrets.
        why: String,
    },
    /// A key that the command needs, and that nothing sets.
    Missing {
        /// The key.
        key: &'static str,
        /// The shortest way to set it.
        variable: &'static str,
        /// The command.
        command: &'static str,
    },
    /// Values that do not go together.
    Contradiction {
        /// What does not, naming every key with its value and origin.
        text: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { key, origin, given, expected } => {
                write!(f, "{key} (from {origin}): expected {expected}, not `{given}`")
            }
            Self::Unknown { name, origin, suggestion: Some(near) } => {
                write!(f, "`{name}` (from {origin}) is not a key; did you mean `{near}`?")
            }
            Self::Unknown { name, origin, suggestion: None } => {
                write!(f, "`{name}` (from {origin}) is not a key; `kastrel config show` lists all keys")
            }
            Self::Unusable { key, origin, why } => write!(f, "{key} (from {origin}) cannot be used: {why}"),
            Self::Missing { key, variable, command } => {
                write!(
                    f,
                    "{command} shares its work with other processes and needs {key}: set {variable}, or use `kastrel serve`, which needs no other service"
                )
            }
            Self::Contradiction { text } => f.write_str(text),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("failed to read the configuration file {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("failed to parse the configuration file {}: {place}: {why}", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// The line, the column and the key, without the value, which may be a secret.
        place: String,
        /// What is wrong there.
        why: String,
    },
    /// An environment variable of ours that is not UTF-8.
    #[error("the environment variable {0} is not valid UTF-8")]
    NotUtf8(String),
    /// Wrong values, all of them.
    #[error("the configuration is not valid:{}", .0.iter().map(|problem| format!("\n  {problem}")).collect::<String>())]
    Invalid(Vec<Problem>),
}
