//! Validates the `Host` header.
//!
//! A page of another site may point a host name of its own at our address and then send requests as
//! if it were our page (DNS rebinding). Such requests carry that name, so the server only accepts
//! its own names.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

use super::error::{Problem, ProblemKind};

/// The host names that this server accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostRule {
    /// The server is bound to loopback: only `localhost`, loopback addresses and `names` are
    /// accepted.
    pub loopback: bool,
    /// Additional accepted names, without port.
    pub names: Vec<String>,
    /// The port that the server listens on.
    pub port: u16,
}

impl HostRule {
    /// Returns whether this `Host` is accepted.
    #[must_use]
    pub fn admits(&self, host: &str) -> bool {
        let name = without_port(host);
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        if name.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        if self.has_name(name) {
            return true;
        }
        // An IP address cannot be rebound: the browser connected to the address that it names.
        !self.loopback && address.is_some()
    }

    /// Returns whether a name is one of the additional names.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }

    /// Returns whether a `Host` without a port shows that a proxy changed it: a browser that
    /// connects directly sends our port, unless it is the default port of the scheme.
    pub(crate) const fn hides_ports(&self) -> bool {
        !matches!(self.port, 80 | 443)
    }

    /// Returns whether a `Host` is a loopback name with the port that the server listens on. A
    /// proxy on this machine that does not pass on the browser's `Host` sends this.
    pub(crate) fn is_own_address(&self, host: &str) -> bool {
        let name = without_port(host);
        let is_loopback = name.eq_ignore_ascii_case("localhost")
            || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_loopback && host[name.len()..].strip_prefix(':').is_some_and(|port| port.parse() == Ok(self.port))
    }

    /// Returns the host as a content security policy needs it: with any port, if a proxy hides the
    /// port of the browser's request.
    pub(crate) fn in_policy<'a>(&self, host: &'a str) -> Cow<'a, str> {
        if without_port(host) == host && self.hides_ports() && self.has_name(host) {
            format!("{host}:*").into()
        } else {
            host.into()
        }
    }

    /// Checks that a request names exactly one host, and that this server accepts it.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), HostFault> {
        let host = named_host(uri, headers)?;
        if self.admits(host) { Ok(()) } else { Err(HostFault::Strange) }
    }
}

/// The errors of the host of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostFault {
    /// The request names no host, several hosts, or an invalid one: another program may read
    /// another host from it than we do.
    Malformed,
    /// The host is not one of this server's names.
    Strange,
}

impl From<HostFault> for Problem {
    fn from(fault: HostFault) -> Self {
        match fault {
            HostFault::Malformed => Self::new(
                ProblemKind::Malformed,
                "Send one Host header: a host name or an address, with a port if there is one, and nothing else",
            ),
            HostFault::Strange => {
                Self::new(ProblemKind::WrongHost, "use localhost, or add the name to server.allowed_hosts")
            }
        }
    }
}

/// Returns how many hosts a request names, in its URI and its headers.
pub(crate) fn named_hosts(request: &Request) -> usize {
    usize::from(request.uri().authority().is_some()) + request.headers().get_all(header::HOST).iter().count()
}

/// Returns the one host that a request names.
pub(crate) fn named_host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, HostFault> {
    let mut all = headers.get_all(header::HOST).iter();
    let (first, more) = (all.next(), all.next());
    if more.is_some() {
        return Err(HostFault::Malformed);
    }
    let of_header = first.map(|value| value.to_str().map_err(|_| HostFault::Malformed)).transpose()?;
    if of_header.is_some_and(|host| !is_host(host)) {
        return Err(HostFault::Malformed);
    }
    uri.authority().map(Authority::as_str).or(of_header).filter(|host| is_host(host)).ok_or(HostFault::Malformed)
}

/// Returns whether a request has no `Host` header, or a single valid one.
pub(crate) fn has_at_most_one_host(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(header::HOST).iter();
    all.next().is_none_or(|host| host.to_str().is_ok_and(is_host)) && all.next().is_none()
}

/// Returns whether a text is a host, with or without a port.
fn is_host(text: &str) -> bool {
    let name = without_port(text);
    let port = text[name.len()..].strip_prefix(':');
    let is_port = port.is_none_or(|port| {
        port.is_empty()
            || (port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
    });
    let is_name = match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        }
    };
    is_name && is_port
}

/// Returns the host that a request names, with its port: from the URI in HTTP/2, from the header in
/// HTTP/1.
pub(crate) fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(header::HOST)?.to_str().ok(),
    }
}

/// Returns a host without its port.
pub(crate) fn without_port(host: &str) -> &str {
    let end_of_address = host.rfind(']').map_or(0, |at| at + 1);
    match host[end_of_address..].rfind(':') {
        Some(at) => &host[..end_of_address + at],
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};

    use super::*;
    use crate::web::testing::{TestApp, header_of};

    #[test]
    fn loopback_server_accepts_only_its_own_names() {
        let rule = HostRule { loopback: true, names: vec!["kastrel.test".into()], port: 5000 };
        for ours in
            ["localhost", "LOCALHOST:5000", "127.0.0.1:5000", "127.0.0.1", "[::1]:5000", "[::1]", "kastrel.test:80"]
        {
            assert!(rule.admits(ours), "{ours}");
        }
        for strange in [
            "",
            "evil.example",
            "localhost.evil.example:5000",
            "10.0.0.1:5000",
            "[2001:db8::1]",
            "127.0.0.1.evil.example",
            "evil.example:127.0.0.1",
        ] {
            assert!(!rule.admits(strange), "{strange}");
        }
    }

    #[test]
    fn public_server_accepts_addresses_and_configured_names() {
        let open = HostRule::default();
        assert!(
            !open.admits("scans.example.com")
                && open.admits("10.0.0.1:5000")
                && open.admits("[2001:db8::1]:5000")
                && !open.admits("")
        );
        let named = HostRule { loopback: false, names: vec!["scans.example.com".into()], port: 5000 };
        assert!(
            named.admits("scans.example.com:5000") && named.admits("10.0.0.1:5000") && !named.admits("evil.example")
        );
    }

    #[test]
    fn a_request_names_one_host_and_nothing_else() {
        let named = |uri: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
            }
            named_host(&uri.parse().unwrap(), &headers).map(str::to_owned)
        };
        for host in [
            "localhost",
            "localhost:5000",
            "LOCALHOST:",
            "localhost:65535",
            "127.0.0.1:5000",
            "[::1]",
            "[::1]:5000",
            "a_b.example",
            "xn--bcher-kva.example:80",
        ] {
            assert_eq!(named("/", &[host]).as_deref(), Ok(host));
        }
        for wrong in [
            "",
            ":5000",
            "user@localhost",
            "user:pass@localhost:5000",
            "localhost@evil.example",
            "localhost,evil.example",
            "localhost evil.example",
            "localhost/",
            "localhost?",
            "localhost#",
            "localhost\\evil.example",
            "localhost:80:80",
            "localhost:x",
            "localhost:123456",
            "127.0.0.1:99999",
            "localhost:65536",
            "[::1]:70000",
            "[::1",
            "::1",
            "[::1]x",
            "[evil.example]",
            "b\u{fc}cher.example",
        ] {
            assert_eq!(named("/", &[wrong]), Err(HostFault::Malformed), "{wrong}");
        }
        for several in [&["localhost", "localhost"][..], &["localhost", "evil.example"], &[]] {
            assert_eq!(named("/", several), Err(HostFault::Malformed), "{several:?}");
        }
        assert_eq!(
            named("http://localhost:5000/", &["other"]).as_deref(),
            Ok("localhost:5000"),
            "the address goes before the header"
        );
        assert_eq!(named("http://user@localhost/", &["localhost"]), Err(HostFault::Malformed));
        assert_eq!(named("http://localhost/", &["a@b"]), Err(HostFault::Malformed));
    }

    #[tokio::test]
    async fn a_malformed_host_is_a_bad_request_on_every_route() {
        let app = TestApp::new();
        for path in ["/", "/api/scans", "/api/scans/1/status", "/livez", "/assets/app.css", "/nothing"] {
            for hosts in [&["user@localhost"][..], &["localhost", "localhost"], &["localhost,localhost"]] {
                let headers: Vec<(&str, &str)> = hosts.iter().map(|host| ("host", *host)).collect();
                assert_eq!(
                    app.send("GET", path, &headers, "").await.status(),
                    StatusCode::BAD_REQUEST,
                    "{path} {hosts:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn every_route_refuses_an_unknown_host() {
        for path in ["/", "/api/scans", "/api/scans/1/status", "/livez", "/assets/app.css"] {
            let response = TestApp::new().send("GET", path, &[("host", "evil.example")], "").await;
            assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
            assert!(!header_of(&response, "content-type").is_empty());
        }
    }
}
