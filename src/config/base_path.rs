//! The path that the dashboard and the API are under, where a proxy does not give them a host name
//! of their own.

use std::fmt;
use std::sync::Arc;

use toml::Value;

use super::values::Setting;

/// The longest.
const MOST: usize = 200;

/// `/kastrel`, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(Arc<str>);

impl BasePath {
    /// Reads a path such as `/kastrel` or `/tools/kastrel/`; `/` and an empty text are none.
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

    /// As it stands before a path of ours; empty where there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// A path without it; a path that is not under it stays as it is: a proxy may have taken it
    /// off, and commands of this machine do not use it.
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

/// What our own paths begin with. A base path of such a name would make two paths of one.
const OWN: &[&str] = &[
    "api",
    "assets",
    "livez",
    "metrics",
    "new",
    "queue",
    "readyz",
    "scans",
    "settings",
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
    fn a_base_path_is_a_plain_path_that_is_none_of_ours() {
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
