//! The address that identifies an identity provider.

use toml::Value;
use url::{Host, Url};

use super::values::Setting;

/// The issuer of an identity provider, such as `https://login.example.com/realms/team`, as it is
/// written: providers compare it byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Parses an https address without credentials, query and fragment. An http address must be a
    /// loopback one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The parser of URLs drops blanks and control characters.
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let is_loopback = match url.host()? {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let is_allowed = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
        let is_plain =
            url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        (is_allowed && is_plain).then(|| Self(text.to_owned()))
    }

    /// Returns the address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the host, for people.
    #[must_use]
    pub fn host(&self) -> String {
        Url::parse(&self.0).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl Setting for Issuer {
    const EXPECTED: &'static str = "an https address without credentials, query and fragment, such as https://login.example.com/realms/team; http only for a loopback address";

    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn to_toml(&self) -> Value {
        self.0.clone().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuer_is_an_https_address_or_a_loopback_one() {
        for (text, host) in [
            ("https://login.example.com", "login.example.com"),
            ("https://login.example.com/realms/Team/", "login.example.com"),
            ("https://login.microsoftonline.com/0f3a/v2.0", "login.microsoftonline.com"),
            ("http://127.0.0.1:4000", "127.0.0.1"),
            ("http://localhost:4000/x", "localhost"),
            ("http://[::1]:4000", "[::1]"),
        ] {
            let issuer = Issuer::parse(text).unwrap();
            assert_eq!((issuer.as_str(), issuer.host().as_str()), (text, host));
        }
        for text in [
            "",
            "login.example.com",
            "http://login.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "https://ana:x@login.example.com",
            "https://login.example.com?x",
            "https://login.example.com/#x",
            "https://login.example.com/a b",
            "ftp://127.0.0.1",
        ] {
            assert_eq!(Issuer::parse(text), None, "{text}");
        }
    }
}
