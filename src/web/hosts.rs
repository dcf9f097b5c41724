//! Which `Host` headers are ours.
//!
//! A page of another site may point a name of its own at our address and then talk to us as if it were us (DNS rebinding). Its requests carry that name, so we answer to our own names only.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

/// Which names this server answers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostRule {
    /// Bound to loopback: only `localhost`, loopback addresses and `names` are ours.
    pub loopback: bool,
    /// Further names, without port.
    pub names: Vec<String>,
}

impl HostRule {
    /// Whether a request with this `Host` is meant for us.
    #[must_use]
    pub fn admits(&self, host: &str) -> bool {
        let name = without_port(host);
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        if name.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        if self.names.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
            return true;
        }
        // An address cannot be rebound: the browser went to the very address that it names.
        !self.loopback && address.is_some()
    }

    pub(crate) fn admits_request(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        host_of(uri, headers).is_some_and(|host| self.admits(host))
    }
}

/// The host that a request names, with its port: HTTP/2 says it in the URI, HTTP/1 in a header.
pub(crate) fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(header::HOST)?.to_str().ok(),
    }
}

fn without_port(host: &str) -> &str {
    let end_of_address = host.rfind(']').map_or(0, |at| at + 1);
    match host[end_of_address..].rfind(':') {
        Some(at) => &host[..end_of_address + at],
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;
    use crate::web::testing::{TestApp, header_of};

    #[test]
    fn on_loopback_only_our_own_names_are_ours() {
        let rule = HostRule { loopback: true, names: vec!["kastrel.test".into()] };
        for ours in ["localhost", "LOCALHOST:5000", "127.0.0.1:5000", "127.0.0.1", "[::1]:5000", "[::1]", "kastrel.test:80"] {
            assert!(rule.admits(ours), "{ours}");
        }
        for strange in ["", "evil.example", "localhost.evil.example:5000", "10.0.0.1:5000", "[2001:db8::1]", "127.0.0.1.evil.example", "evil.example:127.0.0.1"]
        {
            assert!(!rule.admits(strange), "{strange}");
        }
    }

    #[test]
    fn beyond_loopback_addresses_and_the_given_names_are_ours() {
        let open = HostRule::default();
        assert!(!open.admits("scans.example.com") && open.admits("10.0.0.1:5000") && open.admits("[2001:db8::1]:5000") && !open.admits(""));
        let named = HostRule { loopback: false, names: vec!["scans.example.com".into()] };
        assert!(named.admits("scans.example.com:5000") && named.admits("10.0.0.1:5000") && !named.admits("evil.example"));
    }

    #[tokio::test]
    async fn every_route_refuses_a_strange_host() {
        for path in ["/", "/api/scans", "/api/scans/1/status", "/livez", "/assets/app.css"] {
            let response = TestApp::new().send("GET", path, &[("host", "evil.example")], "").await;
            assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
            assert!(!header_of(&response, "content-type").is_empty());
        }
    }
}
