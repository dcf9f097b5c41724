//! The configuration: defaults < file < environment < flags, with the source of each value.
//!
//! `keys` declares every key once. The typed [`Config`], the file `config/kastrel.toml`,
//! `kastrel config show` and the names of environment variables all come from that declaration.
//! Only [`find_file`] and [`process_environment`] read the environment of the process: for all
//! other functions, files, environment and flags are arguments.

mod base_path;
mod bucket;
mod error;
mod file;
mod key;
mod keys;
mod layers;
mod origin;
mod resolver;
mod secret;
mod suggest;
mod typed;
mod values;

pub use base_path::BasePath;
pub use bucket::{BucketUrl, Endpoint};
pub use error::{ConfigError, Problem};
pub use file::{DEFAULT_FILE, document, find_file, process_environment};
pub use key::Key;
pub use keys::{
    ArtifactsConfig, Config, DataConfig, DatabaseConfig, KEYS, KastConfig, LogConfig, NodeConfig, OverridesConfig,
    RedisConfig, ScansConfig, ScopeConfig, SecretsConfig, ServerConfig, SupervisionConfig, TelemetryConfig,
};
pub use layers::{FlagValue, Resolved, Sources};
pub use origin::Origin;
pub use resolver::Effective;
pub use secret::{SecretText, SecretUrl, redact};
pub use values::{
    LogFormat, LogLevel, ProxyRules, ScannerChoice, ScopeRules, SettingPatterns, TraceUrl, UserText, VariableNames,
};
