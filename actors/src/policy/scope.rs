//! Which targets may be scanned: allow and deny lists, and private ranges. Checked at submission and again at dispatch.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::model::{Host, Target};

/// One entry of an allow or deny list: a name (with its subdomains), an address, or an address range in CIDR form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeRule {
    /// The name and everything below it.
    Name(String),
    /// All addresses whose first `u8` bits are those of the address.
    Range(IpAddr, u8),
}

/// A text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host name, an address or a range such as 10.0.0.0/8")]
pub struct ScopeRuleError(String);

impl FromStr for ScopeRule {
    type Err = ScopeRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ScopeRuleError(text.chars().take(100).collect());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| error())?)),
            None => (text, None),
        };
        if let Ok(address) = address.parse::<IpAddr>() {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(most);
            return if bits <= most { Ok(Self::Range(address, bits)) } else { Err(error()) };
        }
        match (text.trim_start_matches("*.").parse::<Target>(), bits) {
            (Ok(target), None) if target.port().is_none() && target.scheme().is_none() => match target.host() {
                Host::Name(name) => Ok(Self::Name(name.clone())),
                Host::V4(_) | Host::V6(_) => Err(error()),
            },
            _ => Err(error()),
        }
    }
}

impl ScopeRule {
    /// Whether a host is what this rule is about.
    #[must_use]
    pub fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(rule), Host::Name(name)) => name == rule || name.strip_suffix(rule.as_str()).is_some_and(|rest| rest.ends_with('.')),
            (Self::Range(network, bits), host) => host.address().is_some_and(|address| in_range(canonical(address), *network, *bits)),
            (Self::Name(_), Host::V4(_) | Host::V6(_)) => false,
        }
    }
}

/// The scope: what may be scanned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopePolicy {
    /// If not empty, only these.
    pub allow: Vec<ScopeRule>,
    /// Never these, whatever else allows them.
    pub deny: Vec<ScopeRule>,
    /// Whether hosts in private, loopback, link-local and other special ranges may be scanned without standing in `allow`.
    pub allow_private: bool,
}

/// Why a target is out of scope. Each completes "the target …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfScope {
    /// In the deny list.
    #[error("is on the deny list of the scope policy")]
    Denied,
    /// There is an allow list, and it is not on it.
    #[error("is not on the allow list of the scope policy")]
    NotAllowed,
    /// Private, and private targets are denied.
    #[error("is in a private, loopback or otherwise special range; allow such targets with --allow-private-targets or scope.allow")]
    Private,
}

impl ScopePolicy {
    /// Checks a target by what is written in it.
    ///
    /// # Errors
    /// Why it is out of scope.
    pub fn check(&self, target: &Target) -> Result<(), OutOfScope> {
        self.check_host(target.host())
    }

    /// Checks an address that the target's name resolved to: a public name must not lead into a private network.
    ///
    /// # Errors
    /// Why it is out of scope.
    pub fn check_resolved(&self, target: &Target, address: IpAddr) -> Result<(), OutOfScope> {
        let host = match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        };
        if self.deny.iter().any(|rule| rule.covers(&host)) {
            return Err(OutOfScope::Denied);
        }
        let named = self.allow.iter().any(|rule| rule.covers(target.host()) || rule.covers(&host));
        if !named && !self.allow_private && is_special(&host) { Err(OutOfScope::Private) } else { Ok(()) }
    }

    fn check_host(&self, host: &Host) -> Result<(), OutOfScope> {
        if self.deny.iter().any(|rule| rule.covers(host)) {
            return Err(OutOfScope::Denied);
        }
        let named = self.allow.iter().any(|rule| rule.covers(host));
        if !self.allow.is_empty() && !named {
            return Err(OutOfScope::NotAllowed);
        }
        if !named && !self.allow_private && is_special(host) { Err(OutOfScope::Private) } else { Ok(()) }
    }
}

/// An IPv6 address that only wraps an IPv4 one, unwrapped.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => embedded_v4(v6).map_or(address, IpAddr::V4),
    }
}

/// The IPv4 address inside an IPv4-mapped (`::ffff:0:0/96`), NAT64 (`64:ff9b::/96`) or 6to4 (`2002::/16`) address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(join(g, h)),
        (0x2002, high, low, ..) => Some(join(high, low)),
        _ => None,
    }
}

fn in_range(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => bits == 0 || (address.to_bits() ^ network.to_bits()) >> (32 - u32::from(bits)) == 0,
        (IpAddr::V6(address), IpAddr::V6(network)) => bits == 0 || (address.to_bits() ^ network.to_bits()) >> (128 - u32::from(bits)) == 0,
        _ => false,
    }
}

/// Names that never leave the machine or the local network (RFC 6761, RFC 6762, RFC 8375 and common practice), and names without a dot.
fn is_special(host: &Host) -> bool {
    match host {
        Host::Name(name) => {
            let last = name.rsplit('.').next().unwrap_or(name);
            !name.contains('.') || matches!(last, "localhost" | "local" | "internal" | "lan" | "intranet" | "home" | "corp") || name.ends_with(".home.arpa")
        }
        Host::V4(address) => is_special_v4(*address),
        Host::V6(address) => match embedded_v4(*address) {
            Some(v4) => is_special_v4(v4),
            None => is_special_v6(*address),
        },
    }
}

/// The special-purpose ranges of IPv4 (RFC 6890 and its registry).
fn is_special_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240
}

/// The special-purpose ranges of IPv6: loopback and unspecified, unique local, link-local, multicast, documentation.
fn is_special_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || a & 0xfe00 == 0xfc00
        || a & 0xffc0 == 0xfe80
        || a & 0xffc0 == 0xfec0
        || (a == 0x2001 && b == 0xdb8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str], allow_private: bool) -> ScopePolicy {
        let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        ScopePolicy { allow: rules(allow), deny: rules(deny), allow_private }
    }

    fn check(policy: &ScopePolicy, target: &str) -> Result<(), OutOfScope> {
        policy.check(&target.parse().unwrap())
    }

    #[test]
    fn private_targets_are_denied_in_every_spelling() {
        let server = policy(&[], &[], false);
        for target in [
            "localhost",
            "LOCALHOST.",
            "foo.localhost",
            "printer",
            "nas.local",
            "127.0.0.1:80",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fd00::1]",
            "http://localhost/",
            "x.home.arpa",
        ] {
            assert_eq!(check(&server, target), Err(OutOfScope::Private), "{target}");
        }
        for target in ["example.com", "8.8.8.8", "172.32.0.1", "[2606:4700::1111]", "local.example.com"] {
            assert_eq!(check(&server, target), Ok(()), "{target}");
        }
        assert_eq!(check(&policy(&[], &[], true), "127.0.0.1"), Ok(()));
    }

    #[test]
    fn deny_beats_allow_beats_private() {
        let mixed = policy(&["example.com", "10.0.0.0/8", "2001:db8::/32"], &["secret.example.com", "10.9.0.0/16"], false);
        for (target, expected) in [
            ("example.com", Ok(())),
            ("a.b.example.com", Ok(())),
            ("notexample.com", Err(OutOfScope::NotAllowed)),
            ("secret.example.com", Err(OutOfScope::Denied)),
            ("x.secret.example.com", Err(OutOfScope::Denied)),
            ("10.1.1.1", Ok(())),
            ("[::ffff:10.1.1.1]", Ok(())),
            ("[::ffff:10.9.1.1]", Err(OutOfScope::Denied)),
            ("10.9.1.1", Err(OutOfScope::Denied)),
            ("11.1.1.1", Err(OutOfScope::NotAllowed)),
            ("[2001:db8::1]", Ok(())),
        ] {
            assert_eq!(check(&mixed, target), expected, "{target}");
        }
    }

    #[test]
    fn a_public_name_must_not_lead_inside() {
        let server = policy(&[], &["9.9.9.9"], false);
        let target: Target = "example.com".parse().unwrap();
        assert_eq!(server.check_resolved(&target, "10.0.0.1".parse().unwrap()), Err(OutOfScope::Private));
        assert_eq!(server.check_resolved(&target, "9.9.9.9".parse().unwrap()), Err(OutOfScope::Denied));
        assert_eq!(server.check_resolved(&target, "93.184.215.14".parse().unwrap()), Ok(()));
        let named = policy(&["example.com"], &[], false);
        assert_eq!(named.check_resolved(&target, "10.0.0.1".parse().unwrap()), Ok(()), "whoever allows the name allows where it leads");
    }

    #[test]
    fn rules_that_are_none_are_refused() {
        for text in ["", "10.0.0.0/33", "::1/129", "a b", "http://x", "example.com:80", "example.com/24", "-x"] {
            assert!(text.parse::<ScopeRule>().is_err(), "{text}");
        }
        assert_eq!("*.Example.com".parse(), Ok(ScopeRule::Name("example.com".into())));
    }
}
