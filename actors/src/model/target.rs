//! The target of a scan: a typed host with optional port, or an http(s) URL of one. Never free
//! text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest target text, in characters: the longest DNS name (RFC 1035, 253) with scheme, port
/// and a short path.
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
    /// Returns the address, if the host is one.
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

/// The two schemes that a target may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// Returns the scheme as written in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns the default port of the scheme.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A parsed target. Its `Display` form is passed to a scanner; it never starts with `-` and
/// contains no white space.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    scheme: Option<Scheme>,
    host: Host,
    port: Option<u16>,
    /// With its leading `/`; empty unless the target was a URL with a path.
    path: String,
}

/// The reason why a text is not a valid target. Each text completes "the target …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The text is empty.
    #[error("is empty; enter a host, host:port or URL")]
    Empty,
    /// Longer than any host name.
    #[error("is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// The tools that get the target would read it as an option.
    #[error("cannot start with `-`")]
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
    /// A scheme without its slashes.
    #[error("has a scheme without `//`; write `http://` or `https://` in front of the host")]
    Slashes,
    /// No host in one of the three forms.
    #[error("has no valid host: expected a name, an IPv4 address or an IPv6 address in brackets")]
    Host,
    /// Several colons, but no IPv6 address.
    #[error("is not a valid IPv6 address")]
    Ipv6,
    /// An IPv6 zone, which names a network interface.
    #[error("has an IPv6 zone (`%`); zones are not supported")]
    Zone,
    /// More than one address or port.
    #[error("is a range of addresses or ports; ranges are not supported: give one address for each scan")]
    Range,
    /// Brackets around an IPv4 address or a name: `[127.0.0.1]`.
    #[error("has brackets, which belong around IPv6 addresses only; remove them")]
    Brackets,
    /// More than one name.
    #[error("contains `*`; patterns are not supported: give one host for each scan")]
    Pattern,
    /// More than one target.
    #[error("contains `,`; give one target for each scan")]
    Several,
    /// Some programs read `010` as 8, others as 10.
    #[error("has a number with leading zeros, which other programs read as octal; write each number without them")]
    LeadingZeros,
    /// A hexadecimal number: `0x7f.0.0.1`.
    #[error(
        "has a hexadecimal number, which other programs read differently; write four decimal numbers, such as 192.168.1.10"
    )]
    Hexadecimal,
    /// A single number: `2130706433`.
    #[error(
        "is a single number, which other programs read as an IPv4 address; write four numbers, such as 192.168.1.10"
    )]
    SingleNumber,
    /// Fewer than four numbers: some programs read `127.1` as 127.0.0.1.
    #[error("ends like an IPv4 address but is not four numbers, such as 192.168.1.10")]
    NotFourNumbers,
    /// A number above 255: `1.2.3.256`.
    #[error("has a number above 255, so it is not an IPv4 address")]
    NumberTooLarge,
    /// A dot after the address: `127.0.0.1.`
    #[error("is an IPv4 address with a dot at its end; remove the dot")]
    DotAfterAddress,
    /// Characters that are mapped to others, such as full-width digits. Holds the mapped text.
    #[error("contains characters that other programs read differently; write `{0}`")]
    Lookalike(String),
    /// Not a valid port number.
    #[error("has an invalid port; expected 1 to 65535, without leading zeros")]
    Port,
    /// A path that tools could misread.
    #[error("has a path that is not supported; give the host, or a URL with a plain path")]
    Path,
    /// An empty path segment: `/a//b`.
    #[error("has `//` in its path, which other programs shorten; write the path that is meant")]
    EmptySegment,
    /// An invalid punycode label: `xn--a.example`.
    #[error(
        "has a part that begins with `xn--` but is not a valid internationalised name; write the name as it is spelled"
    )]
    Punycode,
    /// A dot segment: `/a/../b`.
    #[error("has `.` or `..` in its path, which other programs resolve; write the path that is meant")]
    DotSegment,
    /// A query: `?q=1`.
    #[error("has a query (`?`), which is not supported; give the host, or a URL with a plain path")]
    Query,
    /// A fragment: `#top`.
    #[error("has a fragment (`#`), which is not supported; give the host, or a URL with a plain path")]
    Fragment,
}

/// How strictly a text is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Text that a user typed: forms that another program reads differently are refused.
    Typed,
    /// Text from a row of an earlier version, which accepted more texts as names.
    Stored,
}

impl Target {
    /// Checks that the current rules accept the target, whichever version stored it.
    ///
    /// # Errors
    /// The reason why they do not.
    pub fn check(&self) -> Result<(), TargetError> {
        self.to_string().parse::<Self>().map(|_| ())
    }

    /// Returns the host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port, if the target has one.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns the scheme, if the target has one.
    #[must_use]
    pub const fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// Returns the target with its host in Unicode, if that differs: `https://bücher.example` for
    /// `https://xn--bcher-kva.example`.
    #[must_use]
    pub fn unicode(&self) -> Option<String> {
        let Host::Name(name) = &self.host else { return None };
        if !name.contains("xn--") {
            return None;
        }
        let (host, result) = idna::domain_to_unicode(name);
        // Only a form that maps back to the same name, and that contains no character that changes
        // how a line is drawn.
        let is_plain = !host.chars().any(|c| {
            c.is_whitespace()
                || c.is_control()
                || ('\u{200b}'..='\u{200f}').contains(&c)
                || ('\u{202a}'..='\u{202e}').contains(&c)
        });
        let leads_back = idna::domain_to_ascii(&host).is_ok_and(|ascii| ascii == *name);
        (result.is_ok() && is_plain && leads_back && host != *name).then(|| self.written_with(&host))
    }

    /// Returns the displayed form of the target: both forms if it has two, so that neither can be
    /// mistaken for another host.
    #[must_use]
    pub fn label(&self) -> String {
        self.unicode().map_or_else(|| self.to_string(), |unicode| format!("{unicode} ({self})"))
    }

    fn written_with(&self, host: &str) -> String {
        let scheme = self.scheme.map(|scheme| format!("{}://", scheme.as_str())).unwrap_or_default();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}{host}{port}{}", self.path)
    }

    /// Returns the target as a folder name: letters, digits, `.`, `-` and `_` only, at most 100
    /// characters, never empty and never starting with `.` or `-`.
    #[must_use]
    pub fn folder_name(&self) -> String {
        let mut name: String = self
            .host
            .to_string()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' })
            .take(90)
            .collect();
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
        parse(text, Reading::Typed)
    }
}

fn parse(text: &str, reading: Reading) -> Result<Target, TargetError> {
    refuse_hostile_text(text)?;
    if reading == Reading::Typed
        && let Some(plain) = without_typography(text)
    {
        return match parse(&plain, reading) {
            Ok(_) | Err(TargetError::Path) => Err(TargetError::Lookalike(plain)),
            Err(why) => Err(why),
        };
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(parse_scheme(scheme)?), rest),
        None => (None, text),
    };
    if scheme.is_none() && (rest.starts_with("//") || lacks_slashes(rest)) {
        return Err(TargetError::Slashes);
    }
    match rest.find(['?', '#']).map(|at| &rest[at..]) {
        Some(end) if end.starts_with('?') => return Err(TargetError::Query),
        Some(_) => return Err(TargetError::Fragment),
        None => {}
    }
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let is_colons = authority.matches(':').count() > 1;
    if authority.contains('%') && (is_colons || authority.starts_with('[')) {
        return Err(TargetError::Zone);
    }
    if reading == Reading::Typed && is_range_of_numbers(authority) {
        return Err(TargetError::Range);
    }
    // A browser's address bar gives `example.com/`.
    let path = if path == "/" { "" } else { path };
    if scheme.is_none() && !path.is_empty() {
        return Err(if is_range(authority, path) { TargetError::Range } else { TargetError::Path });
    }
    if reading == Reading::Typed && !path.is_empty() && is_range(authority, path) && is_mask(&path[1..]) {
        return Err(TargetError::Range);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
    if !path.chars().all(plain) {
        return Err(TargetError::Path);
    }
    if reading == Reading::Typed {
        refuse_misread_path(path)?;
    }
    let (host, port) = match authority.parse() {
        // A bare IPv6 address cannot have a port, so it is unambiguous without brackets.
        Ok(address) => (Host::V6(address), None),
        Err(_) if is_colons && !authority.contains('[') => return Err(why_no_v6(authority)),
        Err(_) => split_port(authority).and_then(|(host, port)| Ok((parse_host(host, reading)?, port)))?,
    };
    Ok(Target { scheme, host, port, path: path.to_owned() })
}

/// Returns true for `http:example.com` and `http:/example.com`, but not for `http:80`, because a
/// host may have that name.
fn lacks_slashes(text: &str) -> bool {
    let rest = |scheme: &str| {
        text.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(|_| &text[scheme.len()..])
    };
    ["http:", "https:"]
        .into_iter()
        .filter_map(rest)
        .any(|rest| !rest.is_empty() && !rest.bytes().all(|b| b.is_ascii_digit()))
}

/// Refuses path segments that other programs resolve or shorten. This includes encoded separators,
/// and dot segments with parameters, which some servers strip first.
fn refuse_misread_path(path: &str) -> Result<(), TargetError> {
    let decoded =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace("%3b", ";");
    let name = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    if decoded.split('/').any(name) {
        return Err(TargetError::DotSegment);
    }
    // A slash at the end denotes a folder.
    if decoded.contains("//") { Err(TargetError::EmptySegment) } else { Ok(()) }
}

/// Returns true for `24` and `255.255.255.0`, but not for `2024`, which is a path.
fn is_mask(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok() || text.parse::<u8>().is_ok_and(|bits| bits <= 128)
}

/// The characters between the ends of a range, or between its members.
const RANGE_SIGNS: [char; 4] = ['-', '~', '…', ','];

/// Returns the text with plain characters in place of typographic dashes, slashes and tildes, which
/// word processors insert. `None` if the text has none of them.
fn without_typography(text: &str) -> Option<String> {
    let plain = |c: char| match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => '-',
        '\u{2044}' | '\u{2215}' | '\u{ff0f}' => '/',
        '\u{223c}' | '\u{301c}' | '\u{ff5e}' => '~',
        other => other,
    };
    let mapped: String = text.chars().map(plain).collect();
    (mapped != text).then_some(mapped)
}

/// Returns true for `10.0.0.1-5`, `10.0.0.{1,5}`, `10.0.0.[1-5]`, `10.0.0.1~5`,
/// `10.0.0.1..10.0.0.5` and `10.0.0.1:80-90`.
fn is_range_of_numbers(authority: &str) -> bool {
    let of_numbers = authority.chars().all(|c| c.is_ascii_digit() || ".:*[]{}".contains(c) || RANGE_SIGNS.contains(&c));
    let is_several = authority.contains(RANGE_SIGNS)
        || authority.contains(['*', '{'])
        || authority.rfind('[').is_some_and(|at| at > 0);
    let is_address = |text: &str| text.parse::<Ipv4Addr>().is_ok();
    // `10.0.0.x`, a common way to write any number.
    let host = authority.split(':').next().unwrap_or_default();
    let is_any = |part: &str| part.eq_ignore_ascii_case("x");
    let is_number_or_any = |part: &str| is_any(part) || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if host.split('.').count() == 4
        && host.split('.').all(is_number_or_any)
        && host.split('.').any(is_any)
        && !host.split('.').all(is_any)
    {
        return true;
    }
    let is_from_to = || authority.split_once("..").is_some_and(|(from, to)| is_address(from) && is_address(to));
    authority.contains(|c: char| c.is_ascii_digit()) && of_numbers && (is_several || is_from_to())
}

/// Returns the reason why a text with colons or in brackets is not an IPv6 address.
fn why_no_v6(text: &str) -> TargetError {
    if text.contains(RANGE_SIGNS) {
        return TargetError::Range;
    }
    match text.rsplit_once(':') {
        None => TargetError::Brackets,
        // `::ffff:127.0.0.01`
        Some((_, last)) if last.contains('.') => parse_v4(last).err().unwrap_or(TargetError::Ipv6),
        Some(_) => TargetError::Ipv6,
    }
}

/// Returns true for `10.0.0.0/24`, `10.0.0.0:80/24` and `10.0.0.0/255.255.255.0`.
fn is_range(authority: &str, path: &str) -> bool {
    let without_port = authority.rsplit_once(':').filter(|(host, port)| {
        (!host.contains(':') || host.ends_with(']')) && port.bytes().all(|b| b.is_ascii_digit())
    });
    let authority = without_port.map_or(authority, |(host, _)| host);
    let inner = authority.trim_start_matches('[').trim_end_matches(']');
    let is_address =
        inner.parse::<IpAddr>().is_ok() || inner.bytes().all(|b| b.is_ascii_digit() || b".-*".contains(&b));
    let bits = &path[1..];
    is_address && !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
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
    let is_range = |port: &str| {
        port.starts_with(|c: char| c.is_ascii_digit())
            && port.chars().all(|c| c.is_ascii_digit() || RANGE_SIGNS.contains(&c))
    };
    if is_range(port) && port.contains(RANGE_SIGNS) {
        return Err(TargetError::Range);
    }
    // `parse` would also take a leading `+`, and other programs read leading zeros as octal.
    if !port.bytes().all(|b| b.is_ascii_digit()) || port.starts_with('0') {
        return Err(TargetError::Port);
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(TargetError::Port),
        Ok(port) => Ok((host, Some(port))),
    }
}

fn parse_host(text: &str, reading: Reading) -> Result<Host, TargetError> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(TargetError::Host)?;
        return inner.parse().map(Host::V6).map_err(|_| why_no_v6(inner));
    }
    if text.contains('%') {
        return Err(TargetError::Host);
    }
    if reading == Reading::Typed {
        refuse_several(text)?;
        if text.is_ascii() && ends_in_a_number(text) {
            return parse_v4(text).map(Host::V4);
        }
    }
    if reading == Reading::Stored && !ends_in_a_number(text) {
        return valid_name(text);
    }
    // The URL standard's host parser does the IDNA mapping and rejects invalid names.
    let is_punycode = text.to_ascii_lowercase().split('.').any(|label| label.starts_with("xn--"));
    match url::Host::parse(text).map_err(|_| if is_punycode { TargetError::Punycode } else { TargetError::Host })? {
        // Not ASCII: full-width digits, for example.
        url::Host::Ipv4(address) if reading == Reading::Typed => Err(TargetError::Lookalike(address.to_string())),
        url::Host::Ipv4(address) => Ok(Host::V4(address)),
        url::Host::Ipv6(address) => Ok(Host::V6(address)),
        url::Host::Domain(name) => {
            let host = valid_name(&name)?;
            if reading == Reading::Typed && is_lookalike(text, &name) {
                Err(TargetError::Lookalike(host.to_string()))
            } else {
                Ok(host)
            }
        }
    }
}

fn refuse_several(text: &str) -> Result<(), TargetError> {
    let of_numbers = |more: &str| {
        text.contains(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || c == '.' || more.contains(c))
    };
    if !of_numbers("") && of_numbers("-*,") {
        return Err(TargetError::Range);
    }
    if text.contains('*') {
        return Err(TargetError::Pattern);
    }
    if text.contains(',') { Err(TargetError::Several) } else { Ok(()) }
}

/// Returns true if some program reads the text as an IPv4 address, complete or mistyped: its last
/// part is a number (the URL standard's "ends in a number").
fn ends_in_a_number(text: &str) -> bool {
    let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next().unwrap_or_default();
    let is_hexadecimal = last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"))
        && last[2..].bytes().all(|b| b.is_ascii_hexdigit());
    is_hexadecimal || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
}

/// Parses four decimal numbers and nothing else, a form that every program reads the same way.
fn parse_v4(text: &str) -> Result<Ipv4Addr, TargetError> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.last() == Some(&"") {
        return Err(TargetError::DotAfterAddress);
    }
    if parts.iter().any(|part| part.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"))) {
        return Err(TargetError::Hexadecimal);
    }
    if !parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())) {
        return Err(TargetError::NotFourNumbers);
    }
    if parts.iter().any(|part| part.len() > 1 && part.starts_with('0')) {
        return Err(TargetError::LeadingZeros);
    }
    match parts.len() {
        1 => Err(TargetError::SingleNumber),
        4 => text.parse().map_err(|_| TargetError::NumberTooLarge),
        _ => Err(TargetError::NotFourNumbers),
    }
}

fn valid_name(text: &str) -> Result<Host, TargetError> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let valid_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= MAX_NAME_LENGTH && name.split('.').all(valid_label) {
        Ok(Host::Name(name))
    } else {
        Err(TargetError::Host)
    }
}

/// Returns true if non-ASCII characters map to ASCII ones. A program without the same mapping sees
/// another host, or none.
fn is_lookalike(text: &str, name: &str) -> bool {
    if text.is_ascii() {
        return false;
    }
    let (given, read): (Vec<&str>, Vec<&str>) = (text.split('.').collect(), name.split('.').collect());
    given.len() != read.len()
        || given.iter().zip(&read).any(|(given, read)| !given.is_ascii() && !read.starts_with("xn--"))
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    /// Parses a stored target. Earlier versions accepted more texts as host names, and their rows
    /// must stay readable. [`Target::check`] returns whether the target may still be scanned.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().or_else(|error| parse(&text, Reading::Stored).map_err(|_| error))
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
    fn target_accepts_hosts_with_ports_and_urls() {
        for (given, shown) in [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("example.com:8443", "example.com:8443"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("example.com/", "example.com"),
            ("example.com:8443/", "example.com:8443"),
            ("10.0.0.1/", "10.0.0.1"),
            ("[::1]/", "[::1]"),
            ("0.0.0.0", "0.0.0.0"),
            ("1.2.3.example", "1.2.3.example"),
            ("10.0.0.1-5.example", "10.0.0.1-5.example"),
            ("0x7f.example", "0x7f.example"),
            ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]"),
            ("http:80", "http:80"),
            ("[::1]:8080", "[::1]:8080"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("http://example.com", "http://example.com"),
            ("HTTPS://example.com:444/app/login", "https://example.com:444/app/login"),
            ("https://example.com/", "https://example.com"),
            ("https://example.com/app/", "https://example.com/app/"),
            ("https://example.com/a;b=1/..c", "https://example.com/a;b=1/..c"),
            ("http://10.0.0.1/2024", "http://10.0.0.1/2024"),
            ("http://10.0.0.1/24/x", "http://10.0.0.1/24/x"),
            ("http://example.com/24", "http://example.com/24"),
            ("http://10.0.0.1/1.0", "http://10.0.0.1/1.0"),
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
    fn target_refuses_ambiguous_text() {
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
            ("a:b:80", E::Ipv6),
            ("[::1", E::Host),
            ("ex%41mple.com", E::Host),
            ("example.com:0", E::Port),
            ("example.com:65536", E::Port),
            ("example.com:+80", E::Port),
            ("example.com:", E::Port),
            ("example.com:080", E::Port),
            ("example.com/path", E::Path),
            ("example.com//", E::Path),
            ("http://example.com/?q=1", E::Query),
            ("http://example.com?q=1", E::Query),
            ("example.com?q=1#x", E::Query),
            ("http://example.com/#x", E::Fragment),
            ("example.com#x?y", E::Fragment),
            ("http://example.com/`id`", E::Path),
            ("http://example.com/a/../b", E::DotSegment),
            ("https://example.com/path/%2E%2e/etc/passwd", E::DotSegment),
            ("https://example.com/.", E::DotSegment),
            ("https://example.com/a/..%2fb", E::DotSegment),
            ("https://example.com/a%2F%2E%2E%2Fb", E::DotSegment),
            ("https://example.com/a/..%5Cb", E::DotSegment),
            ("https://example.com/a/..;/b", E::DotSegment),
            ("https://example.com/a/%2e%2e%3bx=1/b", E::DotSegment),
            ("https://example.com//", E::EmptySegment),
            ("https://example.com//a", E::EmptySegment),
            ("https://example.com/a//b", E::EmptySegment),
            ("https://example.com/a/%2fb", E::EmptySegment),
            ("//example.com", E::Slashes),
            ("http:example.com", E::Slashes),
            ("HTTPS:/example.com", E::Slashes),
        ] {
            assert_eq!(given.parse::<Target>(), Err(expected), "{given:?}");
        }
    }

    #[test]
    fn what_another_program_reads_as_another_host_is_refused_with_the_true_reason() {
        use TargetError as E;
        let lookalike = |text: &str| E::Lookalike(text.into());
        for (given, expected) in [
            ("192.168.001.010", E::LeadingZeros),
            ("010.0.0.1", E::LeadingZeros),
            ("127.0.0.01", E::LeadingZeros),
            ("http://127.0.0.01:80/x", E::LeadingZeros),
            ("00.0.0.0", E::LeadingZeros),
            ("1.2.3", E::NotFourNumbers),
            ("127.1", E::NotFourNumbers),
            ("1.2.3.4.5", E::NotFourNumbers),
            ("1..2.3", E::NotFourNumbers),
            ("example.7", E::NotFourNumbers),
            ("2130706433", E::SingleNumber),
            ("0", E::SingleNumber),
            ("0x7f.1", E::Hexadecimal),
            ("0x7f000001", E::Hexadecimal),
            ("0X7F.0.0.1", E::Hexadecimal),
            ("127.0.0.0x1", E::Hexadecimal),
            ("1.2.3.256", E::NumberTooLarge),
            ("1.2.3.99999999999999999999", E::NumberTooLarge),
            ("127.0.0.1.", E::DotAfterAddress),
            ("10.0.0.1-5", E::Range),
            ("10.0.0.1-10.0.0.9", E::Range),
            ("10.0.0-1.1-254", E::Range),
            ("10.0.0.*", E::Range),
            ("10.0.0.1,2", E::Range),
            ("10.0.0.1-5:80", E::Range),
            ("10.0.0.0/24", E::Range),
            ("10.0.0.1\u{2013}5", E::Range),
            ("10.0.0.1\u{2011}5", E::Range),
            ("10.0.0.1\u{2010}10.0.0.5", E::Range),
            ("10.0.0.1\u{2212}5:80", E::Range),
            ("10.0.0.1\u{2015}5", E::Range),
            ("10.0.0.1\u{ff5e}5", E::Range),
            ("10.0.0.0\u{2215}24", E::Range),
            ("10.0.0.0\u{2044}24", E::Range),
            ("http:\u{ff0f}\u{ff0f}10.0.0.0\u{ff0f}24", E::Range),
            ("10.0.0.{1,5}", E::Range),
            ("10.0.0.[1-5]", E::Range),
            ("10.0.0.[15]", E::Range),
            ("10.0.0.1~5", E::Range),
            ("10.0.0.1…10.0.0.5", E::Range),
            ("10.0.0.1..10.0.0.5", E::Range),
            ("10.0.0.1:80-90", E::Range),
            ("10.0.0.1:80,443", E::Range),
            ("http://example.com:80-90/x", E::Range),
            ("[::1]:80-90", E::Range),
            ("[fe80::1~5]", E::Range),
            ("1.2.3.4\u{2044}x", lookalike("1.2.3.4/x")),
            ("a\u{2011}b.example", lookalike("a-b.example")),
            ("http://example.com\u{2215}a", lookalike("http://example.com/a")),
            ("\u{2013}oX", E::LeadingDash),
            ("fe80::1%eth0/64", E::Zone),
            ("::ffff:127.0.0.01", E::LeadingZeros),
            ("[::ffff:127.0.0.01]:80", E::LeadingZeros),
            ("::ffff:127.0.0.256", E::NumberTooLarge),
            ("[127.0.0.1]", E::Brackets),
            ("10.0.0.x", E::Range),
            ("10.0.X.x:80", E::Range),
            ("http://[example.com]/", E::Brackets),
            ("10.0.0.0/255.255.255.0", E::Range),
            ("http://10.0.0.0/24", E::Range),
            ("https://10.0.0.0:8443/255.255.255.0", E::Range),
            ("10.0.0.0:80/24", E::Range),
            ("http://[fe80::]/64", E::Range),
            ("[fe80::]:80/64", E::Range),
            ("xn--a.example", E::Punycode),
            ("http://XN--99999.example/x", E::Punycode),
            ("fe80::/10", E::Range),
            ("[fe80::]/10", E::Range),
            ("fe80::1-5", E::Range),
            ("[fe80::1-5]", E::Range),
            ("*.example.com", E::Pattern),
            ("a.example,b.example", E::Several),
            ("fe80::1%eth0", E::Zone),
            ("[fe80::1%25eth0]:80", E::Zone),
            ("1:2:3", E::Ipv6),
            ("１２７.0.0.1", lookalike("127.0.0.1")),
            ("127。0。0。1", lookalike("127.0.0.1")),
            ("ｅxample.com", lookalike("example.com")),
            ("example。com", lookalike("example.com")),
            ("exam\u{ad}ple.com", lookalike("example.com")),
            ("exam\u{200b}ple.com", lookalike("example.com")),
            ("example．com", lookalike("example.com")),
            ("256.1.1.1", E::NumberTooLarge),
            ("example.com..", E::Host),
            ("\"example.com\"", E::Host),
            ("example[.]com", E::Host),
            ("bücher.ｅxample", lookalike("xn--bcher-kva.example")),
            ("127.0.0.1;", E::Host),
            ("127.0.0.1\\x", E::Host),
        ] {
            assert_eq!(given.parse::<Target>(), Err(expected), "{given:?}");
        }
        for (given, word) in [
            ("192.168.001.010", "leading zeros"),
            ("1.2.3", "not four numbers"),
            ("10.0.0.1-5", "ranges are not supported"),
            ("fe80::1%eth0", "zones are not supported"),
            ("http://example.com?q=1", "query"),
        ] {
            let why = given.parse::<Target>().unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn rows_of_earlier_versions_stay_readable_and_are_not_scanned_again() {
        for (text, why) in [
            ("10.0.0.1-5", TargetError::Range),
            ("1-5", TargetError::Range),
            ("http://10.0.0.1-5:80/x", TargetError::Range),
            ("http://a.test/x/../y", TargetError::DotSegment),
            ("http://a.test/x//y", TargetError::EmptySegment),
            ("http://10.0.0.0/24", TargetError::Range),
        ] {
            let stored: Target = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(stored.to_string(), text);
            assert_eq!(stored.check(), Err(why));
        }
        let sound: Target = serde_json::from_str("\"https://xn--bcher-kva.example\"").unwrap();
        assert_eq!(sound.check(), Ok(()));
        assert!(serde_json::from_str::<Target>("\"-oX\"").is_err());
    }

    #[test]
    fn internationalised_names_are_shown_in_both_forms() {
        for (given, label) in [
            ("bücher.example", "bücher.example (xn--bcher-kva.example)"),
            (
                "https://XN--BCHER-KVA.example:444/a",
                "https://bücher.example:444/a (https://xn--bcher-kva.example:444/a)",
            ),
            ("пример.испытание", "пример.испытание (xn--e1afmkfd.xn--80akhbyknj4f)"),
            ("example.com", "example.com"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            let target: Target = given.parse().unwrap();
            assert_eq!(target.label(), label);
            assert_eq!(target.unicode().is_some(), label.contains('('));
        }
    }

    #[test]
    fn folder_names_stay_in_their_folder() {
        assert_eq!("[::1]:80".parse::<Target>().unwrap().folder_name(), "___1__80");
        assert_eq!("https://example.com:444/a/b".parse::<Target>().unwrap().folder_name(), "example.com_444");
    }

    proptest! {
        #[test]
        fn accepted_target_is_safe_to_pass_on(text in "\\PC{0,40}") {
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
