//! Networks from which clients connect, as address ranges in CIDR notation (RFC 4632).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// An address range: `192.0.2.0/24`, `2001:db8::/32`. As text, a single address stands for itself.
/// IPv4 addresses in IPv6 form are IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(IpNet);

/// The text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNetworkError {
    /// Neither an address nor a range.
    #[error("`{0}` is not an address or a range such as 192.0.2.0/24")]
    Malformed(String),
    /// The address has bits behind the prefix, so the range is probably another one.
    #[error("`{0}` is an address within a range; the range is {1}")]
    HasHostBits(IpNet, IpNet),
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ParseNetworkError::Malformed(text.chars().take(100).collect());
        let range = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| malformed())?,
        };
        let range = match range {
            IpNet::V6(v6) if v6.prefix_len() >= 96 => v6
                .addr()
                .to_ipv4_mapped()
                .map_or(Ok(range), |v4| IpNet::new(v4.into(), v6.prefix_len() - 96))
                .map_err(|_| malformed())?,
            other => other,
        };
        let network = range.trunc();
        if network == range { Ok(Self(network)) } else { Err(ParseNetworkError::HasHostBits(range, network)) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl Network {
    /// Returns true if an address is in the network.
    #[must_use]
    pub fn covers(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn network_is_written_as_it_is_read() {
        for (text, expected) in [
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/32", "192.0.2.7"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::1", "::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ] {
            assert_eq!(network(text).to_string(), expected);
            assert_eq!(network(expected), network(text));
        }
    }

    #[test]
    fn text_that_is_no_network_is_refused_with_the_reason() {
        for text in ["", "example.com", "192.0.2.0/33", "192.0.2/24", "192.0.2.0/", "::/129", " 192.0.2.7"] {
            assert_eq!(text.parse::<Network>(), Err(ParseNetworkError::Malformed(text.into())), "{text}");
        }
        let error = "10.0.0.5/8".parse::<Network>().unwrap_err().to_string();
        assert_eq!(error, "`10.0.0.5/8` is an address within a range; the range is 10.0.0.0/8");
        assert_eq!("x".repeat(200).parse::<Network>(), Err(ParseNetworkError::Malformed("x".repeat(100))));
    }

    #[test]
    fn network_covers_its_addresses_in_every_form() {
        for (range, address, is_covered) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "::ffff:192.0.2.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("0.0.0.0/0", "198.51.100.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "198.51.100.1", false),
        ] {
            assert_eq!(network(range).covers(address.parse().unwrap()), is_covered, "{range} {address}");
        }
    }
}
