//! `tls_certificate`: the certificate chain and the protocol versions that the server offers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Host;

use crate::certificate::{self, Yardstick};
use crate::issues;
use crate::legacy_tls::{self, Answer, Legacy};
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report};
use crate::scan::Scan;
use crate::trust;

static META: Meta = Meta {
    name: "tls_certificate",
    display_name: "TLS and Certificate",
    description: "Checks the certificate's dates, name and chain of trust, and which protocol versions the server accepts.",
    website_url: "https://developer.mozilla.org/en-US/docs/Web/Security/Defenses/Transport_Layer_Security",
    priority: 35,
};

/// The plugin.
#[derive(Debug)]
pub struct TlsCertificate;

#[async_trait]
impl Plugin for TlsCertificate {
    fn meta(&self) -> &'static Meta {
        &META
    }

    async fn run(&self, scan: &Scan) -> Outcome {
        match check(scan).await {
            Ok(outcome) => outcome,
            Err(reason) => Outcome::Failed(reason),
        }
    }
}

/// What one completed handshake showed.
struct Handshake {
    chain: Vec<CertificateDer<'static>>,
    agreed: String,
}

/// Why a handshake was not completed.
enum Refusal {
    /// No connection, or no answer in time: nothing is known about TLS.
    Unreachable(String),
    /// The server answered, but not so that TLS came about.
    Handshake(String),
    /// The connection opened and nothing came: a plain server that waits for a request line does that.
    Silent(String),
}

async fn check(scan: &Scan) -> Result<Outcome, String> {
    let port = scan.target.tls_port();
    let addresses = scan.addresses().await?;
    let limit = scan.settings.connect_timeout;
    let name = match scan.target.host() {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|error| format!("{name}: {error}"))?,
        Host::Ipv4(address) => ServerName::from(IpAddr::from(*address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::from(*address)),
    };
    let address = reachable(addresses, port, limit).await?;
    let location = format!("{}:{port}", scan.target.host());

    let modern = handshake(address, &name, &[&TLS13, &TLS12], limit).await;
    let mut report = Report::default();
    let sni = match scan.target.host() {
        Host::Domain(name) => Some(name.as_str()),
        _ => None,
    };
    match modern {
        Ok(handshake) => {
            let roots = trust::roots(&scan.settings)?;
            let yardstick = Yardstick { roots: &roots, name: &name, now: scan.now, warning_days: scan.settings.expiry_warning_days };
            let judgement = certificate::judge(&handshake.chain, &yardstick, &location)?;
            report.findings = judgement.findings;
            report.observations = judgement.facts;
            report.observations.push(format!("negotiated: {}", handshake.agreed));
            report.headline = format!("{location} negotiates {}", handshake.agreed);
            offered(&mut report, address, &name, &location, limit).await;
            legacy(&mut report, address, sni, &location, limit).await;
        }
        Err(Refusal::Unreachable(reason)) => return Err(format!("{location}: {reason}")),
        Err(Refusal::Handshake(_) | Refusal::Silent(_)) if answers_plain_http(scan, port).await => {
            return Ok(Outcome::Skipped(format!("no TLS on this port: {location} answers plain HTTP")));
        }
        Err(Refusal::Silent(reason)) => return Err(format!("{location}: {reason}")),
        Err(Refusal::Handshake(reason)) => {
            // The failure alone does not say why. The old hello tells suites of the past from versions of the past.
            let old_suites = matches!(legacy_tls::probe(address, Legacy::Tls12, sni, limit).await, Ok(Answer::Accepted));
            let old_versions = legacy(&mut report, address, sni, &location, limit).await;
            if old_suites {
                report.observations.push("TLS 1.2: offered with obsolete cipher suites only".to_owned());
                report.findings.push(Finding::new(&issues::TLS_OLD_SUITES, location.as_str(), reason));
                report.headline = format!("{location} speaks TLS 1.2 with obsolete suites only; its certificate was not looked at");
            } else if old_versions {
                report.findings.push(Finding::new(&issues::TLS_NO_MODERN, location.as_str(), reason));
                report.headline = format!("{location} speaks only obsolete TLS; its certificate was not looked at");
            } else {
                return Err(format!("no TLS on this port: {location}: {reason}"));
            }
        }
    }
    Ok(Outcome::Done(report))
}

/// The first pinned address that accepts a connection.
async fn reachable(addresses: &[IpAddr], port: u16, limit: Duration) -> Result<SocketAddr, String> {
    let mut reasons = Vec::new();
    for ip in addresses {
        let address = SocketAddr::new(*ip, port);
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(address),
            Ok(Err(error)) => reasons.push(format!("{address}: {error}")),
            Err(_) => reasons.push(format!("{address}: no connection within {} s", limit.as_secs())),
        }
    }
    Err(format!("no TLS could be tried: {}", reasons.join("; ")))
}

async fn handshake(
    address: SocketAddr,
    name: &ServerName<'static>,
    versions: &[&'static SupportedProtocolVersion],
    limit: Duration,
) -> Result<Handshake, Refusal> {
    let config = trust::lenient_config(versions, &[b"h2", b"http/1.1"]).map_err(|error| Refusal::Unreachable(error.to_string()))?;
    let talk = async {
        let stream = TcpStream::connect(address).await.map_err(|error| Refusal::Unreachable(error.to_string()))?;
        TlsConnector::from(Arc::new(config)).connect(name.clone(), stream).await.map_err(|error| Refusal::Handshake(format!("the handshake failed: {error}")))
    };
    let stream = timeout(limit, talk).await.map_err(|_| Refusal::Silent(format!("no answer to the handshake within {} s", limit.as_secs())))??;
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().map_or("an unknown version", version_name);
    let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("an unknown suite");
    let alpn = connection.alpn_protocol().map_or_else(|| "none".to_owned(), |name| String::from_utf8_lossy(name).into_owned());
    let chain = connection.peer_certificates().unwrap_or_default().iter().map(|certificate| certificate.clone().into_owned()).collect();
    Ok(Handshake { chain, agreed: format!("{version}, {suite}, ALPN {alpn}") })
}

const fn version_name(version: rustls::ProtocolVersion) -> &'static str {
    match version {
        rustls::ProtocolVersion::TLSv1_2 => "TLS 1.2",
        rustls::ProtocolVersion::TLSv1_3 => "TLS 1.3",
        _ => "another version",
    }
}

/// Tells whether TLS 1.3 and TLS 1.2 are offered, each asked for alone.
async fn offered(report: &mut Report, address: SocketAddr, name: &ServerName<'static>, location: &str, limit: Duration) {
    for (version, label) in [(&TLS13, "TLS 1.3"), (&TLS12, "TLS 1.2")] {
        match handshake(address, name, &[version], limit).await {
            Ok(_) => report.observations.push(format!("{label}: offered")),
            Err(Refusal::Handshake(reason)) => {
                report.observations.push(format!("{label}: not offered ({reason})"));
                if label == "TLS 1.3" {
                    report.findings.push(Finding::new(&issues::TLS_NO_13, location, "a handshake with TLS 1.3 only was refused"));
                }
            }
            Err(Refusal::Unreachable(reason) | Refusal::Silent(reason)) => report.observations.push(format!("{label}: could not be checked ({reason})")),
        }
    }
}

/// Tells whether TLS 1.1 and TLS 1.0 are accepted; returns whether one is.
async fn legacy(report: &mut Report, address: SocketAddr, sni: Option<&str>, location: &str, limit: Duration) -> bool {
    let mut accepted = Vec::new();
    for version in [Legacy::Tls11, Legacy::Tls10] {
        match legacy_tls::probe(address, version, sni, limit).await {
            Ok(Answer::Accepted) => {
                report.observations.push(format!("{}: offered", version.name()));
                accepted.push(version.name());
            }
            Ok(Answer::Refused | Answer::NotTls) => report.observations.push(format!("{}: not offered", version.name())),
            Err(reason) => report.observations.push(format!("{}: could not be checked ({reason})", version.name())),
        }
    }
    if !accepted.is_empty() {
        report.findings.push(Finding::new(&issues::TLS_LEGACY_PROTOCOL, location, format!("the server accepts {}", accepted.join(" and "))));
    }
    !accepted.is_empty()
}

async fn answers_plain_http(scan: &Scan, port: u16) -> bool {
    scan.landing().await.is_ok_and(|landing| !landing.is_https() && landing.url().port_or_known_default() == Some(port))
}
