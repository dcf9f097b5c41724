//! Single texts that have a syntax of their own.

use std::fmt;

use toml::Value;

use super::setting::Setting;

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

#[cfg(test)]
mod tests {
    use super::super::setting::testing::read;
    use super::*;

    #[test]
    fn redis_prefix_is_a_short_plain_word() {
        assert!(read::<RedisPrefix>("team-a_1.x").is_some());
        for bad in ["", "a b", "{x}", "ü", &"x".repeat(49)] {
            assert_eq!(read::<RedisPrefix>(bad), None, "{bad}");
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
}
