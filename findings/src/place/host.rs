//! The normal form of hosts.

use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use super::fault::PlaceFault;

/// The longest host in bytes.
const MOST_BYTES: usize = 253;

/// A host in normal form: a DNS name in lower-case ASCII without a trailing dot, or an IP address
/// in its shortest form, without brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

impl Host {
    /// Parses a host. IPv6 addresses may have brackets.
    ///
    /// # Errors
    /// The text is empty, or no name and no address.
    pub fn parse(text: &str) -> Result<Self, PlaceFault> {
        let mut host = text.trim().to_owned();
        // A name of full-width characters can be an address after its conversion. A second pass
        // converts that too.
        for _ in 0..3 {
            let next = once(&host)?;
            if next == host {
                return Ok(Self(next));
            }
            host = next;
        }
        Err(PlaceFault::NoHost)
    }

    /// Returns the host as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true for an IPv6 address, which needs brackets in addresses.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.0.contains(':')
    }
}

/// Converts the host once.
fn once(text: &str) -> Result<String, PlaceFault> {
    let text = text.trim_end_matches('.');
    if text.is_empty() {
        return Err(PlaceFault::NoHost);
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return Ok(address.to_string());
    }
    let host = match ::url::Host::parse(text).map_err(|_| PlaceFault::NoHost)? {
        ::url::Host::Domain(name) => name.trim_end_matches('.').to_owned(),
        ::url::Host::Ipv4(address) => address.to_string(),
        ::url::Host::Ipv6(address) => address.to_string(),
    };
    if host.is_empty() || host.len() > MOST_BYTES { Err(PlaceFault::NoHost) } else { Ok(host) }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Host {
    type Error = PlaceFault;

    fn try_from(text: String) -> Result<Self, PlaceFault> {
        Self::parse(&text)
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.0
    }
}
