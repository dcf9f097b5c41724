//! Probes whether the target responds. Kastrel does this at the end of an attempt, for plugins that
//! found nothing and have no evidence that the target responded to them.
//!
//! The probe is one `GET /` per scheme, in the plugin's way: with its scheme and the scanner's
//! proxy, and without certificate validation. Any status counts as a response, and redirects are
//! not followed. A name is resolved once, each of its addresses must pass the scope policy, and the
//! connection goes to one of them.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{Host, Scheme, Target};
use kastrel_actors::policy::scope::ScopePolicy;
use reqwest::{NoProxy, Proxy};

use super::scope_check;
use super::verdict::Unsure;

/// The timeout of a lookup and of a request, each; KAST's plugins have the same timeout.
const LIMIT: Duration = Duration::from_secs(10);

/// The reason why the target did not respond.
pub(super) type Silence = String;

/// The inputs of the probes of one attempt.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) target: Target,
    /// True if the scanner uses the scheme of the target. Otherwise, its plugins choose one.
    pub(super) keeps_scheme: bool,
    pub(super) scope: ScopePolicy,
    /// The scanner's environment, for its proxies.
    pub(super) environment: Arc<Vec<(OsString, OsString)>>,
}

impl Probe {
    /// Probes the target for each of the plugins, in their order. Each scheme is probed at most
    /// once.
    pub(super) async fn ask(&self, unsure: &[Unsure]) -> Vec<Result<(), Silence>> {
        let named = self.target.scheme().filter(|_| self.keeps_scheme);
        let mut asked = HashMap::new();
        let mut answers = Vec::new();
        for one in unsure {
            let schemes = named.as_ref().map_or(one.schemes, std::slice::from_ref);
            answers.push(self.first_answer(schemes, &mut asked).await);
        }
        answers
    }

    /// Probes one scheme after the other until the target responds.
    async fn first_answer(
        &self,
        schemes: &[Scheme],
        asked: &mut HashMap<Scheme, Result<(), Silence>>,
    ) -> Result<(), Silence> {
        let mut silences = Vec::new();
        for scheme in schemes {
            if !asked.contains_key(scheme) {
                asked.insert(*scheme, self.ask_by(*scheme, LIMIT).await);
            }
            match &asked[scheme] {
                Ok(()) => return Ok(()),
                Err(why) => silences.push(why.clone()),
            }
        }
        Err(silences.join("; "))
    }

    async fn ask_by(&self, scheme: Scheme, limit: Duration) -> Result<(), Silence> {
        let host = self.target.host().to_string();
        let port = self.target.port().unwrap_or(scheme.default_port());
        let url = format!("{}://{host}:{port}/", scheme.as_str());
        let silence = |why: &dyn std::fmt::Display| format!("{url}: {why}");
        let proxy = self.proxy(scheme);
        // An existing provider stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .timeout(limit);
        let mut client = client.tls_danger_accept_invalid_certs(true);
        if let Host::Name(name) = self.target.host() {
            match self.resolve(name, port, limit).await {
                Ok(addresses) => client = client.resolve_to_addrs(name, &addresses),
                // The proxy resolves the name.
                Err(Unresolved::Unknown(_)) if proxy.is_some() => {}
                Err(Unresolved::Unknown(why) | Unresolved::OutOfScope(why)) => return Err(silence(&why)),
            }
        }
        if let Some(proxy) = proxy {
            client = client.proxy(proxy.map_err(|error| silence(&root(&error)))?);
        }
        let client = client.build().map_err(|error| silence(&root(&error)))?;
        match client.get(&url).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.is_timeout() => Err(silence(&format_args!("no answer within {} s", limit.as_secs()))),
            Err(error) => Err(silence(&root(&error))),
        }
    }

    /// Resolves the name. All of its addresses must be in scope.
    async fn resolve(&self, name: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, Unresolved> {
        let Ok(found) = tokio::time::timeout(limit, tokio::net::lookup_host((name, port))).await else {
            return Err(Unresolved::Unknown("the name is not resolved in time".to_owned()));
        };
        let addresses: Vec<SocketAddr> =
            found.map_err(|error| Unresolved::Unknown(format!("the name does not resolve: {error}")))?.collect();
        scope_check::judge(&self.scope, self.target.host(), addresses.iter().map(SocketAddr::ip))
            .map_err(|why| Unresolved::OutOfScope(format!("the name {why}")))?;
        Ok(addresses)
    }

    /// The scanner's proxy for the scheme, by the environment variables that its HTTP client reads.
    fn proxy(&self, scheme: Scheme) -> Option<reqwest::Result<Proxy>> {
        let value = |name: &str| {
            let is_it = |(variable, value): &&(OsString, OsString)| {
                !value.is_empty() && variable.to_str().is_some_and(|it| it.eq_ignore_ascii_case(name))
            };
            self.environment.iter().rev().find(is_it).and_then(|(_, value)| value.to_str())
        };
        let proxy = value(&format!("{}_proxy", scheme.as_str())).or_else(|| value("all_proxy"))?;
        let bypass = value("no_proxy").and_then(NoProxy::from_string);
        Some(Proxy::all(proxy).map(|proxy| proxy.no_proxy(bypass)))
    }
}

/// The reason why a name has no usable address.
enum Unresolved {
    /// The name has no known address.
    Unknown(String),
    /// The scope policy refuses an address.
    OutOfScope(String),
}

/// The root cause of an error. The outer errors of a request only describe its layers.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn probe(target: &str, allow_private: bool, environment: &[(&str, &str)]) -> Probe {
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let scope = ScopePolicy { allow_private, ..ScopePolicy::default() };
        Probe { target: target.parse().unwrap(), keeps_scheme: false, scope, environment: Arc::new(environment) }
    }

    /// Starts a server that gives the same response on each connection. Returns its port, and the
    /// first lines of the requests.
    async fn server(answer: &'static str) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (lines, asked) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = [0; 1024];
                let count = stream.read(&mut bytes).await.unwrap_or(0);
                let _ =
                    lines.send(String::from_utf8_lossy(&bytes[..count]).lines().next().unwrap_or_default().to_owned());
                let _ = stream.write_all(answer.as_bytes()).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
            }
        });
        (port, asked)
    }

    #[tokio::test]
    async fn only_a_response_with_any_status_counts() {
        const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        const ELSEWHERE: &str = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
        const BROKEN: &str = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n";
        for (answer, scheme, limit, silence) in [
            (OK, Scheme::Http, LIMIT, None),
            (ELSEWHERE, Scheme::Http, LIMIT, None),
            (BROKEN, Scheme::Http, LIMIT, None),
            (OK, Scheme::Https, LIMIT, Some("received corrupt message")),
            ("SSH-2.0-x\r\n", Scheme::Http, LIMIT, Some("invalid HTTP version")),
            ("", Scheme::Http, Duration::from_millis(50), Some("no answer within")),
        ] {
            let (port, _asked) = server(answer).await;
            let asked = probe(&format!("127.0.0.1:{port}"), true, &[]).ask_by(scheme, limit).await;
            match (&asked, silence) {
                (Ok(()), None) => {}
                (Err(why), Some(expected)) => {
                    assert!(
                        why.contains(expected)
                            && why.starts_with(&format!("{}://127.0.0.1:{port}/: ", scheme.as_str())),
                        "{answer:?}: {why}"
                    );
                }
                _ => panic!("{answer:?} {scheme:?}: {asked:?}"),
            }
        }
    }

    #[tokio::test]
    async fn absent_and_out_of_scope_targets_did_not_respond() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let refused = probe(&format!("127.0.0.1:{closed}"), true, &[]).ask_by(Scheme::Http, LIMIT).await.unwrap_err();
        assert!(refused.contains("Connection refused"), "{refused}");
        let unknown = probe("no-such-host.invalid", true, &[]).ask_by(Scheme::Http, LIMIT).await.unwrap_err();
        assert!(unknown.contains("the name does not resolve"), "{unknown}");
        // The system's hosts file has this name; no request is sent.
        let (port, mut asked) = server("HTTP/1.1 200 OK\r\n\r\n").await;
        let refused = probe(&format!("localhost:{port}"), false, &[]).ask_by(Scheme::Http, LIMIT).await.unwrap_err();
        assert!(refused.contains("resolves to") && asked.try_recv().is_err(), "{refused}");
    }

    #[tokio::test]
    async fn probe_uses_the_scanners_proxy() {
        let (port, mut asked) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let proxy = format!("http://127.0.0.1:{port}");
        for variables in [
            &[("HTTP_PROXY", proxy.as_str())][..],
            &[("all_proxy", proxy.as_str()), ("HTTPS_PROXY", "http://127.0.0.1:1")],
        ] {
            probe("no-such-host.invalid", true, variables).ask_by(Scheme::Http, LIMIT).await.unwrap();
            assert_eq!(asked.recv().await.unwrap(), "GET http://no-such-host.invalid/ HTTP/1.1");
        }
        let bypassed = probe("no-such-host.invalid", true, &[("HTTP_PROXY", proxy.as_str()), ("NO_PROXY", "invalid")])
            .ask_by(Scheme::Http, LIMIT)
            .await;
        assert!(bypassed.is_err() && asked.try_recv().is_err(), "{bypassed:?}");
    }

    #[tokio::test]
    async fn each_scheme_is_probed_once_until_one_responds() {
        let (port, mut asked) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let both = Unsure { key: "katana", schemes: &[Scheme::Https, Scheme::Http] };
        let secure = Unsure { key: "cors_analyzer", schemes: &[Scheme::Https] };
        let mut probe = probe(&format!("http://127.0.0.1:{port}/app"), true, &[]);
        let answers = probe.ask(&[both.clone(), secure.clone(), both.clone()]).await;
        assert!(
            answers[0].is_ok() && answers[1].as_ref().unwrap_err().contains("https://") && answers[2].is_ok(),
            "{answers:?}"
        );
        let mut lines = vec![asked.recv().await.unwrap(), asked.recv().await.unwrap()];
        assert!(asked.try_recv().is_err());
        assert_eq!(lines.pop().unwrap(), "GET / HTTP/1.1");
        // If the scanner uses the target's scheme, only that one is probed.
        probe.keeps_scheme = true;
        assert!(probe.ask(&[secure]).await[0].is_ok());
    }
}
