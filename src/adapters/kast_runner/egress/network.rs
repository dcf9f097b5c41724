//! Computes the routes, names and resolvers of an attempt's network. Pure functions from text to
//! text.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use kastrel_actors::model::Host;
use serde::{Deserialize, Serialize};

use super::Tools;

/// The router's interface to the outside, which pasta creates.
pub(super) const OUTSIDE: &str = "kastrel0";
/// The two ends of the link between the router and the scanner. The scanner has no other interface
/// except its loopback interface.
const ROUTER_SIDE: &str = "scanner0";
const SCANNER_SIDE: &str = "eth0";
/// The addresses of the scanner and of the router, from reserved ranges (RFC 2544 and RFC 4193).
/// Remote hosts see an address of the machine.
pub(super) const OWN: [&str; 2] = ["198.18.0.1", "fd00:6b61::1"];
pub(super) const GATEWAYS: [&str; 2] = ["198.18.0.2", "fd00:6b61::2"];
/// The same MTU as pasta's: a smaller one costs throughput.
const MTU: u32 = 65_520;
/// Replacement addresses for a resolver on a loopback address of the machine, because the scanner's
/// network has its own loopback interface.
pub(super) const RESOLVERS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 18, 0, 53)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0x6b61, 0, 0, 0, 0, 0, 0x53))];

/// A host with its current addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Resolved {
    /// The purpose of the host, for messages: "the target".
    pub(in super::super) what: String,
    /// True if messages must not contain its addresses.
    pub(in super::super) is_secret: bool,
    pub(in super::super) host: Host,
    pub(in super::super) addresses: Vec<IpAddr>,
}

/// An attempt's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Network {
    /// The programs that connect the network. `None`: it is not connected.
    pub(super) tools: Option<Tools>,
    /// The reachable addresses, as ranges with a number of prefix bits.
    reach: BTreeSet<(IpAddr, u8)>,
    /// The text of its `/etc/hosts`.
    pub(super) hosts: String,
    /// The text of its `/etc/resolv.conf`.
    pub(super) resolv_conf: String,
}

impl Network {
    /// Creates the network for these hosts and ranges, on a machine with these files.
    ///
    /// # Errors
    /// A host is on this machine's loopback interface, which the attempt's network does not have.
    pub(super) fn new(
        tools: Tools,
        hosts: &[Resolved],
        ranges: &[(IpAddr, u8)],
        etc_hosts: &str,
        resolv_conf: &str,
    ) -> Result<Self, String> {
        let mut reach: BTreeSet<(IpAddr, u8)> =
            ranges.iter().map(|(address, bits)| (first_of(*address, *bits), *bits)).collect();
        let mut names = String::new();
        for resolved in hosts {
            for address in resolved.addresses.iter().map(IpAddr::to_canonical) {
                if address.is_loopback() || address.is_unspecified() {
                    let where_to = if resolved.is_secret { String::new() } else { format!("{address}, ") };
                    return Err(format!(
                        "{} leads to {where_to}this machine itself, which an attempt cannot reach with scans.egress_limit",
                        resolved.what
                    ));
                }
                reach.insert((address, bits(address)));
                if let Host::Name(name) = &resolved.host {
                    let _ = writeln!(names, "{address} {}", name.trim_end_matches('.'));
                }
            }
        }
        let (resolv_conf, resolvers) = resolvers(resolv_conf);
        reach.extend(resolvers.into_iter().map(|address| (address, bits(address))));
        Ok(Self { tools: Some(tools), reach, hosts: format!("{names}{etc_hosts}"), resolv_conf })
    }

    /// Creates a network in which no address is reachable.
    pub(in super::super) const fn offline() -> Self {
        Self { tools: None, reach: BTreeSet::new(), hosts: String::new(), resolv_conf: String::new() }
    }

    /// Serializes the network for the process that creates it.
    ///
    /// # Errors
    /// The path of a program is not UTF-8.
    pub(in super::super) fn to_text(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|error| format!("the network cannot be described: {error}"))
    }

    /// The input of `ip -4 -batch` or `ip -6 -batch` in the router, where IPv4 comes first. It
    /// creates the link to the scanner's network, which is that of the process `holder`, removes
    /// all routes, and adds the allowed ones.
    pub(super) fn router(&self, is_v6: bool, holder: u32) -> String {
        let (own, gateway) = (OWN[usize::from(is_v6)], GATEWAYS[usize::from(is_v6)]);
        let mut text = if is_v6 {
            format!("address flush dev {OUTSIDE} scope global\naddress add {gateway}/128 dev {ROUTER_SIDE} nodad\n")
        } else {
            format!(
                "address flush dev {OUTSIDE}\nlink add {ROUTER_SIDE} mtu {MTU} type veth peer name {SCANNER_SIDE} mtu {MTU}\nlink set {SCANNER_SIDE} netns {holder}\n\
                 address add {gateway}/32 dev {ROUTER_SIDE}\nlink set {ROUTER_SIDE} up\n"
            )
        };
        let _ = writeln!(text, "route flush table main\nroute add {own} dev {ROUTER_SIDE}");
        for (address, bits) in self.reach.iter().filter(|(address, _)| address.is_ipv6() == is_v6) {
            let _ = writeln!(text, "route add {address}/{bits} dev {OUTSIDE}");
        }
        text
    }

    /// The input of `ip -4 -batch` or `ip -6 -batch` in the scanner's network, where IPv4 comes
    /// first. The router is the only neighbour.
    pub(super) fn scanner(is_v6: bool) -> String {
        let (own, gateway) = (OWN[usize::from(is_v6)], GATEWAYS[usize::from(is_v6)]);
        let first = if is_v6 {
            format!("address add {own}/128 dev {SCANNER_SIDE} nodad\n")
        } else {
            format!("link set lo up\naddress add {own}/32 dev {SCANNER_SIDE}\nlink set {SCANNER_SIDE} up\n")
        };
        format!("{first}route add {gateway} dev {SCANNER_SIDE}\nroute add default via {gateway} dev {SCANNER_SIDE}\n")
    }

    /// Verifies the router's routes, in the format of `/proc/net/route` and `/proc/net/ipv6_route`:
    /// the router must not forward to an address that is not allowed.
    pub(super) fn verify(&self, v4: &str, v6: &str) -> Result<(), String> {
        let routes = v4.lines().skip(1).map(route_of_v4).chain(v6.lines().map(route_of_v6));
        for route in routes {
            match route {
                None => return Err("the kernel's list of routes cannot be read".to_owned()),
                Some(Route { is_harmless: true, .. }) => {}
                Some(Route { to, .. }) if self.reach.contains(&to) => {}
                Some(Route { to: (address, bits), .. }) => {
                    return Err(format!("there is an unexpected route to {address}/{bits}"));
                }
            }
        }
        Ok(())
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The first address of a range, because the kernel accepts no other one in a route.
fn first_of(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0))
                .into()
        }
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0))
                .into()
        }
    }
}

/// Rewrites a `resolv.conf`: replaces resolvers on a loopback address. Returns the text and the
/// resolvers' addresses. Without a resolver, the default is `127.0.0.1` (resolv.conf(5)).
fn resolvers(text: &str) -> (String, Vec<IpAddr>) {
    let stand_in = |address: IpAddr| if address.is_ipv4() { RESOLVERS[0] } else { RESOLVERS[1] };
    let mut rewritten = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let address = (words.next() == Some("nameserver"))
            .then(|| words.next().and_then(|word| word.parse::<IpAddr>().ok()))
            .flatten();
        match address {
            Some(address) => {
                let address =
                    if address.is_loopback() || address.is_unspecified() { stand_in(address) } else { address };
                found.push(address);
                let _ = writeln!(rewritten, "nameserver {address}");
            }
            None => {
                let _ = writeln!(rewritten, "{line}");
            }
        }
    }
    if found.is_empty() {
        found.push(RESOLVERS[0]);
        let _ = writeln!(rewritten, "nameserver {}", RESOLVERS[0]);
    }
    (rewritten, found)
}

/// A route in the kernel's lists.
struct Route {
    to: (IpAddr, u8),
    /// True if it leads to the network itself, or to an address that a router does not forward to.
    is_harmless: bool,
}

/// Parses a line of `/proc/net/route`: addresses are hexadecimal numbers in the machine's byte
/// order.
fn route_of_v4(line: &str) -> Option<Route> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let number = |index: usize| u32::from_str_radix(columns.get(index)?, 16).ok();
    let (to, mask) = (number(1)?, number(7)?);
    let address = Ipv4Addr::from(to.to_ne_bytes());
    let bits = u8::try_from(mask.count_ones()).ok()?;
    Some(Route {
        to: (address.into(), bits),
        is_harmless: columns.first().is_some_and(|name| matches!(*name, "lo" | ROUTER_SIDE)),
    })
}

/// Parses a line of `/proc/net/ipv6_route`.
fn route_of_v6(line: &str) -> Option<Route> {
    /// The flag of a route to the network's own address (RTF_LOCAL).
    const LOCAL: u32 = 0x8000_0000;
    let columns: Vec<&str> = line.split_whitespace().collect();
    let address = Ipv6Addr::from(u128::from_str_radix(columns.first()?, 16).ok()?);
    let bits = u8::from_str_radix(columns.get(1)?, 16).ok()?;
    let flags = u32::from_str_radix(columns.get(8)?, 16).ok()?;
    // A router forwards neither link-local nor multicast addresses (RFC 4291; the kernel forwards
    // multicast only with a routing daemon).
    let is_link = address.is_unicast_link_local() || address.is_multicast();
    let is_inside = columns.last().is_some_and(|name| matches!(*name, "lo" | ROUTER_SIDE));
    Some(Route { to: (address.into(), bits), is_harmless: is_inside || flags & LOCAL != 0 || is_link })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> Tools {
        Tools { pasta: "/usr/bin/pasta".into(), ip: "/usr/sbin/ip".into() }
    }

    fn resolved(host: &str, addresses: &[&str]) -> Resolved {
        let host = host.parse::<kastrel_actors::model::Target>().unwrap().host().clone();
        Resolved {
            what: "the target".into(),
            is_secret: false,
            host,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn network(hosts: &[Resolved], ranges: &[(IpAddr, u8)], resolv_conf: &str) -> Result<Network, String> {
        Network::new(tools(), hosts, ranges, "127.0.0.1 localhost\n", resolv_conf)
    }

    /// The routes of the router.
    fn routes(network: &Network, is_v6: bool) -> String {
        let text = network.router(is_v6, 7);
        let (_, routes) = text
            .split_once(&format!("route flush table main\nroute add {} dev scanner0\n", OWN[usize::from(is_v6)]))
            .unwrap();
        routes.to_owned()
    }

    #[test]
    fn router_is_the_only_neighbour_of_the_scanner() {
        assert_eq!(
            Network::scanner(false),
            "link set lo up\naddress add 198.18.0.1/32 dev eth0\nlink set eth0 up\nroute add 198.18.0.2 dev eth0\nroute add default via 198.18.0.2 dev eth0\n"
        );
        assert_eq!(
            Network::scanner(true),
            "address add fd00:6b61::1/128 dev eth0 nodad\nroute add fd00:6b61::2 dev eth0\nroute add default via fd00:6b61::2 dev eth0\n"
        );
        let router = network(&[], &[], "nameserver 10.0.0.53").unwrap().router(false, 7);
        assert!(
            router.starts_with("address flush dev kastrel0\nlink add scanner0 mtu 65520 type veth peer name eth0 mtu 65520\nlink set eth0 netns 7\n"),
            "{router}"
        );
    }

    #[test]
    fn only_target_resolvers_and_allowed_ranges_have_routes() {
        let hosts =
            [resolved("example.com", &["203.0.113.5", "2001:db8::5"]), resolved("198.51.100.7", &["198.51.100.7"])];
        let made = network(&hosts, &[("192.0.2.0".parse().unwrap(), 24)], "# x\nnameserver 10.0.0.53\noptions edns0\n")
            .unwrap();
        assert_eq!(
            routes(&made, false),
            "route add 10.0.0.53/32 dev kastrel0\nroute add 192.0.2.0/24 dev kastrel0\nroute add 198.51.100.7/32 dev kastrel0\nroute add 203.0.113.5/32 dev kastrel0\n"
        );
        let ranges =
            [("10.1.2.3".parse().unwrap(), 8), ("2001:db8::7".parse().unwrap(), 64), ("::".parse().unwrap(), 0)];
        let of_ranges = network(&[], &ranges, "nameserver 10.0.0.53").unwrap();
        assert_eq!(
            routes(&of_ranges, false),
            "route add 10.0.0.0/8 dev kastrel0\nroute add 10.0.0.53/32 dev kastrel0\n"
        );
        assert_eq!(routes(&of_ranges, true), "route add ::/0 dev kastrel0\nroute add 2001:db8::/64 dev kastrel0\n");
        assert_eq!(routes(&made, true), "route add 2001:db8::5/128 dev kastrel0\n");
        assert_eq!(
            made.hosts, "203.0.113.5 example.com\n2001:db8::5 example.com\n127.0.0.1 localhost\n",
            "what was checked comes first"
        );
        assert_eq!(made.resolv_conf, "# x\nnameserver 10.0.0.53\noptions edns0\n");
    }

    #[test]
    fn loopback_resolver_is_replaced() {
        for (text, rewritten, reached) in [
            ("nameserver 127.0.0.53\nsearch x\n", "nameserver 198.18.0.53\nsearch x\n", "198.18.0.53/32"),
            ("nameserver ::1", "nameserver fd00:6b61::53\n", "fd00:6b61::53/128"),
            ("nameserver 0.0.0.0", "nameserver 198.18.0.53\n", "198.18.0.53/32"),
            ("", "nameserver 198.18.0.53\n", "198.18.0.53/32"),
            ("nameserver\t10.0.0.1 ", "nameserver 10.0.0.1\n", "10.0.0.1/32"),
            (
                "#nameserver 10.0.0.1\nnameserver x\n",
                "#nameserver 10.0.0.1\nnameserver x\nnameserver 198.18.0.53\n",
                "198.18.0.53/32",
            ),
        ] {
            let made = network(&[], &[], text).unwrap();
            assert_eq!(made.resolv_conf, rewritten);
            assert!(
                format!("{}{}", routes(&made, false), routes(&made, true))
                    .contains(&format!("route add {reached} dev")),
                "{text}: {made:?}"
            );
        }
    }

    #[test]
    fn loopback_target_is_an_error() {
        for address in ["127.0.0.1", "127.8.9.10", "::1", "0.0.0.0", "::"] {
            let why = network(&[resolved("example.com", &["203.0.113.5", address])], &[], "").unwrap_err();
            assert!(why.starts_with(&format!("the target leads to {address}, this machine itself")), "{why}");
        }
    }

    const V4_HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    /// A line of `/proc/net/route` in the byte order of this machine.
    fn v4(interface: &str, address: &str, bits: u32) -> String {
        let address = u32::from_ne_bytes(address.parse::<Ipv4Addr>().unwrap().octets());
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0).to_be();
        format!("{V4_HEAD}{interface}\t{address:08X}\t00000000\t0005\t0\t0\t0\t{mask:08X}\t0\t0\t0\n")
    }

    fn v6(address: &str, bits: u8, flags: u32, interface: &str) -> String {
        let zero = "0".repeat(32);
        format!(
            "{:032x} {bits:02x} {zero} 00 {zero} 00000400 00000001 00000000 {flags:08x} {interface}\n",
            address.parse::<Ipv6Addr>().unwrap().to_bits()
        )
    }

    #[test]
    fn unexpected_routes_are_detected() {
        let made = network(
            &[resolved("x.test", &["203.0.113.5", "2001:db8::5"])],
            &[("192.0.2.0".parse().unwrap(), 24)],
            "nameserver 10.0.0.53",
        )
        .unwrap();
        let verify = |v4: &str, v6: &str| made.verify(v4, v6);
        assert_eq!(verify("", ""), Ok(()));
        for fine in [
            v4(OUTSIDE, "203.0.113.5", 32),
            v4(OUTSIDE, "192.0.2.0", 24),
            v4("lo", "127.0.0.0", 8),
            v4("scanner0", "198.18.0.1", 32),
        ] {
            assert_eq!(verify(&fine, ""), Ok(()), "{fine}");
        }
        for (wrong, named) in [
            (v4(OUTSIDE, "0.0.0.0", 0), "0.0.0.0/0"),
            (v4(OUTSIDE, "203.0.113.0", 24), "203.0.113.0/24"),
            (v4("eth0", "198.18.0.0", 30), "198.18.0.0/30"),
            (v4(OUTSIDE, "198.18.0.1", 32), "198.18.0.1/32"),
        ] {
            assert!(verify(&wrong, "").unwrap_err().contains(named), "{wrong}");
        }
        let local = 0x8020_0001;
        for fine in [
            v6("2001:db8::5", 128, 1, OUTSIDE),
            v6("fd00:6b61::1", 128, local, OUTSIDE),
            v6("ff00::", 8, 1, OUTSIDE),
            v6("fe80::", 64, 1, OUTSIDE),
            v6("::", 0, 0x0020_0200, "lo"),
        ] {
            assert_eq!(verify("", &fine), Ok(()), "{fine}");
        }
        for (wrong, named) in [(v6("::", 0, 3, OUTSIDE), "::/0"), (v6("2001:db8::", 64, 1, OUTSIDE), "2001:db8::/64")] {
            assert!(verify("", &wrong).unwrap_err().contains(named), "{wrong}");
        }
        assert!(verify(&format!("{V4_HEAD}kastrel0 x"), "").is_err());
        assert!(verify("", "kastrel0").is_err());
    }
}
