//! The parts of a place. Rules choose which of them make two sightings one finding.

use serde::{Deserialize, Serialize};

use super::kinds::Place;
use super::origin::{Endpoint, Origin};
use super::url::WebAddress;

/// A part of a place. The order is that of place keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The scheme of the site.
    Scheme,
    /// The host.
    Host,
    /// The port.
    Port,
    /// The path of a page, with markers for ids.
    Path,
    /// The names of the query.
    Query,
    /// The parameter of the request.
    Parameter,
    /// The header.
    Header,
    /// The cookie.
    Cookie,
    /// The version of TLS.
    Protocol,
    /// The cipher suite.
    Suite,
    /// The site that serves a script.
    ScriptOrigin,
    /// The path of a script.
    ScriptPath,
    /// The software.
    Component,
    /// The text of a place of no other kind.
    Text,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 14] = [
        Self::Scheme,
        Self::Host,
        Self::Port,
        Self::Path,
        Self::Query,
        Self::Parameter,
        Self::Header,
        Self::Cookie,
        Self::Protocol,
        Self::Suite,
        Self::ScriptOrigin,
        Self::ScriptPath,
        Self::Component,
        Self::Text,
    ];

    /// Returns the name in place keys and explanations. It is a part of every fingerprint and never
    /// changes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::Host => "host",
            Self::Port => "port",
            Self::Path => "path",
            Self::Query => "query",
            Self::Parameter => "parameter",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Protocol => "protocol",
            Self::Suite => "suite",
            Self::ScriptOrigin => "script-origin",
            Self::ScriptPath => "script-path",
            Self::Component => "component",
            Self::Text => "text",
        }
    }
}

impl Place {
    /// Returns a part of the place. `None`: this kind of place does not have it.
    #[must_use]
    pub fn part(&self, part: Part) -> Option<String> {
        match part {
            Part::Scheme => self.origin().map(|origin| origin.scheme().to_owned()),
            Part::Host => match self {
                Self::Host { host } => Some(host.to_string()),
                _ => self.endpoint().map(|endpoint| endpoint.host().to_string()),
            },
            Part::Port => self.endpoint().map(|endpoint| endpoint.port().to_string()),
            Part::Path => self.page_address().map(|address| address.path().to_owned()),
            Part::Query => {
                self.page_address().map(|address| address.query().join("&")).filter(|names| !names.is_empty())
            }
            _ => self.name_part(part),
        }
    }

    /// Returns a part that only one kind of place has.
    fn name_part(&self, part: Part) -> Option<String> {
        match (part, self) {
            (Part::Parameter, Self::Url { parameter, .. }) => parameter.as_ref().map(ToString::to_string),
            (Part::Header, Self::Header { header, .. }) => Some(header.to_string()),
            (Part::Cookie, Self::Cookie { cookie, .. }) => Some(cookie.to_string()),
            (Part::Protocol, Self::Protocol { protocol, .. } | Self::Cipher { protocol, .. }) => {
                Some(protocol.to_string())
            }
            (Part::Suite, Self::Cipher { suite, .. }) => Some(suite.to_string()),
            (Part::ScriptOrigin, Self::Script { script, .. }) => Some(script.origin().to_string()),
            (Part::ScriptPath, Self::Script { script, .. }) => Some(script.path().to_owned()),
            (Part::Component, Self::Component { component, .. }) => Some(component.to_string()),
            (Part::Text, Self::Text { text }) => Some(text.to_string()),
            _ => None,
        }
    }

    /// Returns the site.
    #[must_use]
    pub const fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Origin { origin }
            | Self::Header { origin, .. }
            | Self::Cookie { origin, .. }
            | Self::Script { origin, .. }
            | Self::Component { origin, .. } => Some(origin),
            Self::Url { address, .. } => Some(address.origin()),
            _ => None,
        }
    }

    /// Returns the port of the host.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Endpoint { endpoint } | Self::Protocol { endpoint, .. } | Self::Cipher { endpoint, .. } => {
                Some(endpoint.clone())
            }
            _ => self.origin().map(Origin::endpoint),
        }
    }

    /// Returns the place without what only its other parts have: a page whose path does not count
    /// is its site.
    #[must_use]
    pub fn reduced(&self, parts: &[Part]) -> Self {
        let has = |part: Part| parts.contains(&part);
        match self {
            Self::Url { address, .. } if !has(Part::Path) => Self::Origin { origin: address.origin().clone() },
            Self::Url { address, parameter } => Self::Url {
                address: if has(Part::Query) { address.clone() } else { address.without_query() },
                parameter: parameter.clone().filter(|_| has(Part::Parameter)),
            },
            Self::Cipher { endpoint, .. } if !has(Part::Suite) => Self::Endpoint { endpoint: endpoint.clone() },
            other => other.clone(),
        }
    }

    const fn page_address(&self) -> Option<&WebAddress> {
        match self {
            Self::Url { address, .. } => Some(address),
            _ => None,
        }
    }
}
