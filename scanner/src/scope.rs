//! Restricts the addresses that a scan may connect to. Every address is checked against the scope
//! policy before the first connection, and the scan uses checked addresses only.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model;
use kastrel_actors::policy::scope::{ScopePolicy, is_special_host};
use tokio::net::lookup_host;
use tokio::time::timeout;
use url::Host;

/// A resolver of names. A scan resolves each name once.
#[async_trait]
pub trait Lookup: fmt::Debug + Send + Sync {
    /// Returns all addresses of a name, of both families.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver, with its host file and name servers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// The scope policy and the resolver of one scan.
#[derive(Debug, Clone)]
pub struct Gate {
    policy: ScopePolicy,
    lookup: Arc<dyn Lookup>,
}

impl Gate {
    /// Creates a gate with the system's resolver.
    #[must_use]
    pub fn new(policy: ScopePolicy) -> Self {
        Self::with_lookup(policy, Arc::new(SystemLookup))
    }

    /// Creates a gate with the given resolver.
    #[must_use]
    pub fn with_lookup(policy: ScopePolicy, lookup: Arc<dyn Lookup>) -> Self {
        Self { policy, lookup }
    }

    /// Creates the gate of a command that a user typed. A private target is allowed if the typed
    /// host itself is private. A public name must not resolve to a private address.
    #[must_use]
    pub fn typed(host: &Host<String>, allow_private: bool) -> Self {
        Self::new(ScopePolicy {
            allow_private: allow_private || is_special_host(&host_of(host)),
            ..ScopePolicy::default()
        })
    }

    /// Checks the host of a target as written.
    ///
    /// # Errors
    /// Returns a sentence with the reason if the host is out of scope.
    pub fn check_host(&self, host: &Host<String>) -> Result<(), String> {
        self.policy.check_host(&host_of(host)).map_err(|error| format!("the target {host} {error}"))
    }

    /// Checks an address that a setting names.
    ///
    /// # Errors
    /// Returns a clause with the reason if the address is out of scope.
    pub fn check_address(&self, address: IpAddr) -> Result<(), String> {
        let host = match address {
            IpAddr::V4(address) => model::Host::V4(address),
            IpAddr::V6(address) => model::Host::V6(address),
        };
        self.policy.check_host(&host).map_err(|error| format!("the address {address} {error}"))
    }

    /// Returns the addresses that a scan of `host` may connect to: all current addresses of the
    /// host, each of them checked. One address out of scope refuses the host, because it is not
    /// known which of several addresses a visitor gets.
    ///
    /// # Errors
    /// Returns a sentence with the reason if the host has no usable address.
    pub async fn addresses(&self, host: &Host<String>, limit: Duration) -> Result<Vec<IpAddr>, String> {
        self.check_host(host)?;
        let name = match host {
            Host::Ipv4(address) => return Ok(vec![(*address).into()]),
            Host::Ipv6(address) => return Ok(vec![(*address).into()]),
            Host::Domain(name) => name,
        };
        let found = timeout(limit, self.lookup.addresses(name)).await;
        let found = found.map_err(|_| format!("the name {name} did not resolve within {} s", limit.as_secs()))?;
        let found = found.map_err(|error| format!("the name {name} does not resolve: {error}"))?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found {
            let checked = self.policy.check_resolved(&host_of(host), address);
            checked.map_err(|error| format!("the target {name} resolves to {address} and so {error}"))?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() { Err(format!("the name {name} has no address")) } else { Ok(addresses) }
    }
}

fn host_of(host: &Host<String>) -> model::Host {
    match host {
        Host::Domain(name) => model::Host::Name(name.trim_end_matches('.').to_ascii_lowercase()),
        Host::Ipv4(address) => model::Host::V4(*address),
        Host::Ipv6(address) => model::Host::V6(*address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_target_may_be_private_and_public_name_must_not_resolve_to_private_address() {
        let inside: IpAddr = "10.0.0.1".parse().unwrap();
        for (host, allow_private, expected) in [
            ("example.com", false, false),
            ("example.com", true, true),
            ("printer.lan", false, true),
            ("localhost", false, true),
        ] {
            let gate = Gate::typed(&Host::Domain(host.to_owned()), allow_private);
            assert_eq!(gate.check_address(inside).is_ok(), expected, "{host}");
        }
        assert!(
            Gate::typed(&Host::Ipv4("127.0.0.1".parse().unwrap()), false)
                .check_host(&Host::parse("127.0.0.1").unwrap())
                .is_ok()
        );
    }
}
