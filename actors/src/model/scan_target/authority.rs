//! Parses the host and the port of a target.

use super::error::TargetError;
use super::host::Host;
use super::number::{ends_in_a_number, parse_v4};
use super::range::{RANGE_SIGNS, refuse_several};

/// The longest DNS name, in characters (RFC 1035, section 2.3.4, without the root's dot).
const MAX_NAME_LENGTH: usize = 253;

/// How strictly a text is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Text that a user typed: forms that another program reads differently are refused.
    Typed,
    /// Text from a row of an earlier version, which accepted more texts as names.
    Stored,
}

pub(super) fn split_port(authority: &str) -> Result<(&str, Option<u16>), TargetError> {
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

pub(super) fn parse_host(text: &str, reading: Reading) -> Result<Host, TargetError> {
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

/// Returns the reason why a text with colons or in brackets is not an IPv6 address.
pub(super) fn why_no_v6(text: &str) -> TargetError {
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
