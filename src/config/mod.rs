//! The configuration: defaults < file < environment < flags, with the source of each value.
//!
//! `keys` declares every key once. The typed [`Config`], the file `config/kastrel.toml`,
//! `kastrel config show` and the names of environment variables all come from that declaration.
//! Only [`find_file`] and [`process_environment`] read the environment of the process: for all
//! other functions, files, environment and flags are arguments.

mod base_path;
mod bucket;
mod database_url;
mod error;
mod file;
mod keys;
mod layers;
mod redis_url;
mod role;
mod secret;
mod suggest;
mod typed;
mod values;

pub use base_path::BasePath;
pub use bucket::{BucketUrl, Endpoint};
pub use database_url::{AddressError, AuthLevel, RemoteDatabase};
pub use error::{ConfigError, Problem};
pub use file::{DEFAULT_FILE, document, find_file, process_environment};
pub use keys::{
    ArtifactsConfig, Config, DataConfig, DatabaseConfig, KEYS, KastConfig, Key, LogConfig, NodeConfig, OverridesConfig,
    RedisConfig, ScansConfig, ScopeConfig, SecretsConfig, ServerConfig, SupervisionConfig, TelemetryConfig,
};
pub use layers::{Effective, FlagValue, Origin, Resolved, Sources};
pub use redis_url::{RedisUrlError, check_redis_url, parse_redis_url};
pub use role::Role;
pub use secret::{SecretText, SecretUrl, redact};
pub use values::{
    LogFormat, LogLevel, ProxyRules, ScannerChoice, ScopeRules, SettingPatterns, TraceUrl, UserText, VariableNames,
};
