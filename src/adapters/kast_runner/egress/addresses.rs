//! Resolves the host names for an attempt's network, right before the attempt starts.

use std::ffi::OsString;
use std::net::IpAddr;

use kastrel_actors::model::Host;
use kastrel_actors::policy::scope::{ScopeRule, hosts_in};

use super::super::lookup::look_up;
use super::network::{Network, Resolved};
use super::{EgressLimit, Tools};

/// The environment variables with proxies, which receive all requests of a scanner.
const PROXIES: [&str; 3] = ["http_proxy", "https_proxy", "all_proxy"];
/// The environment variables with hosts that a plugin of the scanner uses.
const HELPERS: [&str; 2] = ["kast_zap_url", "docker_host"];

/// Creates the network of an attempt. It reaches the `checked` hosts of the attempt, the ranges and
/// names that the operator allows, and the hosts in the scanner's environment variables.
///
/// # Errors
/// The reason why there is no network. It completes "the attempt cannot start: ".
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
    wanted.extend(named_in(environment, &PROXIES));
    for (what, host) in wanted {
        let addresses = look_up(&host).await.map_err(|why| format!("{what} {why}"))?;
        checked.push(Resolved { what, is_secret: false, host, addresses });
    }
    for (what, host) in named_in(environment, &HELPERS) {
        // Without this host, only that plugin fails, and reports it.
        let addresses: Vec<IpAddr> =
            look_up(&host).await.unwrap_or_default().into_iter().filter(|address| !address.is_loopback()).collect();
        checked.push(Resolved { what, is_secret: false, host, addresses });
    }
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    Network::new(tools, &checked, &ranges, &read("/etc/hosts"), &read("/etc/resolv.conf"))
}

/// Checks the proxies in the scanner's environment, which do not depend on the target.
///
/// # Errors
/// A proxy is configured with a loopback address of this machine.
pub(super) fn named_proxies(environment: &[(OsString, OsString)]) -> Result<(), String> {
    let is_local = |host: &Host| match host {
        Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::V4(_) | Host::V6(_) => host.address().is_some_and(|address| address.is_loopback()),
    };
    match named_in(environment, &PROXIES).into_iter().find(|(_, host)| is_local(host)) {
        None => Ok(()),
        Some((what, host)) => Err(format!(
            "{what} names {host}, this machine itself, which an attempt cannot reach with scans.egress_limit"
        )),
    }
}

/// The hosts in the values of these environment variables. A value without a scheme is parsed as an
/// `http://` URL, like the tools do; a socket is not a host.
fn named_in(environment: &[(OsString, OsString)], names: &[&str]) -> Vec<(String, Host)> {
    let is_named = |name: &OsString| names.iter().any(|one| name.eq_ignore_ascii_case(one));
    let values = environment
        .iter()
        .filter(|(name, _)| is_named(name))
        .filter_map(|(name, value)| Some((name.to_string_lossy(), value.to_str()?)));
    let hosts = values.flat_map(|(name, value)| {
        let hosts = match value.split_once("://") {
            Some(("unix" | "npipe" | "fd", _)) => Vec::new(),
            Some(_) => hosts_in(value),
            None => hosts_in(&format!("http://{value}")),
        };
        hosts.into_iter().map(move |host| (format!("the scanner's variable {name}"), host))
    });
    hosts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn made(allow: &[&str], environment: &[(&str, &str)]) -> Result<String, String> {
        let limit = EgressLimit { allow: allow.iter().map(|rule| rule.parse().unwrap()).collect() };
        let environment: Vec<(OsString, OsString)> =
            environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let tools = Tools { pasta: "pasta".into(), ip: "ip".into() };
        reachable(&limit, tools, Vec::new(), &environment).await.map(|network| network.router(false, 1))
    }

    #[tokio::test]
    async fn allowed_ranges_and_proxies_are_reachable() {
        let routes = made(
            &["192.0.2.0/25"],
            &[("HTTPS_PROXY", "http://198.51.100.4:3128"), ("no_proxy", "203.0.113.9"), ("LANG", "203.0.113.8")],
        )
        .await
        .unwrap();
        assert!(
            routes.contains("add 192.0.2.0/25 ")
                && routes.contains("add 198.51.100.4/32 ")
                && !routes.contains("203.0.113"),
            "{routes}"
        );
    }

    #[tokio::test]
    async fn local_proxy_is_an_error_and_local_helper_is_not() {
        let local = |value: &str| named_proxies(&[("ALL_PROXY".into(), value.into())]);
        assert!(
            local("localhost:3128").is_err()
                && local("http://[::1]:1").is_err()
                && local("proxy.example.com:3128").is_ok()
                && local("").is_ok()
        );
        let why = made(&[], &[("http_proxy", "http://127.0.0.1:3128")]).await.unwrap_err();
        assert!(why.starts_with("the scanner's variable http_proxy leads to 127.0.0.1"), "{why}");
        for fine in ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "npipe:////./pipe/docker"] {
            made(&[], &[("DOCKER_HOST", fine), ("KAST_ZAP_URL", "http://localhost:8080"), ("HTTP_PROXY", "")])
                .await
                .unwrap();
        }
        let routes = made(&[], &[("HTTPS_PROXY", "203.0.113.2:3128")]).await.unwrap();
        assert!(routes.contains("route add 203.0.113.2/32 dev"), "a proxy needs no scheme: {routes}");
        let why = made(&["does-not-resolve.invalid"], &[]).await.unwrap_err();
        assert!(why.starts_with("scans.egress_allow: does-not-resolve.invalid does not resolve"), "{why}");
    }
}
