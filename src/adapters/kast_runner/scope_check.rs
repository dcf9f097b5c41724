//! Checks the scope policy again, right before the start. A name that was public at submission may
//! now resolve to an internal address, and so may a host in the scan's own settings.

use std::net::IpAddr;

use kastrel_actors::model::{Failure, FailureKind, Host, Target};
use kastrel_actors::policy::scope::{ScopePolicy, ScopeRule, hosts_of};

use super::egress::Resolved;
use super::lookup::{LookupError, look_up};
use super::settings_check::OpenSettings;

/// Returns true if the policy can refuse a resolved address. If not, the lookup is skipped.
fn lookup_can_refuse(policy: &ScopePolicy) -> bool {
    !policy.allow_private || policy.deny.iter().any(|rule| matches!(rule, ScopeRule::Range(..)))
}

/// Checks the target, and the hosts in the decrypted settings. For a name, checks every current
/// address. Returns the resolved hosts. Names that the policy cannot refuse are resolved only with
/// `needs_addresses`.
///
/// A name that does not resolve passes: the scanner reports that itself, and resolves it again. A
/// name whose lookup times out is refused, because an attacker's slow name server could bypass the
/// check otherwise.
pub(super) async fn check(
    policy: &ScopePolicy,
    target: &Target,
    settings: &OpenSettings,
    needs_addresses: bool,
) -> Result<Vec<Resolved>, Failure> {
    let mut found = Vec::new();
    let refuse =
        |what: &str, why: &dyn std::fmt::Display| Failure::new(FailureKind::OutOfScope, format!("{what} {why}"));
    let what = format!("the target {target}");
    policy.check(target).map_err(|error| refuse(&what, &error))?;
    let addresses = check_addresses(policy, target.host(), needs_addresses).await.map_err(|why| refuse(&what, &why))?;
    found.push(Resolved { what, is_secret: false, host: target.host().clone(), addresses });
    for change in settings.iter() {
        let nature = settings.natures.nature(&change.plugin, &change.key);
        let is_secret = change.is_secret() || nature.secret;
        let hosts = change.value.clear().map_or(Ok(Vec::new()), |value| hosts_of(value, nature));
        let hosts = hosts.map_err(|why| {
            let what = format!("the setting {}:", change.name());
            if is_secret {
                refuse(&what, &"programs read an address in it differently")
            } else {
                refuse(&what, &format!("the address {why}"))
            }
        })?;
        for host in hosts {
            let checked = match policy.check_host(&host) {
                Ok(()) => check_addresses(policy, &host, needs_addresses).await,
                Err(error) => Err(error.to_string()),
            };
            // The failure is stored and shown, so it must not contain the secret or its addresses.
            let addresses = checked.map_err(|why| {
                if is_secret {
                    refuse(
                        &format!("the setting {}", change.name()),
                        &"names an address that is out of scope, or that did not resolve in time",
                    )
                } else {
                    refuse(&format!("the setting {} names {host}, which", change.name()), &why)
                }
            })?;
            found.push(Resolved { what: format!("the setting {}", change.name()), is_secret, host, addresses });
        }
    }
    Ok(found)
}

async fn check_addresses(policy: &ScopePolicy, host: &Host, needs_addresses: bool) -> Result<Vec<IpAddr>, String> {
    if let Some(address) = host.address() {
        return Ok(vec![address]);
    }
    if !needs_addresses && !lookup_can_refuse(policy) {
        return Ok(Vec::new());
    }
    match look_up(host).await {
        Ok(found) => judge(policy, host, found.iter().copied()).map(|()| found),
        Err(LookupError::Missing(_)) => Ok(Vec::new()),
        Err(late @ LookupError::Late) => Err(format!("{late}, so its addresses could not be checked")),
    }
}

/// Checks every address of a name. The error completes "the target …" and "the name …".
pub(super) fn judge(policy: &ScopePolicy, host: &Host, addresses: impl Iterator<Item = IpAddr>) -> Result<(), String> {
    for address in addresses {
        policy.check_resolved(host, address).map_err(|error| format!("resolves to {address} and so {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{ConfigOverride, Lock, SettingNature, SettingNatures, SettingValue};

    use super::*;

    fn settings(overrides: Vec<ConfigOverride>) -> OpenSettings {
        OpenSettings { overrides, natures: SettingNatures::default() }
    }

    fn policy(allow: &[&str], deny: &[&str], allow_private: bool) -> ScopePolicy {
        let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        ScopePolicy { allow: rules(allow), deny: rules(deny), allow_private }
    }

    #[test]
    fn lookup_is_skipped_if_the_policy_cannot_refuse() {
        assert!(lookup_can_refuse(&policy(&[], &[], false)));
        assert!(lookup_can_refuse(&policy(&[], &["10.0.0.0/8"], true)));
        assert!(!lookup_can_refuse(&policy(&[], &["example.com"], true)));
    }

    #[tokio::test]
    async fn internal_literals_and_names_are_refused() {
        let refused = |policy: ScopePolicy, target: &'static str| async move {
            check(&policy, &target.parse().unwrap(), &settings(Vec::new()), false).await.err()
        };
        let failure = refused(policy(&[], &[], false), "127.0.0.1").await.unwrap();
        assert_eq!(failure.kind, FailureKind::OutOfScope);
        // The system's hosts file has this name.
        let failure = refused(policy(&[], &["127.0.0.0/8", "::1"], true), "localhost").await.unwrap();
        assert!(failure.detail.contains("resolves to") && failure.detail.contains("deny list"), "{}", failure.detail);
        assert_eq!(refused(policy(&[], &[], false), "does-not-resolve.invalid").await, None);
    }

    #[test]
    fn name_with_one_internal_address_is_refused() {
        let public = policy(&[], &[], false);
        let host = Host::Name("example.com".into());
        let judged =
            |addresses: &[&str]| judge(&public, &host, addresses.iter().map(|address| address.parse().unwrap()));
        assert_eq!(judged(&["8.8.8.8", "2606:4700::1111"]), Ok(()));
        for inside in ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1"] {
            assert!(judged(&["8.8.8.8", inside]).unwrap_err().contains("private"), "{inside}");
        }
    }

    #[tokio::test]
    async fn hosts_in_overrides_must_pass_the_same_policy() {
        let public = policy(&[], &["9.9.9.9"], false);
        let target = "8.8.8.8".parse().unwrap();
        for (value, part) in [
            ("127.0.0.1:53", "private"),
            ("http://169.254.169.254/latest/meta-data", "private"),
            ("http://localhost:8080", "private"),
            ("8.8.8.8,10.0.0.1", "private"),
            ("https://[::ffff:9.9.9.9]/", "deny list"),
        ] {
            let change = ConfigOverride { plugin: "zap".into(), key: "remote.api_url".into(), value: value.into() };
            let failure = check(&public, &target, &settings(vec![change]), false).await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::OutOfScope, "{value}");
            assert!(
                failure.detail.contains("zap.remote.api_url") && failure.detail.contains(part),
                "{}",
                failure.detail
            );
        }
        let secret = ConfigOverride {
            plugin: "zap".into(),
            key: "x".into(),
            value: SettingValue::Secret("http://10.9.8.7/".into()),
        };
        let failure = check(&public, &target, &settings(vec![secret]), false).await.unwrap_err();
        assert!(
            failure.detail.contains("zap.x names an address") && !failure.detail.contains("10.9.8.7"),
            "{}",
            failure.detail
        );
        for value in ["8.8.8.8:53", "quick", "10", "/admin"] {
            let change = ConfigOverride { plugin: "zap".into(), key: "x".into(), value: value.into() };
            assert!(check(&public, &target, &settings(vec![change]), false).await.is_ok(), "{value}");
        }
    }

    #[tokio::test]
    async fn address_setting_is_parsed_strictly_and_its_name_is_resolved() {
        let no_loopback = policy(&[], &["127.0.0.0/8", "::1"], true);
        let target = "8.8.8.8".parse().unwrap();
        let change = |key: &str, value: SettingValue| ConfigOverride { plugin: "p".into(), key: key.into(), value };
        let nature = SettingNature { lock: Some(Lock::Url), secret: false };
        let by_schema = |change| OpenSettings {
            overrides: vec![change],
            natures: [("p.source".to_owned(), nature)].into_iter().collect(),
        };
        for (one, part) in [
            (
                change("api_url", "127.1:80".into()),
                Some("the setting p.api_url: the address ends like an IPv4 address"),
            ),
            (
                change("source", "0x7f000001:80".into()),
                Some("the setting p.source: the address has a hexadecimal number"),
            ),
            (
                change("source", SettingValue::Secret("http://u:hunter2@①27.0.0.1".into())),
                Some("the setting p.source: programs read an address in it differently"),
            ),
            (
                change("agent", r"http://8.8.8.8\@127.0.0.1/".into()),
                Some("the setting p.agent: the address has a backslash"),
            ),
            // The system's hosts file has this name. Only a setting that takes an address may use
            // it as a bare name.
            (change("source", "localhost".into()), Some("resolves to")),
            (change("source", "http://8.8.8.8:80/x".into()), None),
            (change("agent", "0.5".into()), None),
            (change("agent", "10".into()), None),
        ] {
            let name = one.name();
            let failure = check(&no_loopback, &target, &by_schema(one), false).await.err();
            assert_eq!(failure.is_some(), part.is_some(), "{name}: {failure:?}");
            if let (Some(failure), Some(part)) = (failure, part) {
                assert!(
                    failure.kind == FailureKind::OutOfScope
                        && failure.detail.contains(part)
                        && !failure.detail.contains("hunter2"),
                    "{failure:?}"
                );
            }
        }
    }
}
