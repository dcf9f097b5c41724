//! The types of values: each is parsed from text and from TOML, and written as TOML.
//!
//! - `setting` is the trait of all of them.
//! - `standard` implements it for the types of Rust and for secrets.
//! - `words` are single texts with a syntax, `lists` are lists with one, and `choices` are words of
//!   a fixed set.

mod choices;
mod lists;
mod setting;
mod standard;
mod words;

pub use choices::{AuthMode, LogFormat, RequiredFactor, ScannerChoice};
pub(super) use lists::FolderList;
pub use lists::{GroupRules, ProxyRules, ScopeRules, SettingPatterns, VariableNames};
pub(super) use setting::Setting;
pub(super) use words::RedisPrefix;
pub use words::{LogLevel, TraceUrl, UserText};
