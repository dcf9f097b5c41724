//! Detects texts that mean several addresses, ports or hosts.

use std::net::{IpAddr, Ipv4Addr};

use super::error::TargetError;

/// The characters between the ends of a range, or between its members.
pub(super) const RANGE_SIGNS: [char; 4] = ['-', '~', '…', ','];

/// Returns true for `10.0.0.1-5`, `10.0.0.{1,5}`, `10.0.0.[1-5]`, `10.0.0.1~5`,
/// `10.0.0.1..10.0.0.5` and `10.0.0.1:80-90`.
pub(super) fn is_range_of_numbers(authority: &str) -> bool {
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

/// Returns true for `10.0.0.0/24`, `10.0.0.0:80/24` and `10.0.0.0/255.255.255.0`.
pub(super) fn is_range(authority: &str, path: &str) -> bool {
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

/// Returns true for `24` and `255.255.255.0`, but not for `2024`, which is a path.
pub(super) fn is_mask(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok() || text.parse::<u8>().is_ok_and(|bits| bits <= 128)
}

pub(super) fn refuse_several(text: &str) -> Result<(), TargetError> {
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
