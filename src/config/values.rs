//! The types of values: each is parsed from text and from TOML, and written as TOML.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use kastrel_actors::policy::override_policy::SettingPattern;
use kastrel_actors::policy::scope::ScopeRule;
use toml::Value;

use super::{SecretText, SecretUrl};

/// A type of values.
pub(super) trait Setting: Sized {
    /// The text after "expected …".
    const EXPECTED: &'static str;

    /// Parses the value of an environment variable or a flag.
    fn from_text(text: &str) -> Option<Self>;

    /// Parses the value of the file. Most types are strings there.
    fn from_toml(value: &Value) -> Option<Self> {
        value.as_str().and_then(Self::from_text)
    }

    /// Returns the value as written in the file; an optional value that is not set is an empty
    /// string.
    fn to_toml(&self) -> Value;

    /// Returns the size of the value, for keys with bounds.
    fn magnitude(&self) -> Option<f64> {
        None
    }
}

impl Setting for String {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn to_toml(&self) -> Value {
        self.as_str().into()
    }
}

/// The prefix of all keys and channels in Redis. It is inside the braces of a hash tag, followed by
/// the installation id of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisPrefix(String);

impl fmt::Display for RedisPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Setting for RedisPrefix {
    const EXPECTED: &'static str = "1 to 48 characters of a-z, A-Z, 0-9, `.`, `_` and `-`";

    fn from_text(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        (plain && (1..=48).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    fn to_toml(&self) -> Value {
        self.0.as_str().into()
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::from(text))
    }

    fn to_toml(&self) -> Value {
        self.to_string_lossy().into_owned().into()
    }
}

impl Setting for SecretUrl {
    const EXPECTED: &'static str = "a URL";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_toml(&self) -> Value {
        self.expose().into()
    }
}

impl Setting for SecretText {
    const EXPECTED: &'static str = "a text";

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }

    fn to_toml(&self) -> Value {
        self.expose().into()
    }
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an address with a port, such as 127.0.0.1:5000 or [::1]:5000";

    fn from_text(text: &str) -> Option<Self> {
        // `localhost` always means the loopback address; other names would need a resolver.
        match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}").parse().ok(),
            None => text.parse().ok(),
        }
    }

    fn to_toml(&self) -> Value {
        self.to_string().into()
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    fn from_toml(value: &Value) -> Option<Self> {
        value.as_bool()
    }

    fn to_toml(&self) -> Value {
        (*self).into()
    }
}

/// Implements `Setting` for the integer types in use.
macro_rules! whole_number {
    ($($type:ty),+) => { $(
        impl Setting for $type {
            const EXPECTED: &'static str = "a whole number";

            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn from_toml(value: &Value) -> Option<Self> {
                value.as_integer().and_then(|number| Self::try_from(number).ok())
            }

            fn to_toml(&self) -> Value {
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }

            fn magnitude(&self) -> Option<f64> {
                u32::try_from(*self).ok().map(f64::from).or(Some(f64::MAX))
            }
        }
    )+ };
}
whole_number!(u32, usize);

/// A number of seconds; fractions are allowed.
impl Setting for Duration {
    const EXPECTED: &'static str = "a number of seconds";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().and_then(|seconds| Self::try_from_secs_f64(seconds).ok())
    }

    fn from_toml(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Self::from_secs),
            Value::Float(seconds) => Self::try_from_secs_f64(*seconds).ok(),
            _ => None,
        }
    }

    fn to_toml(&self) -> Value {
        match (self.subsec_nanos(), i64::try_from(self.as_secs())) {
            (0, Ok(seconds)) => seconds.into(),
            _ => self.as_secs_f64().into(),
        }
    }

    fn magnitude(&self) -> Option<f64> {
        Some(self.as_secs_f64())
    }
}

/// An empty value means not set.
impl<T: Setting> Setting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_text(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::from_text(text).map(Some) }
    }

    fn from_toml(value: &Value) -> Option<Self> {
        if value.as_str() == Some("") { Some(None) } else { T::from_toml(value).map(Some) }
    }

    fn to_toml(&self) -> Value {
        self.as_ref().map_or_else(|| "".into(), Setting::to_toml)
    }

    fn magnitude(&self) -> Option<f64> {
        self.as_ref().and_then(Setting::magnitude)
    }
}

/// Splits `a, b` at its commas, and drops empty parts.
fn parts(text: &str) -> impl Iterator<Item = String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
}

impl Setting for Vec<String> {
    const EXPECTED: &'static str = "a list of texts (in an environment variable: separated by commas)";

    fn from_text(text: &str) -> Option<Self> {
        Some(parts(text).collect())
    }

    fn from_toml(value: &Value) -> Option<Self> {
        strings(value)
    }

    fn to_toml(&self) -> Value {
        self.clone().into()
    }
}

/// The entries of an allow or deny list, as written and as parsed rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeRules {
    texts: Vec<String>,
    rules: Vec<ScopeRule>,
}

impl ScopeRules {
    /// Returns the parsed rules.
    #[must_use]
    pub fn rules(&self) -> &[ScopeRule] {
        &self.rules
    }

    fn of(texts: Vec<String>) -> Option<Self> {
        let rules = texts.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
        Some(Self { texts, rules })
    }
}

impl Setting for ScopeRules {
    const EXPECTED: &'static str = "a list of host names, addresses or ranges such as 10.0.0.0/8";

    fn from_text(text: &str) -> Option<Self> {
        Self::of(parts(text).collect())
    }

    fn from_toml(value: &Value) -> Option<Self> {
        strings(value).and_then(Self::of)
    }

    fn to_toml(&self) -> Value {
        self.texts.clone().into()
    }
}

/// The entries of a list of scanner settings, as written and as parsed patterns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingPatterns {
    texts: Vec<String>,
    patterns: Vec<SettingPattern>,
}

impl SettingPatterns {
    /// Returns the parsed patterns.
    #[must_use]
    pub fn patterns(&self) -> &[SettingPattern] {
        &self.patterns
    }

    fn of(texts: Vec<String>) -> Option<Self> {
        let patterns = texts.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
        Some(Self { texts, patterns })
    }
}

impl Setting for SettingPatterns {
    const EXPECTED: &'static str = "a list of scanner settings, each `plugin.key`, `plugin.*` or `*`";

    fn from_text(text: &str) -> Option<Self> {
        Self::of(parts(text).collect())
    }

    fn from_toml(value: &Value) -> Option<Self> {
        strings(value).and_then(Self::of)
    }

    fn to_toml(&self) -> Value {
        self.texts.clone().into()
    }
}

/// The addresses of proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyRules(ScopeRules);

impl ProxyRules {
    /// Returns the parsed rules.
    #[must_use]
    pub fn rules(&self) -> &[ScopeRule] {
        self.0.rules()
    }

    fn of(texts: Vec<String>) -> Option<Self> {
        let rules = ScopeRules::of(texts)?;
        rules.rules.iter().all(|rule| matches!(rule, ScopeRule::Range(..))).then_some(Self(rules))
    }
}

impl Setting for ProxyRules {
    const EXPECTED: &'static str = "a list of addresses or ranges such as 127.0.0.1 or 10.0.0.0/8";

    fn from_text(text: &str) -> Option<Self> {
        Self::of(parts(text).collect())
    }

    fn from_toml(value: &Value) -> Option<Self> {
        strings(value).and_then(Self::of)
    }

    fn to_toml(&self) -> Value {
        self.0.to_toml()
    }
}

/// A list of folders, as absolute paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderList(Vec<PathBuf>);

impl FolderList {
    /// Returns the folders.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.0
    }

    fn of(paths: Vec<String>) -> Option<Self> {
        let paths: Vec<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
        paths.iter().all(|path| path.is_absolute()).then_some(Self(paths))
    }
}

impl Setting for FolderList {
    const EXPECTED: &'static str = "a list of absolute paths";

    fn from_text(text: &str) -> Option<Self> {
        Self::of(parts(text).collect())
    }

    fn from_toml(value: &Value) -> Option<Self> {
        strings(value).and_then(Self::of)
    }

    fn to_toml(&self) -> Value {
        self.0.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>().into()
    }
}

/// A user of this machine: a name, a number, or the numbers of a user and a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserText(String);

impl UserText {
    /// Returns the user as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for UserText {
    const EXPECTED: &'static str = "the name of a user, or UID:GID";

    fn from_text(text: &str) -> Option<Self> {
        let plain =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:$".contains(&byte)) && !text.starts_with('-');
        (plain && (1..=64).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    fn to_toml(&self) -> Value {
        self.0.as_str().into()
    }
}

/// A list of names of environment variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VariableNames(Vec<String>);

impl VariableNames {
    /// Returns the names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    fn of(names: Vec<String>) -> Option<Self> {
        let is_name = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        names.iter().all(is_name).then_some(Self(names))
    }
}

impl Setting for VariableNames {
    const EXPECTED: &'static str = "a list of names of environment variables, without values";

    fn from_text(text: &str) -> Option<Self> {
        Self::of(parts(text).collect())
    }

    fn from_toml(value: &Value) -> Option<Self> {
        strings(value).and_then(Self::of)
    }

    fn to_toml(&self) -> Value {
        self.0.clone().into()
    }
}

/// The directives of the log filter, such as `info` or `info,kastrel=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// Returns the directives.
    #[must_use]
    pub fn directives(&self) -> &str {
        &self.0
    }
}

impl Setting for LogLevel {
    const EXPECTED: &'static str = "error, warn, info, debug, trace or off, or directives such as `info,kastrel=debug`";

    fn from_text(text: &str) -> Option<Self> {
        let is_level = |text: &str| text.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
        // The filter would take a bare word that is not a level for the name of a module, and
        // silence everything else.
        let plausible = text.split(',').all(|part| part.contains(['=', ':', '[']) || is_level(part.trim()));
        (!text.is_empty() && plausible && tracing_subscriber::EnvFilter::try_new(text).is_ok())
            .then(|| Self(text.to_owned()))
    }

    fn to_toml(&self) -> Value {
        self.0.as_str().into()
    }
}

/// The URL template of a trace in a tracing UI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceUrl(String);

impl TraceUrl {
    /// The placeholder of the trace id.
    const PLACE: &'static str = "{trace_id}";

    /// Parses the template.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_text(text)
    }

    /// Returns the URL of one trace.
    #[must_use]
    pub fn of(&self, trace_id: &str) -> String {
        self.0.replace(Self::PLACE, trace_id)
    }
}

impl Setting for TraceUrl {
    const EXPECTED: &'static str = "an http or https address with {trace_id} in it";

    fn from_text(text: &str) -> Option<Self> {
        // The URL becomes a link on pages, so only http and https are allowed.
        let url = url::Url::parse(&text.replace(Self::PLACE, "0")).ok()?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host() && url.password().is_none();
        let is_plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        (is_web && is_plain && text.contains(Self::PLACE)).then(|| Self(text.to_owned()))
    }

    fn to_toml(&self) -> Value {
        self.0.as_str().into()
    }
}

/// Declares an enum of words as a setting.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident, $expected:literal { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// All choices, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word of the choice.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or_else(|| concat!("expected ", $expected).to_owned())
            }
        }

        impl Setting for $name {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn to_toml(&self) -> Value {
                self.as_str().into()
            }
        }
    };
}

choice! {
    /// The scanner that runs scans.
    ScannerChoice, "auto, kast or builtin" {
        /// KAST if it is found, otherwise the built-in scanner.
        Auto = "auto",
        /// KAST only.
        Kast = "kast",
        /// The built-in scanner.
        Builtin = "builtin",
    }
}

choice! {
    /// The format of log lines.
    LogFormat, "auto, text or json" {
        /// Text on a terminal, otherwise JSON.
        Auto = "auto",
        /// Text for people.
        Text = "text",
        /// JSON for machines.
        Json = "json",
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;
    use crate::config::BasePath;

    /// Parses `text`, and parses again what is written.
    fn read<T: Setting + PartialEq + Debug>(text: &str) -> Option<T> {
        let value = T::from_text(text)?;
        assert_eq!(T::from_toml(&value.to_toml()).as_ref(), Some(&value), "{text}");
        Some(value)
    }

    #[test]
    fn every_value_type_parses_what_it_writes() {
        assert_eq!(read("localhost:80"), Some(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert_eq!(read::<SocketAddr>("example.com:80"), None);
        assert_eq!(read::<SocketAddr>("5000"), None);
        assert_eq!(read("Yes"), Some(true));
        assert_eq!(read::<bool>("maybe"), None);
        assert_eq!(read("7"), Some(7_u32));
        assert_eq!(read::<u32>("-7"), None);
        assert_eq!(read("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(read("14400"), Some(Duration::from_secs(14400)));
        for bad in ["-1", "NaN", "inf", "1e300", "5s", ""] {
            assert_eq!(read::<Duration>(bad), None, "{bad}");
        }
        assert_eq!(read("a, b,,c"), Some(vec!["a".to_owned(), "b".into(), "c".into()]));
        assert_eq!(read::<Option<PathBuf>>(""), Some(None));
        assert_eq!(read::<PathBuf>(""), None);
        assert!(read::<RedisPrefix>("team-a_1.x").is_some());
        for bad in ["", "a b", "{x}", "ü", &"x".repeat(49)] {
            assert_eq!(read::<RedisPrefix>(bad), None, "{bad}");
        }
        assert_eq!(read::<Option<SecretUrl>>("no url"), None);
        assert!(read::<Option<SecretUrl>>("ws://db:8000").is_some());
        assert_eq!(read::<ScopeRules>("example.com, 10.0.0.0/8").map(|rules| rules.rules().len()), Some(2));
        assert_eq!(read::<ScopeRules>("10.0.0.0/99"), None);
        assert_eq!(
            read::<SettingPatterns>("zap.*, whatweb.timeout, *").map(|patterns| patterns.patterns().len()),
            Some(3)
        );
        assert_eq!(read::<SettingPatterns>("zap"), None);
        assert_eq!(read::<ProxyRules>("127.0.0.1, 2001:db8::/32").map(|rules| rules.rules().len()), Some(2));
        assert_eq!(read::<ProxyRules>("proxy.example"), None);
        assert_eq!(read("/kastrel/").map(|base: BasePath| base.to_string()), Some("/kastrel".to_owned()));
        assert_eq!(read::<VariableNames>("API_KEY=secret"), None);
        assert_eq!(
            read::<VariableNames>("API_KEY").map(|names| names.names().to_vec()),
            Some(vec!["API_KEY".to_owned()])
        );
        for choice in ScannerChoice::ALL {
            assert_eq!(read(choice.as_str()), Some(*choice));
        }
        for choice in LogFormat::ALL {
            assert_eq!(read(choice.as_str()), Some(*choice));
        }
    }

    #[test]
    fn trace_url_is_an_http_url_with_a_placeholder() {
        let url = read::<TraceUrl>("https://jaeger.example/trace/{trace_id}?x=1").unwrap();
        assert_eq!(url.of("4bf9"), "https://jaeger.example/trace/4bf9?x=1");
        for bad in [
            "",
            "{trace_id}",
            "http://jaeger/trace",
            "javascript:alert('{trace_id}')",
            "http://u:p@jaeger/{trace_id}",
            "http://jaeger/ {trace_id}",
        ] {
            assert!(read::<TraceUrl>(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn log_levels_that_would_silence_everything_are_refused() {
        for good in ["info", "INFO", "off", "info,kastrel=debug", "kastrel_actors::scan=trace"] {
            assert!(read::<LogLevel>(good).is_some(), "{good}");
        }
        for bad in ["", "verbose", "infos", "info,loud", "kastrel=loud"] {
            assert!(read::<LogLevel>(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn toml_values_must_have_the_right_type() {
        assert_eq!(u32::from_toml(&"7".into()), None);
        assert_eq!(bool::from_toml(&"true".into()), None);
        assert_eq!(String::from_toml(&Value::Integer(7)), None);
        assert_eq!(Vec::<String>::from_toml(&"a,b".into()), None);
        assert_eq!(Vec::<String>::from_toml(&Value::Array(vec![Value::Integer(1)])), None);
    }
}
