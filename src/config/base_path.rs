//! The base path of the dashboard and the API, for a proxy that serves them below a path and not
//! under a host name of their own.

use std::fmt;
use std::sync::Arc;

use toml::Value;

use super::values::Setting;

/// The maximum length of a base path, in bytes.
const MOST: usize = 200;

/// A base path such as `/kastrel`, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(Arc<str>);

impl BasePath {
    /// Parses a path such as `/kastrel` or `/tools/kastrel/`; `/` and an empty text mean no base
    /// path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() {
            return Some(Self::default());
        }
        let is_part = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~'))
        };
        let mut parts = text.strip_prefix('/')?.split('/');
        let is_ours = |part: &str| OWN.contains(&part);
        let is_path = text.len() <= MOST && parts.clone().all(is_part) && !parts.next().is_some_and(is_ours);
        is_path.then(|| Self(text.into()))
    }

    /// Returns the prefix of our paths; empty without a base path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes the base path from a path. A path without it is not changed: a proxy may have
    /// removed it, and commands on this machine do not use it.
    pub(crate) fn off<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(self.as_str()) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first segments of our own paths. A base path with such a name would be ambiguous.
const OWN: &[&str] = &[
    "accounts",
    "api",
    "assets",
    "audit",
    "confirm-mail",
    "device",
    "forgot-password",
    "livez",
    "login",
    "logout",
    "metrics",
    "new",
    "profile",
    "projects",
    "queue",
    "readyz",
    "scans",
    "set-password",
    "settings",
    "setup",
    "shared",
    "shared-with-me",
    "supervision",
    "theme",
    "zone",
];

impl Setting for BasePath {
    const EXPECTED: &'static str = "a path such as /kastrel, of letters, digits and -._~, that does not begin as a path of Kastrel's own (/api, /scans)";

    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn to_toml(&self) -> Value {
        self.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_path_is_a_plain_path_without_our_own_names() {
        for (text, path) in [
            ("", ""),
            ("/", ""),
            ("/kastrel", "/kastrel"),
            ("/kastrel/", "/kastrel"),
            ("/tools/Kast-rel_2.0~x", "/tools/Kast-rel_2.0~x"),
        ] {
            assert_eq!(BasePath::parse(text).unwrap().as_str(), path);
        }
        for wrong in [
            "kastrel",
            "//evil.example",
            "/a//b",
            "/a/../b",
            "/.",
            "/a b",
            "/ü",
            "/a\"",
            "/a?b",
            "/a%2fb",
            "/api",
            "/scans/x",
            "https://a/b",
            &"/x".repeat(101),
        ] {
            assert_eq!(BasePath::parse(wrong), None, "{wrong}");
        }
    }
}
