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
mod issuer;
mod key;
mod keys;
mod layers;
mod origin;
mod public_url;
mod redis_url;
mod resolver;
mod role;
mod secret;
mod sender;
mod smtp_url;
mod suggest;
mod typed;
mod values;

pub use base_path::BasePath;
pub use bucket::{BucketUrl, Endpoint};
pub use database_url::{AddressError, AuthLevel, RemoteDatabase};
pub use error::{ConfigError, Problem};
pub use file::{DEFAULT_FILE, document, find_file, process_environment};
pub use issuer::Issuer;
pub use key::Key;
pub use keys::{
    ArtifactsConfig, Config, DataConfig, DatabaseConfig, KEYS, KastConfig, LogConfig, NodeConfig, OidcConfig,
    OverridesConfig, RedisConfig, ScansConfig, ScopeConfig, SecretsConfig, ServerConfig, SupervisionConfig,
    TelemetryConfig,
};
pub use layers::{FlagValue, Resolved, Sources};
pub use origin::Origin;
pub use public_url::PublicUrl;
pub use redis_url::{RedisUrlError, check_redis_url, parse_redis_url};
pub use resolver::Effective;
pub use role::Role;
pub use secret::{SecretText, SecretUrl, redact};
pub use sender::Sender;
pub use smtp_url::{SmtpUrlError, check_smtp_url};
pub use values::{
    AuthMode, GroupRules, LogFormat, LogLevel, ProxyRules, RequiredFactor, ScannerChoice, ScopeRules, SettingPatterns,
    TraceUrl, UserText, VariableNames,
};
