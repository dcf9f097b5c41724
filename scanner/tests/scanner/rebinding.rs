//! Tests against DNS rebinding: a local name server gives a different answer each time, with
//! several addresses, with internal ones and with IPv6 forms of them.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::{Message, MessageType, OpCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use kastrel_actors::policy::scope::ScopePolicy;
use kastrel_scanner::info::Info;
use kastrel_scanner::journal::Journal;
use kastrel_scanner::run::run_scan;
use kastrel_scanner::scope::{Gate, Lookup};
use tempfile::{TempDir, tempdir};
use tokio::net::{TcpListener, UdpSocket};

use crate::server::{Server, options, processed, response, status};

/// The plugins that connect to the target.
const CONNECTING: [&str; 7] = [
    "http_headers",
    "cookie_flags",
    "script_integrity",
    "technology_hints",
    "tls_certificate",
    "cors_policy",
    "exposed_files",
];

/// The answers by name and record type: one list per query. The last list is repeated.
type Script = HashMap<(&'static str, RecordType), Vec<Vec<&'static str>>>;

/// A name server with scripted answers, which must not be cached (TTL 0).
struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<HashMap<(String, RecordType), usize>>>,
}

impl NameServer {
    async fn start(script: Script) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<Mutex<HashMap<(String, RecordType), usize>>> = Arc::default();
        let counts = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let question = query.queries[0].clone();
                let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
                reply.metadata.recursion_desired = true;
                reply.metadata.recursion_available = true;
                let (mut owner, kind) = (question.name().clone(), question.query_type());
                // A recursive server follows the canonical names itself.
                loop {
                    let name = owner.to_string().trim_end_matches('.').to_owned();
                    let count = {
                        let mut counts = counts.lock().unwrap();
                        let count = counts.entry((name.clone(), kind)).or_default();
                        *count += 1;
                        *count
                    };
                    let answers = |kind| {
                        script
                            .iter()
                            .find(|((owner, of), _)| *owner == name && *of == kind)
                            .map(|(_, lists)| &lists[(count - 1).min(lists.len() - 1)])
                    };
                    for text in answers(kind).into_iter().flatten() {
                        let data = match text.parse().unwrap() {
                            IpAddr::V4(address) => RData::A(A(address)),
                            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
                        };
                        reply.answers.push(Record::from_rdata(owner.clone(), 0, data));
                    }
                    let Some(alias) = answers(RecordType::CNAME) else { break };
                    let next = Name::from_ascii(format!("{}.", alias[0])).unwrap();
                    reply.answers.push(Record::from_rdata(owner.clone(), 0, RData::CNAME(CNAME(next.clone()))));
                    owner = next;
                }
                reply.queries.push(question);
                let _ = socket.send_to(&reply.to_vec().unwrap(), peer).await;
            }
        });
        Self { address, asked }
    }

    fn asked(&self, name: &str, kind: RecordType) -> usize {
        self.asked.lock().unwrap().get(&(name.to_owned(), kind)).copied().unwrap_or_default()
    }

    /// Returns a gate that uses this name server.
    fn gate(&self, policy: ScopePolicy) -> Gate {
        let mut server = NameServerConfig::udp_and_tcp(self.address.ip());
        server
            .connections
            .iter_mut()
            .for_each(|connection: &mut ConnectionConfig| connection.port = self.address.port());
        let mut builder = TokioResolver::builder_with_config(
            ResolverConfig::from_parts(None, Vec::new(), vec![server]),
            TokioRuntimeProvider::default(),
        );
        builder.options_mut().cache_size = 0;
        Gate::with_lookup(policy, Arc::new(Asking(builder.build().unwrap())))
    }
}

#[derive(Debug)]
struct Asking(TokioResolver);

#[async_trait]
impl Lookup for Asking {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut found = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            match self.0.lookup(format!("{name}."), kind).await {
                Ok(lookup) => found.extend(lookup.answers().iter().filter_map(|record| match &record.data {
                    RData::A(address) => Some(IpAddr::V4(address.0)),
                    RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                    _ => None,
                })),
                Err(error) if error.is_no_records_found() => {}
                Err(error) => return Err(io::Error::other(error.to_string())),
            }
        }
        Ok(found)
    }
}

/// A site on 127.0.0.2, and an internal service on 127.0.0.1 with the same port. No request may
/// reach the internal service.
struct Network {
    site: Server,
    inside: Server,
}

impl Network {
    async fn start(location: Option<&'static str>) -> Self {
        let (site, inside) = loop {
            let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = inside.local_addr().unwrap().port();
            // Another process may use this port on the other address.
            if let Ok(site) = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)).await {
                break (site, inside);
            }
        };
        let port = site.local_addr().unwrap().port();
        let answer = move |path: &str| match location {
            Some(location) if path == "/" => {
                response(302, &format!("location: {}\r\n", location.replace("PORT", &port.to_string())), "")
            }
            _ => response(200, "", "<p>the site"),
        };
        Self {
            site: Server::start_on(site, move |request| answer(&request.path), None),
            inside: Server::start_on(inside, |_| response(200, "", "secret"), None),
        }
    }

    fn port(&self) -> u16 {
        self.site.address.port()
    }
}

/// Scans `http://victim.example.org` with a gate and returns the results.
async fn scan(network: &Network, gate: Gate) -> (Info, TempDir) {
    let folder = tempdir().unwrap();
    let mut options =
        options(&format!("http://victim.example.org:{}", network.port()), &CONNECTING, folder.path(), &[]);
    options.gate = gate;
    let info = run_scan(options, &Journal::silent()).await.unwrap();
    (info, folder)
}

/// Asserts that no plugin ran, that each reports the reason, and that the scan opened no
/// connection.
async fn assert_refused(network: &Network, gate: Gate, reason: &str) {
    let (info, folder) = scan(network, gate).await;
    for plugin in CONNECTING {
        assert_eq!(status(&info, plugin), "fail", "{plugin}");
        let summary = processed(folder.path(), plugin)["summary"].as_str().unwrap().to_owned();
        assert!(summary.contains(reason), "{plugin}: {summary}");
    }
    assert!(network.inside.seen().is_empty() && network.site.seen().is_empty());
}

const VICTIM: &str = "victim.example.org";

fn answers(kind: RecordType, lists: &[&[&'static str]]) -> Script {
    HashMap::from([((VICTIM, kind), lists.iter().map(|list| list.to_vec()).collect())])
}

/// Returns the default policy of a server: private ranges are denied.
fn public_only() -> ScopePolicy {
    ScopePolicy::default()
}

/// Returns a policy in which 127.0.0.2 acts as a public address and 127.0.0.1 as an internal one.
fn site_only() -> ScopePolicy {
    ScopePolicy {
        allow_private: true,
        deny: vec!["127.0.0.1".parse().unwrap(), "169.254.0.0/16".parse().unwrap()],
        ..ScopePolicy::default()
    }
}

#[tokio::test]
async fn trick_1_a_name_that_moves_inside_after_the_first_answer() {
    let network = Network::start(None).await;
    let server = NameServer::start(answers(RecordType::A, &[&["127.0.0.2"], &["127.0.0.1"]])).await;
    let (info, _folder) = scan(&network, server.gate(site_only())).await;
    assert_eq!(status(&info, "http_headers"), "success");
    assert_eq!(status(&info, "exposed_files"), "success");
    assert!(network.site.seen().len() > 30, "all requests go to the address that was checked");
    assert!(network.inside.seen().is_empty());
    assert_eq!(server.asked(VICTIM, RecordType::A), 1, "the name is resolved once for the whole scan");
}

#[tokio::test]
async fn trick_2_a_public_and_an_internal_address_in_one_answer() {
    let network = Network::start(None).await;
    for list in [&["93.184.215.14", "127.0.0.1"][..], &["127.0.0.1", "93.184.215.14"], &["93.184.215.14", "10.1.2.3"]] {
        let server = NameServer::start(answers(RecordType::A, &[list])).await;
        assert_refused(&network, server.gate(public_only()), "private").await;
    }
    let server = NameServer::start(answers(RecordType::A, &[&["127.0.0.2", "127.0.0.1"]])).await;
    assert_refused(&network, server.gate(site_only()), "resolves to 127.0.0.1").await;
    // The address families differ: a public IPv4 address, an internal IPv6 one.
    let script = HashMap::from([
        ((VICTIM, RecordType::A), vec![vec!["93.184.215.14"]]),
        ((VICTIM, RecordType::AAAA), vec![vec!["::1"]]),
    ]);
    let server = NameServer::start(script).await;
    assert_refused(&network, server.gate(public_only()), "resolves to ::1").await;
}

#[tokio::test]
async fn trick_3_an_alias_of_an_internal_name() {
    let network = Network::start(None).await;
    let script = HashMap::from([
        ((VICTIM, RecordType::CNAME), vec![vec!["alias.example.net"]]),
        (("alias.example.net", RecordType::CNAME), vec![vec!["db.inside.example.net"]]),
        (("db.inside.example.net", RecordType::A), vec![vec!["127.0.0.1"]]),
    ]);
    let server = NameServer::start(script).await;
    assert_refused(&network, server.gate(public_only()), "resolves to 127.0.0.1").await;
}

#[tokio::test]
async fn trick_4_a_redirect_to_an_internal_address() {
    for location in [
        "http://127.0.0.1:PORT/secret",
        "//127.0.0.1:PORT/secret",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:127.0.0.1]:PORT/",
        "http://2130706433:PORT/",
        "http://localhost:PORT/",
        "http://victim.example.org@127.0.0.1:PORT/",
        "/\\127.0.0.1:PORT/",
    ] {
        let network = Network::start(Some(location)).await;
        let server = NameServer::start(answers(RecordType::A, &[&["127.0.0.2"], &["127.0.0.1"]])).await;
        let (info, folder) = scan(&network, server.gate(site_only())).await;
        assert_eq!(status(&info, "http_headers"), "success", "{location}");
        let summary = processed(folder.path(), "http_headers")["summary"].as_str().unwrap().to_owned();
        assert!(summary.contains("which was not scanned"), "{location}: {summary}");
        assert!(network.inside.seen().is_empty(), "{location}");
    }
    // A redirect to the same name is followed, and goes to the same address.
    let network = Network::start(Some("http://victim.example.org:PORT/again")).await;
    let server = NameServer::start(answers(RecordType::A, &[&["127.0.0.2"], &["127.0.0.1"]])).await;
    scan(&network, server.gate(site_only())).await;
    assert!(network.site.seen().iter().any(|request| request.path == "/again"));
    assert!(network.inside.seen().is_empty());
}

#[tokio::test]
async fn trick_5_an_ipv6_address_that_embeds_an_internal_one() {
    let network = Network::start(None).await;
    for address in [
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::127.0.0.1",
        "64:ff9b:1:7f00:0:100::",
        "2002:7f00:1::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "::1",
        "fe80::1",
        "fd00::1",
    ] {
        let server = NameServer::start(answers(RecordType::AAAA, &[&[address]])).await;
        assert_refused(&network, server.gate(public_only()), "private").await;
    }
    let server = NameServer::start(answers(RecordType::AAAA, &[&["::ffff:127.0.0.1"]])).await;
    assert_refused(&network, server.gate(site_only()), "deny list").await;
}

#[tokio::test]
async fn trick_6_a_public_name_of_a_local_service() {
    let network = Network::start(None).await;
    for address in ["127.0.0.1", "169.254.169.254", "0.0.0.0", "10.0.0.1", "100.100.100.200", "192.168.0.1"] {
        let server = NameServer::start(answers(RecordType::A, &[&[address]])).await;
        assert_refused(&network, server.gate(public_only()), &format!("resolves to {address} and so is in a private"))
            .await;
    }
    // A name on the allow list may resolve to an intranet address, but not to the scanner's own
    // machine.
    let named = || ScopePolicy { allow: vec!["example.org".parse().unwrap()], ..ScopePolicy::default() };
    for address in ["127.0.0.1", "169.254.169.254"] {
        let server = NameServer::start(answers(RecordType::A, &[&[address]])).await;
        assert_refused(&network, server.gate(named()), "private").await;
    }
    // A name that is not on the allow list is not resolved.
    let server = NameServer::start(answers(RecordType::A, &[&["127.0.0.2"]])).await;
    let other =
        ScopePolicy { allow: vec!["example.net".parse().unwrap()], allow_private: true, ..ScopePolicy::default() };
    assert_refused(&network, server.gate(other), "is not on the allow list").await;
    assert_eq!(server.asked(VICTIM, RecordType::A), 0);
}
