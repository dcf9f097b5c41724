//! Parses the target: a host, a host with a port, or an http(s) URL. It also decides which
//! addresses belong to the target.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// The reason why a text is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The text is empty.
    #[error("the target is empty")]
    Empty,
    /// Some program would read the text as an option.
    #[error("the target cannot start with `-`")]
    LeadingDash,
    /// The text contains a character that is not allowed in a host or URL.
    #[error("the target holds a character that is not allowed: {0:?}")]
    Character(char),
    /// The scheme is not http or https.
    #[error("the target's scheme is not http or https")]
    Scheme,
    /// The text has a query or a fragment, which does not apply to a scan of a site.
    #[error("the target has a query or a fragment; give a host or the address of a page without one")]
    Query,
    /// The text has a path but no scheme.
    #[error("the target has a path but no scheme; write it as https://host/path")]
    PathWithoutScheme,
    /// The host or port cannot be parsed.
    #[error("the target is not a host, host:port or http(s) URL: {0}")]
    Malformed(String),
}

/// The two schemes of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// Returns the default port of the scheme (RFC 9110, 4.2).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Returns the scheme as in a URL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A parsed target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    text: String,
    host: Host<String>,
    port: Option<u16>,
    scheme: Option<Scheme>,
    path: String,
}

impl Target {
    /// Parses `host`, `host:port`, `[v6]:port` or `http(s)://host[:port][/path]`.
    ///
    /// # Errors
    /// Returns a [`TargetError`] with the reason for any other text.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.is_empty() {
            return Err(TargetError::Empty);
        }
        if text.starts_with('-') {
            return Err(TargetError::LeadingDash);
        }
        if let Some(bad) = text
            .chars()
            .find(|c| c.is_whitespace() || c.is_control() || matches!(c, '@' | '\\' | '<' | '>' | '"' | '`'))
        {
            return Err(TargetError::Character(bad));
        }
        if text.contains(['?', '#']) {
            return Err(TargetError::Query);
        }
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = if lower.starts_with("http://") {
            (Some(Scheme::Http), &text[7..])
        } else if lower.starts_with("https://") {
            (Some(Scheme::Https), &text[8..])
        } else if text.contains("://") {
            return Err(TargetError::Scheme);
        } else {
            (None, text)
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, "/"),
        };
        if scheme.is_none() && rest.contains('/') {
            return Err(TargetError::PathWithoutScheme);
        }
        // A path may contain these characters. In a host, `Url` would decode the percent sign and
        // accept the apostrophe as a letter.
        if let Some(bad) = authority.chars().find(|c| matches!(c, '%' | '\'')) {
            return Err(TargetError::Character(bad));
        }
        // `Url` would take the first path segment as the host.
        if authority.is_empty() {
            return Err(TargetError::Malformed("there is no host".to_owned()));
        }
        // A bare IPv6 address is accepted without brackets, because it has only one meaning.
        let bracketed = match authority.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => authority.to_owned(),
        };
        let port = written_port(&bracketed)?;
        let url = Url::parse(&format!("http://{bracketed}{path}"))
            .map_err(|error| TargetError::Malformed(error.to_string()))?;
        let host = url.host().ok_or(TargetError::Empty)?.to_owned();
        Ok(Self { text: text.to_owned(), host, port, scheme, path: url.path().to_owned() })
    }

    /// Returns the target as given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the normalised host.
    #[must_use]
    pub const fn host(&self) -> &Host<String> {
        &self.host
    }

    /// Returns the address if the host is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// Returns the addresses to try, in order: the given scheme, or HTTPS before HTTP.
    #[must_use]
    pub fn candidates(&self) -> Vec<Url> {
        let schemes: &[Scheme] = match self.scheme {
            Some(Scheme::Http) => &[Scheme::Http],
            Some(Scheme::Https) => &[Scheme::Https],
            None => &[Scheme::Https, Scheme::Http],
        };
        schemes.iter().filter_map(|scheme| self.url(*scheme, self.port.unwrap_or(scheme.default_port()))).collect()
    }

    /// Returns the port for TLS.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.port.unwrap_or(Scheme::Https.default_port())
    }

    /// Returns the plain HTTP address whose redirect to HTTPS may be checked. It exists only for a
    /// bare host, because any other target fixes the port or the scheme.
    #[must_use]
    pub fn plain_sibling(&self) -> Option<Url> {
        if self.port.is_none() && self.scheme.is_none() { self.url(Scheme::Http, 80) } else { None }
    }

    /// Returns true if the scan may send a request to `url`: it has this host and a port of the
    /// target.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        let same_host = url.host().is_some_and(|host| host.to_owned() == self.host);
        let port = url.port_or_known_default();
        same_host
            && match (self.port, self.scheme) {
                (Some(only), _) => port == Some(only) && matches!(url.scheme(), "http" | "https"),
                (None, Some(Scheme::Https)) => url.scheme() == "https" && port == Some(443),
                (None, _) => matches!((url.scheme(), port), ("https", Some(443)) | ("http", Some(80))),
            }
    }

    fn url(&self, scheme: Scheme, port: u16) -> Option<Url> {
        Url::parse(&format!("{}://{}:{port}{}", scheme.name(), self.host, self.path)).ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the port as written. `Url` drops the default port of a scheme, but here `host:80`
/// differs from `host`.
fn written_port(authority: &str) -> Result<Option<u16>, TargetError> {
    let after_host = match authority.rfind(']') {
        Some(end) => &authority[end + 1..],
        None => authority.find(':').map_or("", |at| &authority[at..]),
    };
    match after_host.strip_prefix(':') {
        None if after_host.is_empty() => Ok(None),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse::<u16>() {
            Ok(port) if port > 0 => Ok(Some(port)),
            _ => Err(TargetError::Malformed(format!("`{digits}` is no port"))),
        },
        _ => Err(TargetError::Malformed("the port is no number".to_owned())),
    }
}

/// Returns true if a lower-case host is the visitor's own machine. Browsers trust it over plain
/// HTTP (Secure Contexts, 3.1).
#[must_use]
pub fn is_local(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    name == "localhost"
        || name.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The action for a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Redirect {
    /// The redirect stays on the same host and port, or is the upgrade from http to https on the
    /// default ports.
    Follow(Url),
    /// The redirect leaves the target. It is reported and never followed.
    Leaves(String),
    /// The location cannot be parsed as an address.
    Unreadable(String),
}

/// Decides on the `Location` of a redirect from `from`.
pub fn judge_redirect(from: &Url, location: &str) -> Redirect {
    let Ok(to) = from.join(location) else {
        return Redirect::Unreadable(location.to_owned());
    };
    let same_host = from.host() == to.host();
    let same_port = from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default();
    let ports = (from.port_or_known_default(), to.port_or_known_default());
    let upgrade =
        from.scheme() == "http" && to.scheme() == "https" && (ports == (Some(80), Some(443)) || ports.0 == ports.1);
    let no_login = to.username().is_empty() && to.password().is_none();
    if same_host && (same_port || upgrade) && no_login {
        Redirect::Follow(to)
    } else {
        Redirect::Leaves(to.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(text: &str) -> Vec<String> {
        Target::parse(text).unwrap().candidates().iter().map(Url::to_string).collect()
    }

    #[test]
    fn target_forms_are_parsed() {
        assert_eq!(candidates("example.com"), ["https://example.com/", "http://example.com/"]);
        assert_eq!(candidates("Example.COM:8080"), ["https://example.com:8080/", "http://example.com:8080/"]);
        assert_eq!(candidates("http://example.com"), ["http://example.com/"]);
        assert_eq!(candidates("HTTPS://example.com:8443/a/b"), ["https://example.com:8443/a/b"]);
        assert_eq!(candidates("[::1]:8080"), ["https://[::1]:8080/", "http://[::1]:8080/"]);
        assert_eq!(candidates("::1"), ["https://[::1]/", "http://[::1]/"]);
        assert_eq!(candidates("example.com:80"), ["https://example.com:80/", "http://example.com/"]);
    }

    #[test]
    fn invalid_targets_are_refused() {
        for text in [
            "",
            "-t",
            "--",
            "-example.com",
            "a b",
            "a\tb",
            "user@example.com",
            "ftp://example.com",
            "example.com?x=1",
            "http://example.com/#a",
            "example.com/path",
            "example.com:0",
            "example.com:99999",
            "example.com:",
            "example.com:http",
            "http://",
            "[::1",
            "exa\\mple.com",
            "http:///x",
            "ex%61mple.com",
            "http://ex%61mple.com/",
            "http://exa'mple.com/x",
            "http://example.com%2fx/",
            "[fe80::1%25eth0]:80",
            "http://example.com/<b>",
            "http://user@example.com/",
        ] {
            assert!(Target::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn scanner_accepts_every_target_that_kastrel_accepts() {
        let signs = "/a-._~!$&'()*+,;=:b";
        let mut texts: Vec<String> = [
            "example.com",
            "Example.COM.",
            "example.com:8443/",
            "127.0.0.1:80",
            "[::1]/",
            "::1",
            "::ffff:127.0.0.1",
            "[0:0:0:0:0:0:0:1]:8080",
            "http:80",
            "localhost",
            "_dmarc.example.com",
            "ab--c.example",
            "1.2.3.example",
            "0x7f.example",
            "10.0.0.1-5.example",
            "bücher.example",
            "https://bücher.example:444/a",
            "пример.испытание",
            "http://10.0.0.1/24/x",
            "HTTPS://example.com:444/app/login",
            "https://example.com/app/",
            "https://example.com/a;b=1/..c",
            "http://127.0.0.1:8080/%E4%BE%8B",
            "http://127.0.0.1:8080/a'b",
            "http://[::1]:8080/100%25/it's",
            "http://example.com/%zz%",
            "http://example.com/%00%0d%0a",
            "http://example.com/%252e%252e/x",
            "http://example.com/%3Cscript%3E",
        ]
        .map(str::to_owned)
        .to_vec();
        texts.push(format!("https://example.com{signs}"));
        texts.extend(signs.chars().chain(['%']).map(|sign| format!("http://example.com/x{sign}y")));
        for text in texts {
            let theirs: kastrel_actors::model::Target = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            let shown = theirs.to_string();
            let ours = Target::parse(&shown).unwrap_or_else(|error| panic!("{shown}: {error}"));
            let host = match theirs.host() {
                kastrel_actors::model::Host::Name(name) => Host::Domain(name.clone()),
                kastrel_actors::model::Host::V4(address) => Host::Ipv4(*address),
                kastrel_actors::model::Host::V6(address) => Host::Ipv6(*address),
            };
            assert_eq!((ours.host(), ours.port), (&host, theirs.port()), "{shown}");
            // The path is requested as written.
            let written =
                shown.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("/");
            assert!(ours.candidates().iter().all(|url| url.path() == written), "{shown}: {:?}", ours.candidates());
        }
    }

    #[test]
    fn local_hosts_are_recognised() {
        for host in ["localhost", "localhost.", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["", "localhost.example", "notlocalhost", "128.0.0.1", "[::2]", "10.0.0.1"] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn target_allows_one_host_and_its_port() {
        let cases = [
            ("example.com", "https://example.com/x", true),
            ("example.com", "http://example.com/", true),
            ("example.com", "https://example.com:8443/", false),
            ("example.com", "https://www.example.com/", false),
            ("example.com", "https://example.com.evil.test/", false),
            ("https://example.com", "http://example.com/", false),
            ("http://example.com", "https://example.com/", true),
            ("example.com:8080", "http://example.com:8080/x", true),
            ("example.com:8080", "http://example.com/", false),
            ("127.0.0.1:8080", "http://127.0.0.2:8080/", false),
        ];
        for (target, url, allowed) in cases {
            assert_eq!(Target::parse(target).unwrap().allows(&Url::parse(url).unwrap()), allowed, "{target} {url}");
        }
    }

    #[test]
    fn redirects_stay_on_the_host() {
        let cases = [
            ("http://a.test/", "/login", true),
            ("http://a.test/", "https://a.test/", true),
            ("https://a.test/", "http://a.test/", false),
            ("https://a.test/", "https://b.test/", false),
            ("https://a.test/", "//b.test/", false),
            ("http://a.test:8080/", "http://a.test/", false),
            ("http://a.test:8080/", "https://a.test:8080/", true),
            ("http://a.test:8080/", "https://a.test:8443/", false),
            ("https://a.test/", "https://user:pw@a.test/", false),
            ("https://a.test/", "javascript:alert(1)", false),
        ];
        for (from, location, follow) in cases {
            let verdict = judge_redirect(&Url::parse(from).unwrap(), location);
            assert_eq!(matches!(verdict, Redirect::Follow(_)), follow, "{from} {location} {verdict:?}");
        }
    }
}
