//! Parses an IPv4 address of four decimal numbers, the one form that every program reads the same
//! way.

use std::net::Ipv4Addr;

use super::error::TargetError;

/// Returns true if some program reads the text as an IPv4 address, complete or mistyped: its last
/// part is a number (the URL standard's "ends in a number").
pub(super) fn ends_in_a_number(text: &str) -> bool {
    let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next().unwrap_or_default();
    let is_hexadecimal = last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"))
        && last[2..].bytes().all(|b| b.is_ascii_hexdigit());
    is_hexadecimal || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
}

/// Parses four decimal numbers and nothing else, a form that every program reads the same way.
pub(super) fn parse_v4(text: &str) -> Result<Ipv4Addr, TargetError> {
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
