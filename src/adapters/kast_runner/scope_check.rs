//! The scope policy once more, right before the start: what was a public name at submission may lead inside by now.

use std::net::SocketAddr;
use std::time::Duration;

use kastrel_actors::model::{Failure, FailureKind, Host, Scheme, Target};
use kastrel_actors::policy::scope::{ScopePolicy, ScopeRule};

/// How long a name may take to resolve; one that takes longer goes on like one that does not resolve.
const LOOKUP_LIMIT: Duration = Duration::from_secs(2);

/// Whether any resolved address could be refused; if not, the lookup is spared.
fn lookup_can_refuse(policy: &ScopePolicy) -> bool {
    !policy.allow_private || policy.deny.iter().any(|rule| matches!(rule, ScopeRule::Range(..)))
}

/// Checks the target and, for a name, every address it has now.
pub(super) async fn check(policy: &ScopePolicy, target: &Target) -> Result<(), Failure> {
    let refuse = |error: &dyn std::fmt::Display| Failure::new(FailureKind::OutOfScope, format!("the target {target} {error}"));
    policy.check(target).map_err(|error| refuse(&error))?;
    let Host::Name(name) = target.host() else { return Ok(()) };
    if !lookup_can_refuse(policy) {
        return Ok(());
    }
    let port = target.port().unwrap_or(target.scheme().unwrap_or(Scheme::Http).default_port());
    let Ok(Ok(addresses)) = tokio::time::timeout(LOOKUP_LIMIT, tokio::net::lookup_host((name.as_str(), port))).await else { return Ok(()) };
    check_addresses(policy, target, addresses).map_err(|error| refuse(&error))
}

/// Checks the addresses that the name of a target has. The error completes "the target …".
pub(super) fn check_addresses(policy: &ScopePolicy, target: &Target, addresses: impl IntoIterator<Item = SocketAddr>) -> Result<(), String> {
    addresses
        .into_iter()
        .map(|address| address.ip())
        .try_for_each(|address| policy.check_resolved(target, address).map_err(|error| format!("resolves to {address} and so {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str], deny: &[&str], allow_private: bool) -> ScopePolicy {
        let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        ScopePolicy { allow: rules(allow), deny: rules(deny), allow_private }
    }

    #[test]
    fn a_lookup_is_made_only_where_it_can_matter() {
        assert!(lookup_can_refuse(&policy(&[], &[], false)));
        assert!(lookup_can_refuse(&policy(&[], &["10.0.0.0/8"], true)));
        assert!(!lookup_can_refuse(&policy(&[], &["example.com"], true)));
    }

    #[tokio::test]
    async fn literals_and_names_that_lead_inside_are_refused() {
        let refused = |policy: ScopePolicy, target: &'static str| async move { check(&policy, &target.parse().unwrap()).await.err() };
        let failure = refused(policy(&[], &[], false), "127.0.0.1").await.unwrap();
        assert_eq!(failure.kind, FailureKind::OutOfScope);
        // The system's own host file has this one.
        let failure = refused(policy(&[], &["127.0.0.0/8", "::1"], true), "localhost").await.unwrap();
        assert!(failure.detail.contains("resolves to") && failure.detail.contains("deny list"), "{}", failure.detail);
        assert_eq!(refused(policy(&[], &[], false), "does-not-resolve.invalid").await, None);
    }
}
