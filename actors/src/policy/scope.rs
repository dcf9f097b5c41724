//! The scope policy: which targets may be scanned, by allow and deny lists and private ranges.
//! Checked at submission and again at dispatch.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::addresses::{embedded, is_local, is_special};
pub use super::setting_hosts::{AddressError, hosts_in, hosts_of};
use crate::model::{ConfigOverride, FieldError, Host, SettingNatures, Target};

/// One entry of an allow or deny list: a name (with its subdomains), an address, or an address
/// range in CIDR form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ScopeRule {
    /// The name and everything below it.
    Name(String),
    /// All addresses whose first `u8` bits are those of the address.
    Range(IpAddr, u8),
}

/// The text is not a valid rule.
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
            return match address {
                _ if bits > most => Err(error()),
                // A range of IPv4-mapped addresses is a range of IPv4.
                IpAddr::V6(v6) if bits >= 96 => {
                    Ok(v6.to_ipv4_mapped().map_or(Self::Range(address, bits), |v4| Self::Range(v4.into(), bits - 96)))
                }
                _ => Ok(Self::Range(address, bits)),
            };
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

impl fmt::Display for ScopeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Range(address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

impl TryFrom<String> for ScopeRule {
    type Error = ScopeRuleError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ScopeRule> for String {
    fn from(rule: ScopeRule) -> Self {
        rule.to_string()
    }
}

impl ScopeRule {
    /// Returns true if the rule covers a host as written: an IPv4 address inside an IPv6 address
    /// does not count.
    #[must_use]
    pub fn covers(&self, host: &Host) -> bool {
        self.names(host) || host.address().is_some_and(|address| self.holds(address))
    }

    fn names(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(rule), Host::Name(name)) => {
                let name = name.trim_end_matches('.');
                name == rule || name.strip_suffix(rule.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            _ => false,
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        matches!(self, Self::Range(network, bits) if in_range(address, *network, *bits))
    }

    /// Returns true if the rule allows a host: by its name, by its address, or by all embedded IPv4
    /// addresses that its packets are delivered to.
    fn allows(&self, host: &Host) -> bool {
        let all_ends = |address: IpAddr| match address {
            IpAddr::V6(v6) => {
                let ends = embedded(v6).ends;
                !ends.is_empty() && ends.into_iter().all(|v4| self.holds(v4.into()))
            }
            IpAddr::V4(_) => false,
        };
        self.names(host) || host.address().is_some_and(|address| self.holds(address) || all_ends(address))
    }

    /// Returns true if the rule denies a host: by its name, by its address, or by any embedded IPv4
    /// address.
    fn denies(&self, host: &Host) -> bool {
        let any_involved = |address: IpAddr| match address {
            IpAddr::V6(v6) => embedded(v6).involved.into_iter().any(|v4| self.holds(v4.into())),
            IpAddr::V4(_) => false,
        };
        self.names(host) || host.address().is_some_and(|address| self.holds(address) || any_involved(address))
    }
}

/// The scope policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopePolicy {
    /// If not empty, only these targets are allowed.
    pub allow: Vec<ScopeRule>,
    /// These targets are never allowed, whatever other rule allows them.
    pub deny: Vec<ScopeRule>,
    /// Whether hosts in private, loopback, link-local and other special ranges may be scanned
    /// without an entry in `allow`.
    pub allow_private: bool,
}

/// Why a target is out of scope. Each text completes "the target …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfScope {
    /// The target is on the deny list.
    #[error("is on the deny list of the scope policy")]
    Denied,
    /// There is an allow list, and the target is not on it.
    #[error("is not on the allow list of the scope policy")]
    NotAllowed,
    /// The target is private, and private targets are denied.
    #[error(
        "is in a private, loopback or otherwise special range; allow such targets with --allow-private-targets or scope.allow"
    )]
    Private,
}

impl ScopePolicy {
    /// Checks a target as written, without resolving it.
    ///
    /// # Errors
    /// The reason why it is out of scope.
    pub fn check(&self, target: &Target) -> Result<(), OutOfScope> {
        self.check_host(target.host())
    }

    /// Checks a host as written, without resolving it.
    ///
    /// # Errors
    /// The reason why it is out of scope.
    pub fn check_host(&self, host: &Host) -> Result<(), OutOfScope> {
        if self.deny.iter().any(|rule| rule.denies(host)) {
            return Err(OutOfScope::Denied);
        }
        let named = self.allow.iter().any(|rule| rule.allows(host));
        if !self.allow.is_empty() && !named {
            return Err(OutOfScope::NotAllowed);
        }
        if !named && !self.allow_private && is_special_host(host) { Err(OutOfScope::Private) } else { Ok(()) }
    }

    /// Checks an address that a name resolved to: a public name must not lead into a private
    /// network.
    ///
    /// A name on the allow list may lead into a private network, as intranet names do. It may lead
    /// to the machine itself, its link or its cloud's services only if the address is allowed too,
    /// or if the name is itself special (`localhost`): the owner of an allowed domain controls its
    /// addresses.
    ///
    /// # Errors
    /// The reason why the address is out of scope.
    pub fn check_resolved(&self, name: &Host, address: IpAddr) -> Result<(), OutOfScope> {
        let host = of_address(address);
        if self.deny.iter().any(|rule| rule.denies(&host)) {
            return Err(OutOfScope::Denied);
        }
        if self.allow_private || !is_special(address) || self.allow.iter().any(|rule| rule.allows(&host)) {
            return Ok(());
        }
        let named = self.allow.iter().any(|rule| rule.allows(name));
        if named && (is_special_host(name) || !is_local(address)) { Ok(()) } else { Err(OutOfScope::Private) }
    }
}

impl ScopePolicy {
    /// Checks the hosts in a scan's settings as written, and checks that the value of a setting for
    /// an address is an address. A sealed value is checked when it is opened. No error repeats a
    /// secret.
    #[must_use]
    pub fn check_overrides(&self, overrides: &[ConfigOverride], natures: &SettingNatures) -> Vec<FieldError> {
        let refusal = |one: &ConfigOverride| {
            let nature = natures.nature(&one.plugin, &one.key);
            let is_secret = one.is_secret() || nature.secret;
            let why = match hosts_of(one.value.clear()?, nature) {
                Ok(hosts) => {
                    let (host, why) =
                        hosts.into_iter().find_map(|host| self.check_host(&host).err().map(|why| (host, why)))?;
                    if is_secret { format!("an address in it {why}") } else { format!("{host} {why}") }
                }
                Err(_) if is_secret => {
                    format!("an address in it {}, or programs read it differently", AddressError::Form)
                }
                Err(why) => format!("the address {why}"),
            };
            Some(FieldError::new("overrides", format!("`{}`: {why}", one.name())))
        };
        overrides.iter().filter_map(refusal).collect()
    }
}

fn of_address(address: IpAddr) -> Host {
    match address {
        IpAddr::V4(address) => Host::V4(address),
        IpAddr::V6(address) => Host::V6(address),
    }
}

fn in_range(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            bits == 0 || (address.to_bits() ^ network.to_bits()) >> (32 - u32::from(bits)) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            bits == 0 || (address.to_bits() ^ network.to_bits()) >> (128 - u32::from(bits)) == 0
        }
        _ => false,
    }
}

/// Returns true for special addresses, for names that never leave the machine or the local network
/// (RFC 6761, RFC 6762, RFC 8375 and common practice), and for names without a dot.
#[must_use]
pub fn is_special_host(host: &Host) -> bool {
    match host {
        Host::Name(name) => {
            let name = name.trim_end_matches('.');
            let last = name.rsplit('.').next().unwrap_or(name);
            !name.contains('.')
                || matches!(last, "localhost" | "local" | "internal" | "lan" | "intranet" | "home" | "corp")
                || name.ends_with(".home.arpa")
        }
        Host::V4(address) => is_special((*address).into()),
        Host::V6(address) => is_special((*address).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SettingValue;

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
        let mixed =
            policy(&["example.com", "10.0.0.0/8", "2001:db8::/32"], &["secret.example.com", "10.9.0.0/16"], false);
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
        let name = |text: &str| Host::Name(text.to_owned());
        let check = |policy: &ScopePolicy, host: &str, address: &str| {
            policy.check_resolved(&name(host), address.parse().unwrap())
        };
        let server = policy(&[], &["9.9.9.9"], false);
        assert_eq!(check(&server, "example.com", "10.0.0.1"), Err(OutOfScope::Private));
        assert_eq!(check(&server, "example.com", "9.9.9.9"), Err(OutOfScope::Denied));
        assert_eq!(check(&server, "example.com", "64:ff9b::9.9.9.9"), Err(OutOfScope::Denied));
        assert_eq!(check(&server, "example.com", "93.184.215.14"), Ok(()));

        let named = policy(&["example.com", "localhost"], &[], false);
        assert_eq!(
            check(&named, "example.com", "10.0.0.1"),
            Ok(()),
            "a name on the allow list may belong to an intranet"
        );
        assert_eq!(check(&named, "example.com", "fd00::1"), Ok(()));
        for inside in [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "64:ff9b::169.254.169.254",
        ] {
            assert_eq!(check(&named, "a.example.com", inside), Err(OutOfScope::Private), "{inside}");
        }
        assert_eq!(check(&named, "localhost", "127.0.0.1"), Ok(()));
        let with_address = policy(&["example.com", "127.0.0.0/8"], &[], false);
        assert_eq!(check(&with_address, "example.com", "127.0.0.1"), Ok(()));
        assert_eq!(check(&with_address, "example.com", "::ffff:127.0.0.1"), Ok(()));
        assert_eq!(check(&policy(&[], &["127.0.0.0/8"], true), "localhost", "127.0.0.1"), Err(OutOfScope::Denied));
        assert_eq!(check(&policy(&[], &[], true), "example.com", "127.0.0.1"), Ok(()));
    }

    /// One spelling of 10.1.2.3 and of 8.8.8.8 for each form that embeds an IPv4 address.
    const FORMS: [(&str, &str, &str); 10] = [
        ("mapped", "::ffff:10.1.2.3", "::ffff:8.8.8.8"),
        ("compatible", "::10.1.2.3", "::8.8.8.8"),
        ("translated (SIIT)", "::ffff:0:10.1.2.3", "::ffff:0:8.8.8.8"),
        ("NAT64, well-known", "64:ff9b::10.1.2.3", "64:ff9b::8.8.8.8"),
        ("NAT64, local-use /96", "64:ff9b:1::10.1.2.3", "64:ff9b:1::8.8.8.8"),
        ("NAT64, local-use /64", "64:ff9b:1:0:a:102:300::", "64:ff9b:1:0:8:808:800::"),
        ("NAT64, local-use /56", "64:ff9b:1:a:1:203::", "64:ff9b:1:8:8:808::"),
        ("NAT64, local-use /48", "64:ff9b:1:a01:2:300::", "64:ff9b:1:808:8:800::"),
        ("6to4", "2002:a01:203::1", "2002:808:808::1"),
        ("Teredo", "2001:0:4136:e378:8000:63bf:f5fe:fdfc", "2001:0:4136:e378:8000:63bf:f7f7:f7f7"),
    ];

    #[test]
    fn embedded_address_is_checked_for_private_ranges_deny_and_allow() {
        for (form, private, public) in FORMS {
            let host = |text: &str| Host::V6(text.parse().unwrap());
            let both = |policy: &ScopePolicy, text: &str| {
                let written = policy.check_host(&host(text));
                let resolved = policy.check_resolved(&Host::Name("example.com".into()), text.parse().unwrap());
                (written, resolved)
            };
            let server = policy(&[], &[], false);
            assert_eq!(both(&server, private), (Err(OutOfScope::Private), Err(OutOfScope::Private)), "{form}");
            assert_eq!(both(&server, public), (Ok(()), Ok(())), "{form}");
            let denied = Err(OutOfScope::Denied);
            assert_eq!(both(&policy(&[], &["8.8.8.0/24"], true), public), (denied, denied), "{form}");
            assert_eq!(both(&policy(&[], &["10.0.0.0/8"], true), private), (denied, denied), "{form}");
            assert_eq!(both(&policy(&[], &["9.9.9.9"], true), public), (Ok(()), Ok(())), "{form}");
            assert_eq!(
                policy(&["9.9.9.9"], &[], false).check_host(&host(public)),
                Err(OutOfScope::NotAllowed),
                "{form}"
            );
            // These layouts have several possible addresses, so the IPv6 range itself must be on
            // the list.
            if !["/48", "/56", "/64"].iter().any(|length| form.ends_with(length)) {
                assert_eq!(policy(&["8.8.8.0/24"], &[], false).check_host(&host(public)), Ok(()), "{form}");
                assert_eq!(policy(&["10.0.0.0/8"], &[], false).check_host(&host(private)), Ok(()), "{form}");
            }
            assert_eq!(policy(&["::/0"], &[], false).check_host(&host(private)), Ok(()), "{form}");
            assert_eq!(policy(&["::/0"], &["10.1.2.3"], true).check_host(&host(private)), denied, "{form}");
        }
    }

    #[test]
    fn ipv6_range_rules_apply_to_the_written_address() {
        let no_nat64 = policy(&[], &["64:ff9b::/96", "2002::/16"], true);
        assert_eq!(check(&no_nat64, "[64:ff9b::8.8.8.8]"), Err(OutOfScope::Denied));
        assert_eq!(check(&no_nat64, "[2002:808:808::1]"), Err(OutOfScope::Denied));
        assert_eq!(check(&no_nat64, "8.8.8.8"), Ok(()));
        let mapped = policy(&[], &["::ffff:8.8.8.0/120"], true);
        assert_eq!(check(&mapped, "8.8.8.8"), Err(OutOfScope::Denied), "a mapped range is a range of IPv4");
        assert_eq!(check(&mapped, "[::ffff:8.8.8.8]"), Err(OutOfScope::Denied));
        // The interface identifier of ISATAP does not determine where packets are delivered, so it
        // can only deny.
        let isatap = "[2606:4700::5efe:10.1.2.3]";
        assert_eq!(check(&policy(&["10.0.0.0/8"], &[], false), isatap), Err(OutOfScope::NotAllowed));
        assert_eq!(check(&policy(&[], &["10.0.0.0/8"], true), isatap), Err(OutOfScope::Denied));
    }

    #[test]
    fn scope_policy_round_trips() {
        let one = policy(&["example.com", "10.0.0.0/8", "::ffff:9.9.9.9"], &["2001:db8::/32", "1.2.3.4"], true);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<ScopePolicy>(&text).unwrap(), one, "{text}");
        assert!(serde_json::from_str::<ScopePolicy>(r#"{"allow":["a b"],"deny":[],"allow_private":false}"#).is_err());
    }

    #[test]
    fn overrides_are_checked_by_the_same_policy() {
        let change = |value: &str| ConfigOverride {
            plugin: "dns_posture".into(),
            key: "nameserver".into(),
            value: value.into(),
        };
        let (server, none) = (policy(&[], &["9.9.9.9"], false), SettingNatures::default());
        let errors = server.check_overrides(
            &[change("8.8.8.8:53"), change("127.0.0.1:53"), change("[64:ff9b::9.9.9.9]:53"), change("ns.example.com")],
            &none,
        );
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(
            errors[0].message.starts_with("`dns_posture.nameserver`: 127.0.0.1 is in a private"),
            "{}",
            errors[0].message
        );
        assert!(errors[1].message.contains("deny list"), "{}", errors[1].message);
        assert!(policy(&[], &[], true).check_overrides(&[change("127.0.0.1:53")], &none).is_empty());
        let secret = ConfigOverride { value: SettingValue::Secret("http://10.9.8.7/".into()), ..change("") };
        let errors = server.check_overrides(
            &[secret, ConfigOverride { value: SettingValue::Sealed("10.0.0.1".into()), ..change("") }],
            &none,
        );
        assert!(errors.len() == 1 && !errors[0].message.contains("10.9.8.7"), "{errors:?}");
    }

    #[test]
    fn invalid_scope_rules_are_refused() {
        for text in ["", "10.0.0.0/33", "::1/129", "a b", "http://x", "example.com:80", "example.com/24", "-x"] {
            assert!(text.parse::<ScopeRule>().is_err(), "{text}");
        }
        assert_eq!("*.Example.com".parse(), Ok(ScopeRule::Name("example.com".into())));
    }
}
