//! Sites and ports of hosts.

use std::fmt;

use ::url::Url;
use serde::{Deserialize, Serialize};

use super::fault::PlaceFault;
use super::host::Host;

/// A scheme of the web.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Scheme {
    Http,
    Https,
    Ws,
    Wss,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Ws, Self::Wss];

    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::Ws => 80,
            Self::Https | Self::Wss => 443,
        }
    }
}

/// A site: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin {
    scheme: Scheme,
    host: Host,
    port: u16,
}

impl Origin {
    /// Creates a site of the web.
    ///
    /// # Errors
    /// The scheme is no scheme of the web, or the port is 0.
    pub fn new(scheme: &str, host: Host, port: Option<u16>) -> Result<Self, PlaceFault> {
        let scheme = Scheme::ALL
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known.name()))
            .ok_or(PlaceFault::NotWeb)?;
        let port = port.unwrap_or(scheme.default_port());
        if port == 0 { Err(PlaceFault::NoPort) } else { Ok(Self { scheme, host, port }) }
    }

    /// Parses the site of an address with its scheme.
    ///
    /// # Errors
    /// The text is no address of the web.
    pub fn parse(text: &str) -> Result<Self, PlaceFault> {
        Self::of_url(&Url::parse(text.trim()).map_err(|_| PlaceFault::NoAddress)?)
    }

    /// Returns the site of a parsed address.
    pub(super) fn of_url(url: &Url) -> Result<Self, PlaceFault> {
        let host = Host::parse(url.host_str().ok_or(PlaceFault::NoHost)?)?;
        Self::new(url.scheme(), host, url.port())
    }

    /// Returns the site of a scan's target: an address, `host:port` or a host. Without a scheme it
    /// is `https`, as KAST's plugins read it, or `http` on port 80.
    ///
    /// # Errors
    /// The target is no address.
    pub fn of_target(target: &str) -> Result<Self, PlaceFault> {
        let target = target.trim();
        if target.contains("://") {
            return Self::parse(target);
        }
        let authority = target.split(['/', '?', '#']).next().unwrap_or(target);
        match Endpoint::parse(authority) {
            Ok(Endpoint { host, port: 80 }) => Self::new("http", host, Some(80)),
            Ok(Endpoint { host, port }) => Self::new("https", host, Some(port)),
            Err(_) => Self::new("https", Host::parse(authority)?, None),
        }
    }

    /// Returns the scheme in lower case.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        self.scheme.name()
    }

    /// Returns the host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the port of the host, whatever is spoken there.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { host: self.host.clone(), port: self.port }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme())?;
        write_host(&self.host, f)?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl TryFrom<String> for Origin {
    type Error = PlaceFault;

    fn try_from(text: String) -> Result<Self, PlaceFault> {
        Self::parse(&text)
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

/// A port of a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    host: Host,
    port: u16,
}

impl Endpoint {
    /// Creates a port of a host.
    ///
    /// # Errors
    /// The port is 0.
    pub fn new(host: Host, port: u16) -> Result<Self, PlaceFault> {
        if port == 0 {
            return Err(PlaceFault::NoPort);
        }
        Ok(Self { host, port })
    }

    /// Parses `host:port`. IPv6 addresses need brackets.
    ///
    /// # Errors
    /// There is no port, or no host before it.
    pub fn parse(text: &str) -> Result<Self, PlaceFault> {
        let (host, port) = text.trim().rsplit_once(':').ok_or(PlaceFault::NoPort)?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(PlaceFault::NoHost);
        }
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = if is_number { port.parse().ok() } else { None };
        Self::new(Host::parse(host)?, port.ok_or(PlaceFault::NoPort)?)
    }

    /// Returns the host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_host(&self.host, f)?;
        write!(f, ":{}", self.port)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = PlaceFault;

    fn try_from(text: String) -> Result<Self, PlaceFault> {
        Self::parse(&text)
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

fn write_host(host: &Host, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if host.is_ipv6() { write!(f, "[{host}]") } else { write!(f, "{host}") }
}
