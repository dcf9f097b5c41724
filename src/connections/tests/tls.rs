//! Tests of TLS connections with real sockets.

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::tls::testing::write_pair;
use crate::tls::{Fingerprint, Pair, client_config};

fn pair() -> Pair {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path()).read().unwrap()
}

/// Serves with TLS. The sender changes the configuration.
async fn serve_tls(limits: ConnectionLimits, pair: &Pair) -> (Served, watch::Sender<Arc<ServerConfig>>) {
    let (current, tls) = watch::channel(Arc::clone(&pair.config));
    (serve_with(limits, Some(tls)).await, current)
}

async fn connect_with(served: &Served, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, served.connect().await);
    in_time("a handshake", handshake).await
}

async fn connect(served: &Served, fingerprint: Fingerprint) -> std::io::Result<TlsStream<TcpStream>> {
    connect_with(served, client_config(fingerprint).unwrap()).await
}

async fn ask(stream: &mut TlsStream<TcpStream>, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut bytes = vec![0; 4096];
    let size = in_time("an answer", stream.read(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes[..size]).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_served_over_both_versions_of_tls() {
    let folder = tempfile::tempdir().unwrap();
    let pair = write_pair(folder.path()).read().unwrap();
    let (served, _current) = serve_tls(patient(8), &pair).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.path().join("certificate.pem")).unwrap()).unwrap();
    for version in [&TLS12, &TLS13] {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut stream = connect_with(&served, config).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(session.protocol_version(), Some(version.version));
        let (first, second) = (ask(&mut stream, "/scheme").await, ask(&mut stream, "/").await);
        assert!(first.starts_with("HTTP/1.1 200") && first.ends_with("https"), "{first}");
        assert!(second.ends_with("page"), "{second}");
    }
    let plain = serve(patient(8)).await;
    assert!(plain.get("/scheme").await.ends_with("http"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_handshakes_are_cut_and_make_room() {
    let pair = pair();
    // The begin of a TLS record whose rest never comes.
    let part = [22, 3, 1, 2, 0, 1, 0];
    let (served, _current) = serve_tls(ConnectionLimits { head: SHORT, ..patient(100) }, &pair).await;
    let mut stalled = vec![served.connect().await, served.connect().await];
    stalled[1].write_all(&part).await.unwrap();
    for stream in &mut stalled {
        assert_eq!(rest(stream).await, "");
    }
    served.until(<[Phase]>::is_empty).await;

    // A finished handshake without a request ends like any silent connection. The limit leaves time
    // for the handshake.
    let limits = ConnectionLimits { head: Duration::from_secs(2), ..patient(100) };
    let (served, _current) = serve_tls(limits, &pair).await;
    let mut silent = connect(&served, pair.fingerprint).await.unwrap();
    let _end = in_time("the end of a silent connection", silent.read(&mut [0; 16])).await;
    served.until(<[Phase]>::is_empty).await;

    let (served, _current) = serve_tls(patient(4), &pair).await;
    let mut stalled = Vec::new();
    for _ in 0..40 {
        let mut stream = served.connect().await;
        stream.write_all(&part).await.unwrap();
        stalled.push(stream);
    }
    let mut stream = connect(&served, pair.fingerprint).await.unwrap();
    assert!(ask(&mut stream, "/").await.ends_with("page"));
    assert_eq!(rest(&mut stalled[0]).await, "", "the oldest one made room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_on_a_tls_port_gets_an_answer_that_names_https() {
    let pair = pair();
    let (served, _current) = serve_tls(patient(8), &pair).await;
    for request in ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "POST /echo HTTP/1.1\r\n"] {
        let mut stream = served.send(request).await;
        stream.shutdown().await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
        assert!(!answer.contains("page"), "{answer}");
    }
    let mut garbage = served.connect().await;
    garbage.write_all(&[0; 64]).await.unwrap();
    rest(&mut garbage).await;
    served.until(<[Phase]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_certificate_is_for_new_connections_and_open_ones_stay() {
    let (old, new) = (pair(), pair());
    let (served, current) = serve_tls(patient(8), &old).await;
    let mut open = connect(&served, old.fingerprint).await.unwrap();
    assert!(ask(&mut open, "/").await.ends_with("page"));
    assert!(connect(&served, new.fingerprint).await.is_err());
    current.send(Arc::clone(&new.config)).unwrap();
    assert!(connect(&served, old.fingerprint).await.is_err());
    let mut fresh = connect(&served, new.fingerprint).await.unwrap();
    for stream in [&mut open, &mut fresh] {
        assert!(ask(stream, "/").await.ends_with("page"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_over_tls_is_cut() {
    let pair = pair();
    let (served, _current) = serve_tls(ConnectionLimits { stall: SHORT, ..patient(100) }, &pair).await;
    let mut stream = connect(&served, pair.fingerprint).await.unwrap();
    assert!(ask(&mut stream, "/large").await.starts_with("HTTP/1.1 200"));
    served.until(<[Phase]>::is_empty).await;
    drop(stream);
}
