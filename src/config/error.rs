//! The errors of a configuration.

use std::fmt;
use std::path::PathBuf;

use super::origin::Origin;

/// One error in a configuration: the key, the source of the value, and the expected value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A value that is invalid for its key.
    Value {
        /// The key.
        key: &'static str,
        /// The source of the value.
        origin: Origin,
        /// The given value, without secrets.
        given: String,
        /// The expected value.
        expected: String,
    },
    /// The name of a key that does not exist.
    Unknown {
        /// The given name.
        name: String,
        /// The source of the name.
        origin: Origin,
        /// The most similar existing name.
        suggestion: Option<String>,
    },
    /// A value of the right form that cannot be used.
    Unusable {
        /// The key.
        key: &'static str,
        /// The source of the value.
        origin: Origin,
        /// The reason, without secrets.
        why: String,
    },
    /// A key without a value that the command needs.
    Missing {
        /// The key.
        key: &'static str,
        /// The environment variable that sets it.
        variable: &'static str,
        /// The command.
        command: &'static str,
    },
    /// Values that contradict each other.
    Contradiction {
        /// The contradiction, which names every key with its value and source.
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

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("failed to read the configuration file {}", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is not valid TOML.
    #[error("failed to parse the configuration file {}: {place}: {why}", path.display())]
    Syntax {
        /// The path of the file.
        path: PathBuf,
        /// The line, the column and the key, without the value, which may be a secret.
        place: String,
        /// The syntax error.
        why: String,
    },
    /// One of Kastrel's environment variables is not UTF-8.
    #[error("the environment variable {0} is not valid UTF-8")]
    NotUtf8(String),
    /// All invalid values.
    #[error("the configuration is not valid:{}", .0.iter().map(|problem| format!("\n  {problem}")).collect::<String>())]
    Invalid(Vec<Problem>),
}
