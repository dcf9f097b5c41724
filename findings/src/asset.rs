//! Assets: what a plugin collected about a target. They are shown, and never counted as issues.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits::{MOST_ATTRIBUTE_CHARS, MOST_ATTRIBUTES};
use crate::place::{Endpoint, Host, Label, Origin, WebAddress};
use crate::text::clean;

/// The kind of an asset, with what identifies it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AssetKind {
    /// A page that a crawler saw.
    Url {
        /// The page.
        address: WebAddress,
    },
    /// Software of a site.
    Technology {
        /// The site.
        origin: Origin,
        /// The name.
        name: Label,
    },
    /// A host that belongs to the target's domain or organization.
    Host {
        /// The host.
        host: Host,
    },
    /// The certificate of a port.
    Certificate {
        /// The host and the port.
        endpoint: Endpoint,
        /// Which of several certificates, from 1.
        number: u8,
    },
    /// A web application firewall in front of a site.
    Waf {
        /// The site.
        origin: Origin,
        /// The product.
        name: Label,
    },
    /// A script that a site loads.
    Script {
        /// The site.
        origin: Origin,
        /// The address of the script.
        script: WebAddress,
    },
    /// An exposed service that a search engine knows.
    Service {
        /// The host and the port.
        endpoint: Endpoint,
    },
}

/// One collected item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// The plugin that collected it.
    pub plugin: String,
    /// The kind, with what identifies the asset.
    #[serde(flatten)]
    pub kind: AssetKind,
    /// Further facts, such as versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// When the asset ends to be valid: certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
}

impl Asset {
    /// Creates an asset.
    #[must_use]
    pub fn new(plugin: &str, kind: AssetKind) -> Self {
        Self { plugin: plugin.to_owned(), kind, attributes: BTreeMap::new(), valid_until: None }
    }

    /// Adds an attribute, if it is not blank.
    #[must_use]
    pub fn attribute(mut self, name: &'static str, value: Option<&str>) -> Self {
        let value = clean(value.unwrap_or_default(), MOST_ATTRIBUTE_CHARS);
        if !value.is_empty() && self.attributes.len() < MOST_ATTRIBUTES {
            self.attributes.insert(name.to_owned(), value);
        }
        self
    }

    /// Returns the full days from `now` until the asset ends to be valid, negative afterwards.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> Option<i64> {
        self.valid_until.map(|until| (until.as_second() - now.as_second()).div_euclid(86_400))
    }
}
