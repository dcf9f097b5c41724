//! Reads the headers of proxies: `X-Forwarded-For`, `-Host`, `-Port`, `-Proto` and `-Prefix`, from
//! trusted proxies only.
//!
//! Any client can send these headers. From a trusted proxy, they replace the data of the
//! connection. From any other peer, the server removes them, so that no later code trusts them by
//! mistake. Of a list, the last entry counts, which the trusted proxy itself wrote. Of the client
//! addresses, the last one counts that is not a trusted proxy.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use kastrel_actors::model::Host;
use kastrel_actors::policy::scope::ScopeRule;

use super::hosts::{has_at_most_one_host, without_port};
use crate::config::BasePath;

/// The scheme of the browser's request, if it is known. After the layer `edge`, the header is
/// present only if a trusted proxy sent it, or if the request arrived over TLS.
pub(crate) const FORWARDED_PROTO: &str = "x-forwarded-proto";
const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PORT: &str = "x-forwarded-port";
const FORWARDED_PREFIX: &str = "x-forwarded-prefix";
/// All headers of proxies. Some of them are not used, and are removed so that no code reads them.
const ALL: &[&str] =
    &[FORWARDED_PROTO, FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PORT, FORWARDED_PREFIX, "forwarded", "x-real-ip"];

/// The addresses of the trusted proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<ScopeRule>);

impl TrustedProxies {
    fn has(&self, address: IpAddr) -> bool {
        let host = match address.to_canonical() {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        };
        self.0.iter().any(|rule| rule.covers(&host))
    }
}

/// The data that a trusted proxy sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Forwarded {
    /// The client's address.
    pub(crate) client: Option<IpAddr>,
    /// The base path that the proxy removed.
    pub(crate) base: Option<BasePath>,
}

/// Reads the headers of a request from `peer`, and replaces the `Host` header with the browser's.
pub(crate) fn read(headers: &mut HeaderMap, peer: Option<IpAddr>, trusted: &TrustedProxies) -> Forwarded {
    // Most requests have none of these headers.
    if !ALL.iter().any(|name| headers.contains_key(*name)) {
        return Forwarded::default();
    }
    let said = peer.is_some_and(|peer| trusted.has(peer)).then(|| Said::of(headers, trusted));
    for name in ALL {
        headers.remove(*name);
    }
    let Some(said) = said else { return Forwarded::default() };
    // A malformed `Host` comes from the client, whatever the proxy sends beside it, and must be
    // rejected.
    if let Some(host) =
        said.host.and_then(|host| HeaderValue::try_from(host).ok()).filter(|_| has_at_most_one_host(headers))
    {
        headers.insert(header::HOST, host);
    }
    if let Some(scheme) = said.scheme {
        headers.insert(HeaderName::from_static(FORWARDED_PROTO), HeaderValue::from_static(scheme));
    }
    said.forwarded
}

/// Records that a request arrived over TLS. The word of a trusted proxy counts more: the connection
/// is then the proxy's, and not the browser's.
pub(crate) fn arrived_over_tls(headers: &mut HeaderMap) {
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("https"));
}

/// Returns whether the browser's request came over https: to this server, or to a trusted proxy.
/// Call it behind the layer `edge`; before it, any client can set the header.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    headers.get(FORWARDED_PROTO).is_some_and(|scheme| scheme == "https")
}

struct Said {
    host: Option<String>,
    scheme: Option<&'static str>,
    forwarded: Forwarded,
}

impl Said {
    fn of(headers: &HeaderMap, trusted: &TrustedProxies) -> Self {
        let all = |name: &str| {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values
                .flat_map(|value| value.split(','))
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
                .collect::<Vec<_>>()
        };
        let last = |name: &str| all(name).pop();
        let port = last(FORWARDED_PORT).filter(|port| port.parse::<u16>().is_ok());
        let host = last(FORWARDED_HOST).map(|host| match port {
            Some(port) if without_port(&host) == host => format!("{host}:{port}"),
            _ => host,
        });
        let scheme = match last(FORWARDED_PROTO).as_deref() {
            Some("http") => Some("http"),
            Some("https") => Some("https"),
            _ => None,
        };
        let client =
            all(FORWARDED_FOR).iter().rev().map_while(|text| address(text)).find(|address| !trusted.has(*address));
        let base = last(FORWARDED_PREFIX).and_then(|prefix| BasePath::parse(&prefix));
        Self { host, scheme, forwarded: Forwarded { client, base } }
    }
}

/// Parses an address, with or without a port: some proxies add one.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| without_port(text).trim_matches(['[', ']']).parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> TrustedProxies {
        TrustedProxies(["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"].map(|rule| rule.parse().unwrap()).into())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:5000"));
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn headers_of_untrusted_peers_are_removed() {
        let said = [
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-host", "scans.test"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/kastrel"),
            ("forwarded", "for=1.1.1.1"),
        ];
        for (peer, is_trusted) in [
            ("127.0.0.1", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::1", true),
            ("127.0.0.2", false),
            ("192.0.2.1", false),
        ] {
            let mut headers = headers(&said);
            let forwarded = read(&mut headers, Some(peer.parse().unwrap()), &trusted());
            let (host, proto) = (
                headers[header::HOST].to_str().unwrap(),
                headers.get(FORWARDED_PROTO).map(|proto| proto.to_str().unwrap()),
            );
            if is_trusted {
                assert_eq!(
                    forwarded,
                    Forwarded { client: Some("203.0.113.7".parse().unwrap()), base: BasePath::parse("/kastrel") },
                    "{peer}"
                );
                assert_eq!((host, proto, headers.len()), ("scans.test:8443", Some("https"), 2), "{peer}");
            } else {
                assert_eq!(
                    (forwarded, host, proto, headers.len()),
                    (Forwarded::default(), "127.0.0.1:5000", None, 1),
                    "{peer}"
                );
            }
        }
        assert_eq!(
            read(&mut headers(&said), None, &trusted()),
            Forwarded::default(),
            "a peer that is not known is not trusted"
        );
        assert_eq!(
            read(&mut headers(&said), "127.0.0.1".parse().ok(), &TrustedProxies::default()),
            Forwarded::default()
        );
    }

    #[test]
    fn a_malformed_host_stays_what_it_is() {
        for (hosts, read_as) in [
            (&["127.0.0.1:5000"][..], &["scans.test"][..]),
            (&[], &["scans.test"]),
            (&["a@127.0.0.1"], &["a@127.0.0.1"]),
            (&["127.0.0.1", "127.0.0.1"], &["127.0.0.1", "127.0.0.1"]),
            (&[""], &[""]),
        ] {
            let mut headers = headers(&[("x-forwarded-host", "scans.test")]);
            headers.remove(header::HOST);
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            read(&mut headers, "127.0.0.1".parse().ok(), &trusted());
            let all: Vec<&str> = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap()).collect();
            assert_eq!(all, read_as, "{hosts:?}");
        }
    }

    #[test]
    fn last_list_entry_of_the_trusted_proxy_counts() {
        for (given, client) in [
            ("203.0.113.7", Some("203.0.113.7")),
            ("1.1.1.1, 203.0.113.7", Some("203.0.113.7")),
            ("1.1.1.1, 203.0.113.7, 10.0.0.1", Some("203.0.113.7")),
            ("203.0.113.7:4711", Some("203.0.113.7")),
            ("[2001:db9::7]:4711", Some("2001:db9::7")),
            ("2001:db9::7", Some("2001:db9::7")),
            ("10.0.0.1, 10.0.0.2", None),
            ("1.1.1.1, unknown", None),
            ("", None),
        ] {
            let forwarded = read(&mut headers(&[("x-forwarded-for", given)]), "127.0.0.1".parse().ok(), &trusted());
            assert_eq!(forwarded.client, client.map(|client| client.parse().unwrap()), "{given}");
        }
        let mut several = headers(&[
            ("x-forwarded-host", "evil.example, scans.test:8080"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-proto", "gopher"),
        ]);
        read(&mut several, "127.0.0.1".parse().ok(), &trusted());
        assert_eq!((several[header::HOST].to_str().unwrap(), several.get(FORWARDED_PROTO)), ("scans.test:8080", None));
    }
}
