//! The kind of a place that a plugin gives as text.

use super::host::Host;
use super::kinds::Place;
use super::names::Label;
use super::origin::{Endpoint, Origin};
use super::url::WebAddress;

impl Place {
    /// Reads the text of a plugin as a place: an address, a path of the target, `host:port`, a
    /// host, or else a text. An empty text is the target.
    #[must_use]
    pub fn guess(text: &str, target: Option<&Origin>) -> Self {
        let text = text.trim();
        if text.contains("://")
            && let Ok(address) = WebAddress::parse(text)
        {
            return Self::page(address);
        }
        if text.starts_with('/')
            && !text.starts_with("//")
            && let Some(target) = target
            && let Ok(address) = WebAddress::parse_on(target, text)
        {
            return Self::page(address);
        }
        if let Ok(endpoint) = Endpoint::parse(text) {
            return Self::Endpoint { endpoint };
        }
        if is_host(text)
            && let Ok(host) = Host::parse(text)
        {
            return Self::Host { host };
        }
        Label::parse(text).map_or(Self::Target, |text| Self::Text { text })
    }
}

/// True for a text with the shape of a host: labels with dots, or an IPv6 address.
fn is_host(text: &str) -> bool {
    let is_name =
        text.contains('.') && !text.contains(|c: char| c.is_whitespace() || matches!(c, '/' | ':' | '@' | '='));
    is_name || text.parse::<std::net::IpAddr>().is_ok()
}
