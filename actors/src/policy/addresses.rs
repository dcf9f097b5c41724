//! Classification of addresses: the IPv4 addresses embedded in an IPv6 address, and the special
//! ranges of both.
//!
//! Several forms of IPv6 addresses lead to an IPv4 host through the operating system, a translator
//! or a tunnel. A rule about the IPv4 host must hold for all of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The IPv4 addresses embedded in an IPv6 address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Embedded {
    /// The addresses that packets are delivered to. A rule that allows all of these allows the IPv6
    /// address.
    pub ends: Vec<Ipv4Addr>,
    /// All embedded addresses: `ends`, and those of relays and tunnels. A rule that denies one of
    /// these denies the IPv6 address.
    pub involved: Vec<Ipv4Addr>,
}

impl Embedded {
    fn ends(ends: Vec<Ipv4Addr>) -> Self {
        Self { involved: ends.clone(), ends }
    }
}

/// Extracts the IPv4 addresses embedded in an IPv6 address:
/// - IPv4-mapped `::ffff:0:0/96` and IPv4-compatible `::/96` (RFC 4291, 2.5.5), without `::` and
///   `::1`;
/// - IPv4-translated `::ffff:0:0:0/96` (SIIT, RFC 2765, 2.1);
/// - NAT64 with the well-known prefix `64:ff9b::/96` (RFC 6052) and the local-use prefix
///   `64:ff9b:1::/48` (RFC 8215);
/// - 6to4 `2002::/16` (RFC 3056) and Teredo `2001::/32` (RFC 4380);
/// - ISATAP interface identifiers `::0:5efe:0:0` and `::200:5efe:0:0` (RFC 5214), which are
///   involved only.
#[must_use]
pub fn embedded(address: Ipv6Addr) -> Embedded {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0) if address.is_unspecified() || address.is_loopback() => Embedded::default(),
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => {
            Embedded::ends(vec![join(g, h)])
        }
        (0x64, 0xff9b, 1, ..) => Embedded::ends(local_nat64(address)),
        (0x2002, high, low, ..) => Embedded::ends(vec![join(high, low)]),
        (0x2001, 0, server_high, server_low, ..) => {
            // The client's address is stored inverted (RFC 4380, 4). Packets are delivered to it;
            // the server only helps to open the path.
            let client = join(!g, !h);
            Embedded { ends: vec![client], involved: vec![client, join(server_high, server_low)] }
        }
        (_, _, _, _, 0 | 0x200, 0x5efe) => Embedded { ends: Vec::new(), involved: vec![join(g, h)] },
        _ => Embedded::default(),
    }
}

/// Returns the possible IPv4 addresses in an address with the local-use NAT64 prefix. Only the
/// network knows its prefix length, so all four layouts count (RFC 6052, 2.2). A result in
/// 0.0.0.0/8 comes from the zeros of another layout; it counts only if there is no other result.
fn local_nat64(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let o = address.octets();
    let layouts = [
        [o[6], o[7], o[9], o[10]],
        [o[7], o[9], o[10], o[11]],
        [o[9], o[10], o[11], o[12]],
        [o[12], o[13], o[14], o[15]],
    ];
    let readings: Vec<Ipv4Addr> = layouts.into_iter().filter(|layout| layout[0] != 0).map(Ipv4Addr::from).collect();
    if readings.is_empty() { vec![Ipv4Addr::UNSPECIFIED] } else { readings }
}

/// Returns true if an address is private, loopback, link-local or otherwise special, by itself or
/// by an embedded IPv4 address.
#[must_use]
pub fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_special_v4(address),
        IpAddr::V6(address) => {
            let carried = embedded(address);
            carried.involved.iter().any(|v4| is_special_v4(*v4)) || (carried.ends.is_empty() && is_special_v6(address))
        }
    }
}

/// Returns true if an address belongs to the machine itself or to its link: loopback, link-local,
/// multicast, and the services that clouds provide to their machines. A name from outside the
/// machine has no reason to resolve to one.
#[must_use]
pub fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => {
            // The metadata service of AWS.
            const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            embedded(address).involved.iter().any(|v4| is_local_v4(*v4))
                || address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.segments()[0] & 0xffc0 == 0xfe80
                || address == METADATA
        }
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || is_metadata(address)
}

/// Returns true for metadata and agent services outside of 169.254.0.0/16: Alibaba Cloud, Oracle
/// Cloud and Azure.
fn is_metadata(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16])
}

/// Returns true for the special-purpose ranges of IPv4 (RFC 6890 and its registry).
fn is_special_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || is_metadata(address)
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240
}

/// Returns true for all of IPv6 except the global unicast addresses, and for the special-purpose
/// ranges within those (the registry of RFC 6890).
fn is_special_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, ..] = address.segments();
    a & 0xe000 != 0x2000
        || (a == 0x2001 && b == 0xdb8)
        || (a == 0x3fff && b < 0x1000)
        || (a == 0x2001 && b == 2 && c == 0)
        || (a == 0x2001 && (0x10..0x20).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(text: &str) -> Vec<Ipv4Addr> {
        text.split_whitespace().map(|part| part.parse().unwrap()).collect()
    }

    #[test]
    fn embedded_addresses_are_found_in_every_form() {
        for (address, ends, involved) in [
            ("::ffff:10.1.2.3", "10.1.2.3", "10.1.2.3"),
            ("::10.1.2.3", "10.1.2.3", "10.1.2.3"),
            ("::ffff:0:10.1.2.3", "10.1.2.3", "10.1.2.3"),
            ("64:ff9b::10.1.2.3", "10.1.2.3", "10.1.2.3"),
            ("64:ff9b:1::10.1.2.3", "10.1.2.3", "10.1.2.3"),
            ("64:ff9b:1:abcd::10.1.2.3", "171.205.0.0 205.0.0.0 10.1.2.3", "171.205.0.0 205.0.0.0 10.1.2.3"),
            // The layouts of /48, /56 and /64.
            ("64:ff9b:1:a01:2:300::", "10.1.2.3 1.2.3.0 2.3.0.0", "10.1.2.3 1.2.3.0 2.3.0.0"),
            ("64:ff9b:1:a:1:203::", "10.1.2.3 1.2.3.0", "10.1.2.3 1.2.3.0"),
            ("64:ff9b:1:0:a:102:300::", "10.1.2.3 3.0.0.0", "10.1.2.3 3.0.0.0"),
            ("64:ff9b:1::", "0.0.0.0", "0.0.0.0"),
            ("2002:a01:203::1", "10.1.2.3", "10.1.2.3"),
            ("2001:0:4136:e378:8000:63bf:f5fe:fdfc", "10.1.2.3", "10.1.2.3 65.54.227.120"),
            ("2001:db8::5efe:10.1.2.3", "", "10.1.2.3"),
            ("2001:db8::200:5efe:10.1.2.3", "", "10.1.2.3"),
            ("::1", "", ""),
            ("::", "", ""),
            ("2606:4700::1111", "", ""),
            ("2001:1::1", "", ""),
            ("64:ff9b:2::10.1.2.3", "", ""),
        ] {
            let found = embedded(address.parse().unwrap());
            assert_eq!((found.ends, found.involved), (v4(ends), v4(involved)), "{address}");
        }
    }

    #[test]
    fn special_ranges_are_recognised() {
        for address in [
            "::1",
            "::",
            "::2",
            "fe80::1",
            "fec0::1",
            "fd00::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "2001:2::1",
            "2001:10::1",
            "100::1",
            "5f00::1",
            "4000::1",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            // Teredo with a private client, and with a private server.
            "2001:0:4136:e378:8000:63bf:f5fe:fdfc",
            "2001:0:a00:1:8000:63bf:f7f7:f7f7",
            "2606:4700::5efe:127.0.0.1",
        ] {
            assert!(is_special(address.parse().unwrap()), "{address}");
        }
        for address in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808:8000:63bf:f7f7:f7f7",
        ] {
            assert!(!is_special(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn local_services_are_recognised() {
        for address in [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::127.0.0.1",
            "2002:7f00:1::",
        ] {
            assert!(is_local(address.parse().unwrap()), "{address}");
        }
        for address in
            ["10.0.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "fd00::1", "::ffff:10.0.0.1", "2606:4700::1111"]
        {
            assert!(!is_local(address.parse().unwrap()), "{address}");
        }
    }
}
