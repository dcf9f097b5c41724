//! What a scan is aimed at: a typed host with optional port, or an http(s) URL of one, never free text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest target text, in characters: the longest DNS name (RFC 1035, 253) with scheme, port and a short path.
const MAX_LENGTH: usize = 280;
/// The longest DNS name, in characters (RFC 1035, section 2.3.4, without the root's dot).
const MAX_NAME_LENGTH: usize = 253;

/// A host in one of its three forms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name in lower-case ASCII (IDNA names in their `xn--` form).
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl Host {
    /// The address, where the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some((*address).into()),
            Self::V6(address) => Some((*address).into()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// The two schemes a target may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is named.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A parsed target. Its `Display` form is what a scanner gets; it never starts with `-` and holds no white space.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    scheme: Option<Scheme>,
    host: Host,
    port: Option<u16>,
    /// With its leading `/`; empty unless the target was a URL with a path.
    path: String,
}

/// Why a text is no target. Each completes "the target …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// Longer than any host name.
    #[error("is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// It would be read as an option by the tools that get it.
    #[error("starts with `-`")]
    LeadingDash,
    /// White space or control characters.
    #[error("contains white space or control characters")]
    Blank,
    /// User names and passwords do not belong in a target.
    #[error("contains `@`; a user name or password cannot be part of a target")]
    Credentials,
    /// Some other scheme.
    #[error("has the scheme `{0}`; only http and https are scanned")]
    Scheme(String),
    /// No host in the three forms.
    #[error("names no valid host: expected a name, an IPv4 address or an IPv6 address in brackets")]
    Host,
    /// No port number.
    #[error("has an invalid port; expected 1 to 65535")]
    Port,
    /// A path that tools could misread.
    #[error("has a path, query or fragment that is not supported; give the host, or a URL with a plain path")]
    Path,
}

impl Target {
    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, where one was given.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The scheme, where one was given.
    #[must_use]
    pub const fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// The target as a folder name: letters, digits, `.`, `-` and `_` only, at most 100 characters, never empty and never starting with `.` or `-`.
    #[must_use]
    pub fn folder_name(&self) -> String {
        let mut name: String =
            self.host.to_string().chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' }).take(90).collect();
        if let Some(port) = self.port {
            name.push('_');
            name.push_str(&port.to_string());
        }
        if name.starts_with(['.', '-']) { format!("_{name}") } else { name }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}://", scheme.as_str())?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        refuse_hostile_text(text)?;
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(parse_scheme(scheme)?), rest),
            None => (None, text),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if scheme.is_none() && !path.is_empty() {
            return Err(TargetError::Path);
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
        if !path.chars().all(plain) {
            return Err(TargetError::Path);
        }
        let (host, port) = match authority.parse() {
            // A bare IPv6 address can have no port, so it needs no brackets to be understood.
            Ok(address) => (Host::V6(address), None),
            Err(_) => split_port(authority).and_then(|(host, port)| Ok((parse_host(host)?, port)))?,
        };
        Ok(Self { scheme, host, port, path: if path == "/" { String::new() } else { path.to_owned() } })
    }
}

fn refuse_hostile_text(text: &str) -> Result<(), TargetError> {
    if text.is_empty() {
        return Err(TargetError::Empty);
    }
    if text.starts_with('-') {
        return Err(TargetError::LeadingDash);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(TargetError::Blank);
    }
    if text.contains('@') {
        return Err(TargetError::Credentials);
    }
    if text.chars().count() > MAX_LENGTH {
        return Err(TargetError::TooLong);
    }
    Ok(())
}

fn parse_scheme(text: &str) -> Result<Scheme, TargetError> {
    match text.to_ascii_lowercase().as_str() {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err(TargetError::Scheme(text.chars().take(20).collect())),
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), TargetError> {
    let (host, port) = match authority.rfind(']') {
        Some(end) => {
            let (host, rest) = authority.split_at(end + 1);
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(TargetError::Host),
            }
        }
        None if authority.starts_with('[') => return Err(TargetError::Host),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let Some(port) = port else { return Ok((host, None)) };
    // `parse` would also take a leading `+`.
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TargetError::Port);
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(TargetError::Port),
        Ok(port) => Ok((host, Some(port))),
    }
}

fn parse_host(text: &str) -> Result<Host, TargetError> {
    if text.contains('%') {
        return Err(TargetError::Host);
    }
    // The URL standard's host parser: it also reads the odd forms of IPv4 (`0x7f.1`, `2130706433`), so that the scope
    // policy sees the address that a tool would connect to, and not a harmless looking name.
    match url::Host::parse(text).map_err(|_| TargetError::Host)? {
        url::Host::Ipv4(address) => Ok(Host::V4(address)),
        url::Host::Ipv6(address) => Ok(Host::V6(address)),
        url::Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(&name).to_ascii_lowercase();
            let valid_label = |label: &str| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            };
            if name.len() <= MAX_NAME_LENGTH && name.split('.').all(valid_label) { Ok(Host::Name(name)) } else { Err(TargetError::Host) }
        }
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_hosts_with_ports_and_urls() {
        for (given, shown) in [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("example.com:8443", "example.com:8443"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("2130706433", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("[::1]:8080", "[::1]:8080"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("http://example.com", "http://example.com"),
            ("HTTPS://example.com:444/app/login", "https://example.com:444/app/login"),
            ("https://example.com/", "https://example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("::1", "[::1]"),
        ] {
            let target: Target = given.parse().unwrap_or_else(|error| panic!("{given}: {error}"));
            assert_eq!(target.to_string(), shown, "{given}");
            assert_eq!(shown.parse::<Target>().as_ref(), Ok(&target), "the shown form is read back");
        }
    }

    #[test]
    fn refuses_what_could_be_misread() {
        use TargetError as E;
        let long = "a".repeat(300);
        for (given, expected) in [
            ("", E::Empty),
            ("-oX", E::LeadingDash),
            ("--plugins=/tmp/x", E::LeadingDash),
            ("a b", E::Blank),
            ("a\tb", E::Blank),
            ("a\u{a0}b", E::Blank),
            ("a\u{0}b", E::Blank),
            ("a\u{1b}[31m", E::Blank),
            ("http://u:p@h/", E::Credentials),
            ("user@example.com", E::Credentials),
            (long.as_str(), E::TooLong),
            ("ftp://example.com", E::Scheme("ftp".into())),
            ("file:///etc/passwd", E::Scheme("file".into())),
            ("http://", E::Host),
            ("http://-oX", E::Host),
            ("exa$mple.com", E::Host),
            ("a..b", E::Host),
            ("a:b:80", E::Port),
            ("[::1", E::Host),
            ("ex%41mple.com", E::Host),
            ("example.com:0", E::Port),
            ("example.com:65536", E::Port),
            ("example.com:+80", E::Port),
            ("example.com:", E::Port),
            ("example.com/path", E::Path),
            ("http://example.com/?q=1", E::Path),
            ("http://example.com/#x", E::Path),
            ("http://example.com/`id`", E::Path),
        ] {
            assert_eq!(given.parse::<Target>(), Err(expected), "{given:?}");
        }
    }

    #[test]
    fn folder_names_stay_in_their_folder() {
        assert_eq!("[::1]:80".parse::<Target>().unwrap().folder_name(), "___1__80");
        assert_eq!("https://example.com:444/a/../b".parse::<Target>().unwrap().folder_name(), "example.com_444");
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_safe_to_pass_on(text in "\\PC{0,40}") {
            if let Ok(target) = text.parse::<Target>() {
                let shown = target.to_string();
                prop_assert!(!shown.starts_with('-'));
                prop_assert!(!shown.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@'));
                prop_assert_eq!(shown.parse::<Target>(), Ok(target.clone()));
                let folder = target.folder_name();
                prop_assert!(!folder.contains('/') && !folder.starts_with('.') && !folder.is_empty() && folder.len() <= 100);
            }
        }
    }
}
