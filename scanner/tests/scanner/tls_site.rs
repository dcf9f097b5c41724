//! Tests scans of real TLS servers with valid, expired and wrong certificates.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tempfile::{TempDir, tempdir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::server::{Server, issues, processed, response, scan, status};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn server(&self, name: &str, last_year: i32, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2015, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap()
    }
}

async fn tls_issues(config: ServerConfig, trust: Option<&Authority>) -> Vec<String> {
    let server = Server::start_with(|_| response(200, "", ""), Some(config)).await;
    let folder = tempdir().unwrap();
    let extra = trust.map(|authority| format!("tls_certificate.extra_ca_file={}", authority.file().display()));
    let settings: Vec<&str> = extra.iter().map(String::as_str).collect();
    let info = scan(&server.address.to_string(), &["tls_certificate"], folder.path(), &settings).await;
    assert_eq!(status(&info, "tls_certificate"), "success");
    let details = processed(folder.path(), "tls_certificate")["details"].as_str().unwrap().to_owned();
    assert!(
        details.contains("TLS 1.2: offered")
            && details.contains("TLS 1.1: not offered")
            && details.contains("TLS 1.0: not offered"),
        "{details}"
    );
    issues(folder.path(), "tls_certificate")
}

#[tokio::test]
async fn tls_certificates_are_checked() {
    let authority = Authority::new();
    let all = rustls::ALL_VERSIONS;
    let nothing: [&str; 0] = [];
    assert_eq!(tls_issues(authority.server("127.0.0.1", 4000, all), Some(&authority)).await, nothing);
    assert_eq!(
        tls_issues(authority.server("127.0.0.1", 2016, all), Some(&authority)).await,
        ["tls_certificate_expired"]
    );
    assert_eq!(tls_issues(authority.server("other.test", 4000, all), Some(&authority)).await, ["tls_name_mismatch"]);
    assert_eq!(tls_issues(authority.server("127.0.0.1", 4000, all), None).await, ["tls_chain_untrusted"]);
    assert_eq!(
        tls_issues(authority.server("127.0.0.1", 4000, &[&version::TLS12]), Some(&authority)).await,
        ["tls_1_3_not_offered"]
    );
}

#[tokio::test]
async fn other_plugins_scan_despite_a_bad_certificate() {
    let authority = Authority::new();
    let server = Server::start_with(
        |_| response(200, "set-cookie: a=1; HttpOnly; SameSite=Lax\r\n", ""),
        Some(authority.server("other.test", 2016, rustls::ALL_VERSIONS)),
    )
    .await;
    let folder = tempdir().unwrap();
    let info = scan(&server.address.to_string(), &["http_headers", "cookie_flags"], folder.path(), &[]).await;
    assert_eq!(status(&info, "http_headers"), "success");
    assert!(!issues(folder.path(), "http_headers").contains(&"plain_http".to_owned()));
    assert_eq!(issues(folder.path(), "cookie_flags"), ["cookie_without_secure"]);
}

#[tokio::test]
async fn obsolete_tls_versions_are_found() {
    // A server that supports only TLS 1.0: it answers every hello with a TLS 1.0 ServerHello, which
    // rustls refuses.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 5];
            if stream.read_exact(&mut head).await.is_err() {
                continue;
            }
            let mut rest = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            if stream.read_exact(&mut rest).await.is_err() {
                continue;
            }
            let mut hello = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
            hello.extend([7; 32]);
            hello.extend([0, 0, 0x2f, 0]);
            let _ = stream.write_all(&hello).await;
            let _ = stream.shutdown().await;
        }
    });
    let folder = tempdir().unwrap();
    let info = scan(&format!("https://{address}"), &["tls_certificate"], folder.path(), &[]).await;
    server.abort();
    assert_eq!(status(&info, "tls_certificate"), "success");
    assert_eq!(issues(folder.path(), "tls_certificate"), ["tls_no_modern_protocol", "tls_legacy_protocol"]);
}
