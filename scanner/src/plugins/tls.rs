//! `tls_certificate`: the certificate chain, and the protocol versions and cipher suites that the
//! server accepts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Host;

use crate::certificate::{self, Yardstick};
use crate::issues;
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report};
use crate::scan::Scan;
use crate::tls_probe::{Answer, End, Probe, Suite, Survey, Version};
use crate::trust;

static META: Meta = Meta {
    name: "tls_certificate",
    display_name: "TLS and Certificate",
    description: "Checks the certificate's dates, name and chain of trust, and which protocol versions and cipher suites the server accepts.",
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

/// The result of one completed handshake.
struct Handshake {
    chain: Vec<CertificateDer<'static>>,
    agreed: String,
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
    let sni = match scan.target.host() {
        Host::Domain(name) => Some(name.trim_end_matches('.')),
        _ => None,
    };

    let modern = handshake(address, &name, limit).await;
    let probe = Probe { address, name: sni, limit };
    let mut surveys = Vec::new();
    let mut unchecked = Vec::new();
    let mut report = Report::default();
    for version in Version::ALL {
        match probe.survey(version).await {
            Ok(survey) => surveys.push(survey),
            Err(reason) => unchecked.push(format!("{}: could not be checked ({reason})", version.name())),
        }
        // A port that does not speak TLS, or does not answer, is not probed five times.
        let is_other =
            surveys.last().map_or(unchecked.len() > 1, |survey: &Survey| survey.refusal == Some(Answer::NotTls));
        if modern.is_err() && is_other {
            break;
        }
    }

    let agreed = modern.as_ref().ok().map(|handshake| handshake.agreed.clone());
    let chain = match &modern {
        Ok(handshake) => handshake.chain.clone(),
        Err(reason) => {
            if !surveys.iter().any(Survey::speaks_tls) {
                if answers_plain_http(scan, port).await {
                    return Ok(Outcome::Skipped(format!("no TLS on this port: {location} answers plain HTTP")));
                }
                return Err(format!("no TLS on this port: {location}: {reason}"));
            }
            if !surveys.iter().any(Survey::is_offered) {
                let what = if unchecked.is_empty() {
                    "refused every version and cipher suite"
                } else {
                    "agreed to nothing, and not every version could be checked"
                };
                let answers: Vec<String> = surveys.iter().map(describe).chain(unchecked).collect();
                return Err(format!(
                    "{location} speaks TLS, but {what}; its certificate was not seen ({})",
                    answers.join("; ")
                ));
            }
            surveys.iter().map(|survey| &survey.chain).find(|chain| !chain.is_empty()).cloned().unwrap_or_default()
        }
    };

    if chain.is_empty() {
        report.observations.push("the server's certificate was not seen".to_owned());
    } else {
        let roots = trust::roots(&scan.settings)?;
        let yardstick =
            Yardstick { roots: &roots, name: &name, now: scan.now, warning_days: scan.settings.expiry_warning_days };
        let judgement = certificate::judge(&chain, &yardstick, &location)?;
        report.findings = judgement.findings;
        report.observations = judgement.facts;
    }
    if let Some(agreed) = &agreed {
        report.observations.push(format!("negotiated: {agreed}"));
    }
    for survey in &surveys {
        report.observations.push(describe(survey));
        report
            .observations
            .extend(survey.suites.iter().map(|suite| format!("{} accepts {suite}", survey.version.name())));
    }
    report.observations.extend(unchecked.iter().cloned());
    report.findings.extend(judge(&surveys, agreed.is_some(), &location));
    report.headline = headline(
        &location,
        modern.as_ref().map(|handshake| handshake.agreed.as_str()).map_err(String::as_str),
        &surveys,
    );
    if chain.is_empty() {
        report.headline.push_str("; its certificate was not seen");
    }
    unchecked.extend(surveys.iter().filter_map(|survey| match &survey.end {
        End::Lost(reason) => Some(format!("{}: not every suite could be checked ({reason})", survey.version.name())),
        _ => None,
    }));
    Ok(if unchecked.is_empty() { Outcome::Done(report) } else { Outcome::Partial(report, unchecked.join("; ")) })
}

/// Returns one sentence about the negotiated parameters. `modern` is the handshake of a current
/// browser, or the reason why it did not complete.
fn headline(location: &str, modern: Result<&str, &str>, surveys: &[Survey]) -> String {
    let best = match (modern, surveys.iter().find(|survey| survey.is_offered())) {
        (Ok(agreed), _) => return format!("{location} negotiates {agreed}"),
        (Err(_), None) => return format!("{location} speaks TLS"),
        (Err(_), Some(best)) => best.version.name(),
    };
    let is_modern = |suite: &Suite| suite.is_of_tls13() || (suite.is_forward_secret() && suite.is_authenticated());
    let accepts_modern = surveys.iter().flat_map(|survey| &survey.suites).any(is_modern);
    match modern {
        // The suites are modern, so the handshake failed for another reason: a client certificate,
        // or a group for the key exchange.
        Err(reason) if accepts_modern => {
            format!("{location} speaks {best} at best; a handshake was not completed ({reason})")
        }
        Err(reason) if !surveys.iter().all(Survey::is_whole) => {
            format!("{location} speaks {best}; a handshake was not completed ({reason})")
        }
        _ => format!("{location} speaks {best} at best, with suites that browsers refuse"),
    }
}

/// Returns one line about one version.
fn describe(survey: &Survey) -> String {
    let name = survey.version.name();
    let dh = survey.dh_bits.map(|bits| format!(", Diffie-Hellman with {bits} bits")).unwrap_or_default();
    let (least, end) = match &survey.end {
        End::Complete => ("", String::new()),
        End::Open(what) => ("at least ", format!(" (the list ends without a refusal: {what})")),
        End::Limit => ("at least ", " (no more were requested)".to_owned()),
        End::Lost(reason) => ("at least ", format!(" (the list broke off: {reason})")),
    };
    match (&survey.refusal, survey.suites.len()) {
        (None, 1) => format!("{name}: offered, {least}1 suite{dh}{end}"),
        (None, count) => format!("{name}: offered, {least}{count} suites{dh}{end}"),
        (Some(Answer::Refused(reason) | Answer::Unclear(reason)), _) => format!("{name}: not offered ({reason})"),
        (Some(Answer::NotTls), _) => format!("{name}: not offered (the answer is no TLS)"),
        (Some(_), _) => format!("{name}: not offered (the connection was closed)"),
    }
}

/// Checks the versions and suites that a server accepts. `negotiates` is true if a handshake with
/// modern TLS completed. A missing version or suite is only reported if its probe ran to
/// completion.
#[must_use]
pub fn judge(surveys: &[Survey], negotiates: bool, location: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |issue, evidence: String| findings.push(Finding::new(issue, location, evidence));
    let offered = |version: Version| surveys.iter().any(|survey| survey.version == version && survey.is_offered());
    let is_known = |version: Version| surveys.iter().any(|survey| survey.version == version && survey.is_whole());
    let names = |suites: &[Suite]| suites.iter().map(|suite| suite.name()).collect::<Vec<_>>().join(", ");
    if [Version::Tls13, Version::Tls12].into_iter().all(|version| is_known(version) && !offered(version)) && !negotiates
    {
        add(&issues::TLS_NO_MODERN, "neither TLS 1.3 nor TLS 1.2 was agreed to".to_owned());
    }
    let withdrawn: Vec<&str> = surveys
        .iter()
        .filter(|survey| survey.is_offered() && survey.version.is_withdrawn())
        .map(|survey| survey.version.name())
        .collect();
    if !withdrawn.is_empty() {
        add(&issues::TLS_LEGACY_PROTOCOL, format!("the server accepts {}", withdrawn.join(" and ")));
    }
    if offered(Version::Tls12) && surveys.iter().any(|survey| survey.version == Version::Tls13 && !survey.is_offered())
    {
        add(&issues::TLS_NO_13, "a hello with TLS 1.3 only was refused".to_owned());
    }
    if let Some(tls12) = surveys.iter().find(|survey| survey.version == Version::Tls12 && survey.is_offered())
        && tls12.is_whole()
        && !tls12.suites.iter().any(|suite| suite.is_forward_secret() && suite.is_authenticated())
    {
        add(&issues::TLS_OLD_SUITES, format!("TLS 1.2 accepts {}", names(&tls12.suites)));
    }
    let all: Vec<Suite> = surveys.iter().flat_map(|survey| survey.suites.iter().copied()).collect();
    let forward_secret: Vec<Suite> = all.iter().copied().filter(|suite| suite.is_forward_secret()).collect();
    let knows_all = is_known(Version::Tls13) && is_known(Version::Tls12) && surveys.iter().all(Survey::is_whole);
    if knows_all && !forward_secret.is_empty() && forward_secret.iter().all(|suite| suite.is_dhe()) {
        add(&issues::TLS_DHE_ONLY, format!("the only suites with forward secrecy are {}", names(&forward_secret)));
    }
    let mut broken: Vec<Suite> = Vec::new();
    for suite in all {
        if suite.is_broken() && !broken.contains(&suite) {
            broken.push(suite);
        }
    }
    if !broken.is_empty() {
        add(&issues::TLS_BROKEN_SUITES, format!("the server accepts {}", names(&broken)));
    }
    if let Some(bits) = surveys.iter().filter_map(|survey| survey.dh_bits).min().filter(|bits| *bits < 2048) {
        add(&issues::TLS_WEAK_DH, format!("a prime of {bits} bits"));
    }
    findings
}

/// Returns the first pinned address that accepts a connection.
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

/// Completes a handshake as a current browser does.
async fn handshake(address: SocketAddr, name: &ServerName<'static>, limit: Duration) -> Result<Handshake, String> {
    let config = trust::lenient_config(&[&TLS13, &TLS12], &[b"h2", b"http/1.1"]).map_err(|error| error.to_string())?;
    let talk = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        TlsConnector::from(Arc::new(config))
            .connect(name.clone(), stream)
            .await
            .map_err(|error| format!("the handshake failed: {error}"))
    };
    let stream = timeout(limit, talk)
        .await
        .map_err(|_| format!("no answer to the handshake within {} s", limit.as_secs()))??;
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().map_or("an unknown version", version_name);
    let suite =
        connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("an unknown suite");
    let alpn =
        connection.alpn_protocol().map_or_else(|| "none".to_owned(), |name| String::from_utf8_lossy(name).into_owned());
    let chain = connection
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect();
    Ok(Handshake { chain, agreed: format!("{version}, {suite}, ALPN {alpn}") })
}

const fn version_name(version: rustls::ProtocolVersion) -> &'static str {
    match version {
        rustls::ProtocolVersion::TLSv1_2 => "TLS 1.2",
        rustls::ProtocolVersion::TLSv1_3 => "TLS 1.3",
        _ => "another version",
    }
}

async fn answers_plain_http(scan: &Scan, port: u16) -> bool {
    scan.landing().await.is_ok_and(|landing| !landing.is_https() && landing.url().port_or_known_default() == Some(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(version: Version, suites: &[u16], end: End) -> Survey {
        let refusal = suites.is_empty().then(|| Answer::Refused("alert 70, protocol_version".to_owned()));
        Survey {
            version,
            suites: suites.iter().map(|code| Suite(*code)).collect(),
            chain: Vec::new(),
            dh_bits: None,
            refusal,
            end,
        }
    }

    #[test]
    fn headline_names_the_suites_only_if_they_are_the_cause() {
        const REFUSED: &str = "with suites that browsers refuse";
        const REASON: &str = "a handshake was not completed (the server wants a certificate)";
        let lost = || End::Lost("no answer within 5 s".to_owned());
        for (suites, end, expected) in [
            (&[(Version::Tls12, &[0x002F, 0x003D][..])][..], End::Complete, REFUSED),
            (&[(Version::Tls10, &[0x000A]), (Version::Ssl30, &[0x0005])], End::Complete, REFUSED),
            (&[(Version::Tls13, &[0x1301])], End::Complete, REASON),
            (&[(Version::Tls12, &[0xC02F])], End::Complete, REASON),
            (&[(Version::Tls12, &[0x009E])], End::Complete, REASON),
            (&[(Version::Tls12, &[0x002F, 0xCCA8])], End::Complete, REASON),
            (&[(Version::Tls12, &[0x002F]), (Version::Tls13, &[0x1302])], End::Complete, REASON),
            (&[(Version::Tls12, &[0x002F])], lost(), REASON),
            (&[(Version::Tls12, &[0x002F])], End::Limit, REASON),
            (&[(Version::Tls12, &[0x002F])], End::Open("the connection was closed".to_owned()), REFUSED),
        ] {
            let surveys: Vec<_> = suites.iter().map(|(version, codes)| survey(*version, codes, end.clone())).collect();
            let text = headline("a.test:443", Err("the server wants a certificate"), &surveys);
            assert!(text.contains(expected) && text.contains(suites[0].0.name()), "{text}");
            assert_eq!(headline("a.test:443", Ok("TLS 1.3"), &surveys), "a.test:443 negotiates TLS 1.3");
        }
    }

    #[test]
    fn incomplete_suite_list_says_at_least() {
        for (codes, end, expected) in [
            (&[0xC02F][..], End::Complete, "TLS 1.2: offered, 1 suite"),
            (&[0xC02F, 0x002F], End::Complete, "TLS 1.2: offered, 2 suites"),
            (&[0xC02F], End::Limit, "TLS 1.2: offered, at least 1 suite (no more were requested)"),
            (
                &[0xC02F, 0x002F],
                End::Lost("no answer within 5 s".to_owned()),
                "TLS 1.2: offered, at least 2 suites (the list broke off: no answer within 5 s)",
            ),
            (
                &[0xC02F, 0x002F],
                End::Open("the connection was closed".to_owned()),
                "TLS 1.2: offered, at least 2 suites (the list ends without a refusal: the connection was closed)",
            ),
            (&[], End::Complete, "TLS 1.2: not offered (alert 70, protocol_version)"),
        ] {
            assert_eq!(describe(&survey(Version::Tls12, codes, end)), expected);
        }
    }

    #[test]
    fn missing_suites_are_reported_only_after_a_complete_probe() {
        let lost = || End::Lost("no answer within 5 s".to_owned());
        let closed = || End::Open("the connection was closed".to_owned());
        for (surveys, expected) in [
            (
                vec![survey(Version::Tls13, &[], End::Complete), survey(Version::Tls12, &[0x002F], End::Complete)],
                &["tls_1_3_not_offered", "tls_obsolete_cipher_suites_only"][..],
            ),
            (
                vec![survey(Version::Tls13, &[], End::Complete), survey(Version::Tls12, &[0x002F], closed())],
                &["tls_1_3_not_offered", "tls_obsolete_cipher_suites_only"],
            ),
            (
                vec![survey(Version::Tls13, &[], End::Complete), survey(Version::Tls12, &[0x002F], lost())],
                &["tls_1_3_not_offered"],
            ),
            (
                vec![survey(Version::Tls13, &[], End::Complete), survey(Version::Tls12, &[0x009E], End::Limit)],
                &["tls_1_3_not_offered"],
            ),
            (
                vec![survey(Version::Tls13, &[], End::Complete), survey(Version::Tls12, &[0x009E], End::Complete)],
                &["tls_1_3_not_offered", "tls_dhe_only"],
            ),
            (vec![survey(Version::Tls12, &[0x009E], End::Complete)], &[]),
            (
                vec![survey(Version::Tls12, &[], End::Complete), survey(Version::Tls10, &[0x002F], End::Complete)],
                &["tls_legacy_protocol"],
            ),
            (
                vec![
                    survey(Version::Tls13, &[], End::Complete),
                    survey(Version::Tls12, &[], End::Complete),
                    survey(Version::Tls10, &[0x002F], End::Complete),
                ],
                &["tls_no_modern_protocol", "tls_legacy_protocol"],
            ),
            (vec![survey(Version::Tls12, &[0x0005], lost())], &["tls_broken_cipher_suites"]),
        ] {
            let found: Vec<_> = judge(&surveys, false, "a.test:443").iter().map(|finding| finding.issue.id).collect();
            assert_eq!(found, expected, "{surveys:?}");
        }
    }
}
