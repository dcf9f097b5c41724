//! The look-ups for an attempt's network, right before its start.

use std::ffi::OsString;
use std::net::IpAddr;
use std::time::Duration;

use kastrel_actors::model::Host;
use kastrel_actors::policy::scope::{ScopeRule, hosts_in};

use super::network::{Network, Resolved};
use super::{EgressLimit, Tools};

/// How long a name may take to resolve.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);
/// The variables that send a scanner's requests to somebody else, or name somebody it works with.
const HELPERS: [&str; 5] = ["http_proxy", "https_proxy", "all_proxy", "kast_zap_url", "docker_host"];

/// The network of an attempt that was checked to lead to `checked`, with what the operator allows and what the scanner's environment names.
///
/// # Errors
/// Why there is none; it completes "the attempt cannot start: ".
pub(in super::super) async fn reachable(
    limit: &EgressLimit,
    tools: Tools,
    mut checked: Vec<Resolved>,
    environment: &[(OsString, OsString)],
) -> Result<Network, String> {
    let mut ranges: Vec<(IpAddr, u8)> = Vec::new();
    let mut wanted: Vec<(String, Host)> = Vec::new();
    for rule in &limit.allow {
        match rule {
            ScopeRule::Range(address, bits) => ranges.push((*address, *bits)),
            ScopeRule::Name(name) => wanted.push((format!("scans.egress_allow: {name}"), Host::Name(name.clone()))),
        }
    }
    for (name, value) in environment {
        if HELPERS.iter().any(|helper| name.eq_ignore_ascii_case(helper)) {
            let shown = name.to_string_lossy();
            wanted.extend(value.to_str().into_iter().flat_map(hosts_in).map(|host| (format!("the scanner's variable {shown}"), host)));
        }
    }
    for (what, host) in wanted {
        let addresses = match &host {
            Host::Name(name) => look_up(name).await.map_err(|why| format!("{what} {why}"))?,
            Host::V4(address) => vec![(*address).into()],
            Host::V6(address) => vec![(*address).into()],
        };
        checked.push(Resolved { what, host, addresses });
    }
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    Network::new(tools, &checked, &ranges, &read("/etc/hosts"), &read("/etc/resolv.conf"))
}

async fn look_up(name: &str) -> Result<Vec<IpAddr>, String> {
    match tokio::time::timeout(LOOKUP_LIMIT, tokio::net::lookup_host((name, 0))).await {
        Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect()),
        Ok(Err(error)) => Err(format!("does not resolve: {error}")),
        Err(_) => Err(format!("did not resolve within {} s", LOOKUP_LIMIT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn made(allow: &[&str], environment: &[(&str, &str)]) -> Result<String, String> {
        let limit = EgressLimit { allow: allow.iter().map(|rule| rule.parse().unwrap()).collect() };
        let environment: Vec<(OsString, OsString)> = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let tools = Tools { pasta: "pasta".into(), ip: "ip".into() };
        reachable(&limit, tools, Vec::new(), &environment).await.map(|network| network.routes(false))
    }

    #[tokio::test]
    async fn ranges_and_proxies_can_be_reached() {
        let routes =
            made(&["192.0.2.0/25"], &[("HTTPS_PROXY", "http://198.51.100.4:3128"), ("no_proxy", "203.0.113.9"), ("LANG", "203.0.113.8")]).await.unwrap();
        assert!(routes.contains("add 192.0.2.0/25 ") && routes.contains("add 198.51.100.4/32 ") && !routes.contains("203.0.113"), "{routes}");
    }

    #[tokio::test]
    async fn a_helper_that_cannot_be_reached_is_named() {
        let why = made(&[], &[("http_proxy", "http://127.0.0.1:3128")]).await.unwrap_err();
        assert!(why.starts_with("the scanner's variable http_proxy leads to 127.0.0.1"), "{why}");
        let why = made(&["does-not-resolve.invalid"], &[]).await.unwrap_err();
        assert!(why.starts_with("scans.egress_allow: does-not-resolve.invalid does not resolve"), "{why}");
    }
}
