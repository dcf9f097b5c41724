//! The kinds of places.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::host::Host;
use super::names::{HeaderName, Label};
use super::origin::{Endpoint, Origin};
use super::url::WebAddress;

/// Where an issue was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Place {
    /// The target as such: the plugin gives no place.
    Target,
    /// A site.
    Origin {
        /// The site.
        origin: Origin,
    },
    /// A host, whatever the port: a DNS name or an IP address.
    Host {
        /// The host.
        host: Host,
    },
    /// A port of a host.
    Endpoint {
        /// The host and the port.
        endpoint: Endpoint,
    },
    /// A page, or a parameter of it.
    Url {
        /// The page.
        address: WebAddress,
        /// The parameter of the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parameter: Option<Label>,
    },
    /// A header of the answers of a site.
    Header {
        /// The site.
        origin: Origin,
        /// The header.
        header: HeaderName,
    },
    /// A cookie of a site.
    Cookie {
        /// The site.
        origin: Origin,
        /// The name of the cookie.
        cookie: Label,
    },
    /// A version of TLS that a port offers.
    Protocol {
        /// The host and the port.
        endpoint: Endpoint,
        /// The version.
        protocol: Label,
    },
    /// A cipher suite that a port offers.
    Cipher {
        /// The host and the port.
        endpoint: Endpoint,
        /// The version of TLS.
        protocol: Label,
        /// The cipher suite.
        suite: Label,
    },
    /// A script or style sheet that a site loads.
    Script {
        /// The site.
        origin: Origin,
        /// The address of the script.
        script: WebAddress,
    },
    /// A piece of software of a site.
    Component {
        /// The site.
        origin: Origin,
        /// The name of the software.
        component: Label,
    },
    /// A text that is no place of another kind.
    Text {
        /// The text.
        text: Label,
    },
}

impl Place {
    /// Returns the place of a page.
    #[must_use]
    pub const fn page(address: WebAddress) -> Self {
        Self::Url { address, parameter: None }
    }

    /// Returns the name of the kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Origin { .. } => "origin",
            Self::Host { .. } => "host",
            Self::Endpoint { .. } => "endpoint",
            Self::Url { .. } => "url",
            Self::Header { .. } => "header",
            Self::Cookie { .. } => "cookie",
            Self::Protocol { .. } => "protocol",
            Self::Cipher { .. } => "cipher",
            Self::Script { .. } => "script",
            Self::Component { .. } => "component",
            Self::Text { .. } => "text",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target => f.write_str("the target"),
            Self::Origin { origin } => origin.fmt(f),
            Self::Host { host } => host.fmt(f),
            Self::Endpoint { endpoint } => endpoint.fmt(f),
            Self::Url { address, parameter: None } => address.fmt(f),
            Self::Url { address, parameter: Some(parameter) } => write!(f, "{address} (parameter {parameter})"),
            Self::Header { origin, header } => write!(f, "{origin} (header {header})"),
            Self::Cookie { origin, cookie } => write!(f, "{origin} (cookie {cookie})"),
            Self::Protocol { endpoint, protocol } => write!(f, "{endpoint} ({protocol})"),
            Self::Cipher { endpoint, protocol, suite } => write!(f, "{endpoint} ({protocol} {suite})"),
            Self::Script { origin, script } => write!(f, "{script} (loaded by {origin})"),
            Self::Component { origin, component } => write!(f, "{origin} ({component})"),
            Self::Text { text } => text.fmt(f),
        }
    }
}
