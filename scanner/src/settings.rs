//! The settings of `--set group.key=value`, their limits, and the schema that `config schema`
//! prints.
//!
//! One table describes every key, so the parser, the schema and `plugins show` cannot differ.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kastrel_actors::policy::scope::ScopePolicy;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::files::{self, Folders};

/// The reason why a `--set` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The text does not have the form `group.key=value`.
    #[error("`{0}` is not of the form plugin.key=value")]
    Form(String),
    /// The key does not exist.
    #[error("unknown setting `{0}`; `config schema` lists them")]
    Unknown(String),
    /// The value is invalid.
    #[error("setting `{key}`: {reason}")]
    Value {
        /// The setting's full name.
        key: String,
        /// The required form of the value.
        reason: String,
    },
}

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The limit for one complete request.
    pub request_timeout: Duration,
    /// The limit for opening one connection, including the TLS handshake.
    pub connect_timeout: Duration,
    /// The limit for the requests of one scan.
    pub max_requests: u64,
    /// The limit for concurrent requests.
    pub concurrency: u64,
    /// The limit for the part of a body that is read, in bytes.
    pub max_body_bytes: u64,
    /// The time limit of one plugin.
    pub plugin_timeout: Duration,
    /// The time limit of all plugins together.
    pub scan_timeout: Duration,
    /// The number of days before expiry from which a certificate yields a warning.
    pub expiry_warning_days: u64,
    /// A PEM file with additional trusted authorities.
    pub extra_ca_file: Option<PathBuf>,
    /// Additional paths to request.
    pub extra_paths: Vec<String>,
    /// The limit for all DNS lookups of a scan together.
    pub dns_timeout: Duration,
    /// The name server that replaces the system's.
    pub nameserver: Option<SocketAddr>,
    /// The folders in which settings may name files. No setting changes this.
    pub file_folders: Folders,
}

/// The limits that the caller of a scan sets, under `kastrel` in the file of `--config`. No setting
/// can change them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The addresses that the scan may connect to.
    pub scope: ScopePolicy,
    /// The folders in which settings may name files.
    pub file_folders: Vec<PathBuf>,
}

enum Kind {
    Integer {
        min: u64,
        max: u64,
        default: u64,
        set: fn(&mut Settings, u64),
    },
    /// The format describes the value. Kastrel locks settings whose value refers to something other
    /// than the target.
    Text {
        format: &'static str,
        set: fn(&mut Settings, &str) -> Result<(), String>,
    },
}

struct Key {
    group: &'static str,
    name: &'static str,
    description: &'static str,
    kind: Kind,
}

const MEBI: u64 = 1024 * 1024;

/// The maximum size of a settings file.
const MAX_CONFIG_BYTES: u64 = 4 * MEBI;

static KEYS: &[Key] = &[
    Key {
        group: "http",
        name: "timeout_seconds",
        description: "Time limit of one whole request, in seconds",
        kind: Kind::Integer { min: 1, max: 120, default: 10, set: |s, n| s.request_timeout = Duration::from_secs(n) },
    },
    Key {
        group: "http",
        name: "connect_timeout_seconds",
        description: "Time limit of opening a connection, in seconds",
        kind: Kind::Integer { min: 1, max: 60, default: 5, set: |s, n| s.connect_timeout = Duration::from_secs(n) },
    },
    Key {
        group: "http",
        name: "max_requests",
        description: "How many HTTP requests a scan may send in all",
        kind: Kind::Integer { min: 1, max: 1000, default: 120, set: |s, n| s.max_requests = n },
    },
    Key {
        group: "http",
        name: "concurrency",
        description: "How many HTTP requests may be under way at once",
        kind: Kind::Integer { min: 1, max: 16, default: 4, set: |s, n| s.concurrency = n },
    },
    Key {
        group: "http",
        name: "max_body_mib",
        description: "How much of a response body is read, in MiB",
        kind: Kind::Integer { min: 1, max: 16, default: 2, set: |s, n| s.max_body_bytes = n * MEBI },
    },
    Key {
        group: "http",
        name: "plugin_timeout_seconds",
        description: "Time limit of one plugin, in seconds",
        kind: Kind::Integer { min: 5, max: 3600, default: 60, set: |s, n| s.plugin_timeout = Duration::from_secs(n) },
    },
    Key {
        group: "http",
        name: "scan_timeout_seconds",
        description: "Time limit of all plugins together, in seconds",
        kind: Kind::Integer { min: 5, max: 14_400, default: 180, set: |s, n| s.scan_timeout = Duration::from_secs(n) },
    },
    Key {
        group: "tls_certificate",
        name: "expiry_warning_days",
        description: "Warn when the certificate ends within so many days",
        kind: Kind::Integer { min: 0, max: 365, default: 21, set: |s, n| s.expiry_warning_days = n },
    },
    Key {
        group: "tls_certificate",
        name: "extra_ca_file",
        description: "PEM file with authorities to trust beside the system's, at most 1 MiB",
        kind: Kind::Text {
            format: "path",
            set: |s, text| {
                s.extra_ca_file = Some(PathBuf::from(text));
                Ok(())
            },
        },
    },
    Key {
        group: "exposed_files",
        name: "extra_paths",
        description: "More paths to ask for, separated by commas, each starting with a slash",
        kind: Kind::Text {
            // Paths of the target; each one is checked.
            format: "target-path",
            set: |s, text| {
                let paths: Vec<String> =
                    text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(str::to_owned).collect();
                if let Some(bad) = paths.iter().find(|path| {
                    !path.starts_with('/')
                        || path.starts_with("//")
                        || path.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\')
                }) {
                    return Err(format!("`{bad}` is not a path that starts with one slash"));
                }
                s.extra_paths = paths;
                Ok(())
            },
        },
    },
    Key {
        group: "dns_posture",
        name: "timeout_seconds",
        description: "Time limit of all DNS look-ups of a scan together, in seconds",
        kind: Kind::Integer { min: 1, max: 60, default: 5, set: |s, n| s.dns_timeout = Duration::from_secs(n) },
    },
    Key {
        group: "dns_posture",
        name: "nameserver",
        description: "Name server to ask instead of the system's, as ADDRESS:PORT",
        kind: Kind::Text {
            format: "address",
            set: |s, text| {
                s.nameserver = Some(text.parse().map_err(|_| "not of the form ADDRESS:PORT".to_owned())?);
                Ok(())
            },
        },
    },
];

impl Default for Settings {
    fn default() -> Self {
        let zero = Duration::ZERO;
        let mut settings = Self {
            request_timeout: zero,
            connect_timeout: zero,
            max_requests: 0,
            concurrency: 0,
            max_body_bytes: 0,
            plugin_timeout: zero,
            scan_timeout: zero,
            expiry_warning_days: 0,
            extra_ca_file: None,
            extra_paths: Vec::new(),
            dns_timeout: zero,
            nameserver: None,
            file_folders: Folders::Any,
        };
        // The defaults exist only in the table, which the schema also reads.
        for key in KEYS {
            if let Kind::Integer { default, set, .. } = &key.kind {
                set(&mut settings, *default);
            }
        }
        settings
    }
}

impl Settings {
    /// Applies one `group.key=value`.
    ///
    /// # Errors
    /// Returns a [`SettingError`] that names the key if the key is unknown or the value is invalid.
    pub fn apply(&mut self, assignment: &str) -> Result<(), SettingError> {
        let (name, value) = assignment.split_once('=').ok_or_else(|| SettingError::Form(assignment.to_owned()))?;
        let key = KEYS
            .iter()
            .find(|key| name.split_once('.') == Some((key.group, key.name)))
            .ok_or_else(|| SettingError::Unknown(name.to_owned()))?;
        let wrong = |reason: String| SettingError::Value { key: name.to_owned(), reason };
        match &key.kind {
            Kind::Integer { min, max, set, .. } => match value.parse::<u64>() {
                Ok(number) if (*min..=*max).contains(&number) => set(self, number),
                _ => return Err(wrong(format!("expected a whole number from {min} to {max}, not `{value}`"))),
            },
            Kind::Text { set, .. } => set(self, value).map_err(wrong)?,
        }
        Ok(())
    }

    /// Applies the settings of a JSON file: the groups are under `plugins`, the caller's limits
    /// under `kastrel`. Returns the limits if the file has any.
    ///
    /// # Errors
    /// Returns a reason if the file cannot be read or a setting is refused. Settings before the
    /// refused one have been applied.
    pub fn read(&mut self, path: &Path) -> Result<Option<Limits>, String> {
        let text = files::read(path, MAX_CONFIG_BYTES).map_err(|error| format!("the file {error}"))?;
        let tree: Value = serde_json::from_slice(&text).map_err(|error| format!("expected JSON: {error}"))?;
        let limits: Option<Limits> = match tree.get("kastrel") {
            Some(limits) => Some(Limits::deserialize(limits).map_err(|error| format!("`kastrel`: {error}"))?),
            None => None,
        };
        if let Some(limits) = &limits {
            self.file_folders = Folders::Only(limits.file_folders.clone());
        }
        for (group, keys) in tree.get("plugins").and_then(Value::as_object).into_iter().flatten() {
            for (key, value) in keys.as_object().into_iter().flatten() {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Array(list) => list
                        .iter()
                        .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
                        .collect::<Vec<_>>()
                        .join(","),
                    other => other.to_string(),
                };
                self.apply(&format!("{group}.{key}={value}")).map_err(|error| error.to_string())?;
            }
        }
        Ok(limits)
    }
}

/// Returns the JSON schema of one group's settings.
#[must_use]
pub fn group_schema(group: &str, title: &str, description: &str) -> Value {
    json!({ "type": "object", "title": title, "description": description, "properties": properties(group, "") })
}

/// Returns the schema of all settings, in the format of `kast config schema`. `plugins` maps group
/// names to schemas.
#[must_use]
pub fn schema(plugins: Map<String, Value>) -> Value {
    json!({
        "kast": { "config_version": "1.1", "description": "Settings of Kastrel's built-in scanner" },
        "global": {
            "type": "object",
            "title": "Global Settings",
            "description": "Limits that apply to all plugins",
            "properties": properties("http", "http."),
        },
        "plugins": plugins,
    })
}

fn properties(group: &str, prefix: &str) -> Map<String, Value> {
    KEYS.iter()
        .filter(|key| key.group == group)
        .map(|key| {
            let value = match &key.kind {
                Kind::Integer { min, max, default, .. } => json!({
                    "type": "integer", "default": default, "minimum": min, "maximum": max, "description": key.description
                }),
                Kind::Text { format, .. } => json!({ "type": "string", "format": format, "default": "", "description": key.description }),
            };
            (format!("{prefix}{}", key.name), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_settings_are_applied() {
        let mut settings = Settings::default();
        assert_eq!(settings.request_timeout, Duration::from_secs(10));
        settings.apply("http.timeout_seconds=3").unwrap();
        settings.apply("exposed_files.extra_paths=/a, /b/c").unwrap();
        settings.apply("dns_posture.nameserver=127.0.0.1:5353").unwrap();
        assert_eq!(settings.request_timeout, Duration::from_secs(3));
        assert_eq!(settings.extra_paths, ["/a", "/b/c"]);
        assert_eq!(settings.nameserver, Some("127.0.0.1:5353".parse().unwrap()));
    }

    #[test]
    fn refused_settings_are_named_in_the_error() {
        for (assignment, part) in [
            ("http.speed=3", "http.speed"),
            ("nonsense", "nonsense"),
            ("http=3", "`http`"),
            ("http.timeout_seconds=0", "from 1 to 120"),
            ("http.timeout_seconds=fast", "fast"),
            ("exposed_files.extra_paths=a", "`a`"),
            ("exposed_files.extra_paths=//evil.test/", "//evil.test/"),
            ("exposed_files.extra_paths=/\\evil.test/", "/\\evil.test/"),
            ("dns_posture.nameserver=here", "ADDRESS:PORT"),
        ] {
            let message = Settings::default().apply(assignment).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
