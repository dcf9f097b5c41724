//! The address under which browsers reach the server.

use toml::Value;
use url::Url;

use super::base_path::BasePath;
use super::values::Setting;

/// The address under which browsers reach the server, such as `https://scans.example.com` or
/// `https://tools.example.com/kastrel`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// The address without a path.
    origin: Url,
    base: BasePath,
}

impl PublicUrl {
    /// Parses an http or https address without credentials, query and fragment. Its path, if it has
    /// one, is a base path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The parser of URLs drops blanks and control characters.
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let mut origin = Url::parse(text).ok()?;
        let is_web = matches!(origin.scheme(), "http" | "https") && origin.has_host();
        let is_plain = origin.username().is_empty()
            && origin.password().is_none()
            && origin.query().is_none()
            && origin.fragment().is_none();
        let base = BasePath::parse(origin.path())?;
        origin.set_path("");
        (is_web && is_plain).then_some(Self { origin, base })
    }

    /// Returns the origin of the pages for browsers, such as `https://scans.example.com`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.origin.origin().ascii_serialization()
    }

    /// Returns the host: a name in its ASCII form, or an IP address as it is written in a URL.
    #[must_use]
    pub fn host(&self) -> &str {
        self.origin.host_str().unwrap_or_default()
    }

    /// Returns true for an https address.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.origin.scheme() == "https"
    }

    /// Returns the base path.
    #[must_use]
    pub const fn base_path(&self) -> &BasePath {
        &self.base
    }

    /// Returns the address of a page: `path` begins with a slash, and has no base path.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl std::fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.origin(), self.base)
    }
}

impl Setting for PublicUrl {
    const EXPECTED: &'static str = "an http or https address without credentials, query and fragment, such as https://scans.example.com or https://tools.example.com/kastrel";

    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn to_toml(&self) -> Value {
        self.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_an_origin_a_host_and_a_base_path() {
        for (text, shown, host, base) in [
            ("https://scans.example.com", "https://scans.example.com", "scans.example.com", ""),
            ("https://Scans.Example.com:443/", "https://scans.example.com", "scans.example.com", ""),
            ("http://[::1]:5000", "http://[::1]:5000", "[::1]", ""),
            (
                "https://bücher.example/kastrel/",
                "https://xn--bcher-kva.example/kastrel",
                "xn--bcher-kva.example",
                "/kastrel",
            ),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), url.host(), url.base_path().as_str()), (shown, host, base), "{text}");
            assert_eq!(url.page("/login"), format!("{shown}/login"));
            assert_eq!(url.is_https(), text.starts_with("https"));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "scans.example.com",
            "ftp://scans.example.com",
            "javascript:alert(1)",
            "https://",
            "https://ana@scans.example.com",
            "https://:x@scans.example.com",
            "https://scans.example.com?x",
            "https://scans.example.com/#x",
            "https://scans.example.com/a b",
            " https://scans.example.com",
            "https://scans.example.com/api",
        ] {
            assert_eq!(PublicUrl::parse(text), None, "{text}");
        }
    }
}
