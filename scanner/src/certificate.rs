//! Checks a certificate chain: dates, name, trust, key and signature (RFC 5280, RFC 9525). The
//! functions are pure; the time is an argument.

use std::time::Duration;

use jiff::Timestamp;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, RootCertStore};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::issues;
use crate::plugin::Finding;
use crate::text::clip;
use crate::trust;

/// The criteria for a chain.
#[derive(Debug)]
pub struct Yardstick<'a> {
    /// The trusted authorities.
    pub roots: &'a RootCertStore,
    /// The requested host.
    pub name: &'a ServerName<'a>,
    /// The time of the check.
    pub now: Timestamp,
    /// The number of days before expiry from which a certificate yields a warning.
    pub warning_days: u64,
}

/// The findings, and the facts as text.
#[derive(Debug, Default)]
pub struct Judgement {
    /// The weaknesses.
    pub findings: Vec<Finding>,
    /// Subject, issuer, dates, names and key.
    pub facts: Vec<String>,
}

/// Checks a chain in the order in which the server sent it, leaf first.
///
/// # Errors
/// Returns a readable reason if there is no certificate or the leaf cannot be parsed.
pub fn judge(chain: &[CertificateDer<'_>], yardstick: &Yardstick<'_>, location: &str) -> Result<Judgement, String> {
    let (leaf, intermediates) = chain.split_first().ok_or("the server sent no certificate")?;
    let (_, x509) =
        X509Certificate::from_der(leaf).map_err(|error| format!("the certificate cannot be parsed: {error}"))?;
    let mut judgement = Judgement::default();
    let mut add = |issue, evidence: String| judgement.findings.push(Finding::new(issue, location, evidence));

    let now = yardstick.now.as_second();
    let (from, until) = (x509.validity().not_before.timestamp(), x509.validity().not_after.timestamp());
    let days_left = (until - now).div_euclid(86_400);
    if now > until {
        add(&issues::TLS_CERT_EXPIRED, format!("valid until {}, {} days ago", day(until), (now - until) / 86_400));
    } else if now < from {
        add(&issues::TLS_CERT_NOT_YET_VALID, format!("valid from {}", day(from)));
    } else if days_left < i64::try_from(yardstick.warning_days).unwrap_or(i64::MAX) {
        add(&issues::TLS_CERT_EXPIRES_SOON, format!("valid until {}, {days_left} days from now", day(until)));
    }

    let names = alternative_names(&x509);
    let parsed = ParsedCertificate::try_from(leaf);
    match &parsed {
        Ok(parsed) => {
            if verify_server_name(parsed, yardstick.name).is_err() {
                add(
                    &issues::TLS_NAME_MISMATCH,
                    format!("requested {}, certificate names: {}", yardstick.name.to_str(), or_none(&names)),
                );
            }
            if x509.issuer() == x509.subject() && x509.verify_signature(None).is_ok() {
                add(
                    &issues::TLS_SELF_SIGNED,
                    format!("subject and issuer are both {}", clip(&x509.subject().to_string(), 200)),
                );
            } else if let Err(reason) = trusted(parsed, intermediates, yardstick.roots, now.clamp(from, until)) {
                add(
                    &issues::TLS_CHAIN_UNTRUSTED,
                    format!(
                        "{reason}; {} certificates sent, the leaf is issued by {}",
                        chain.len(),
                        clip(&x509.issuer().to_string(), 200)
                    ),
                );
            }
        }
        Err(error) => {
            add(&issues::TLS_CHAIN_UNTRUSTED, format!("the certificate breaks the rules of the web: {error}"));
        }
    }

    let key = x509.public_key().parsed();
    let (kind, bits, short) = match &key {
        Ok(PublicKey::RSA(rsa)) => ("RSA", rsa.key_size(), rsa.key_size() < 2048),
        Ok(PublicKey::EC(point)) => ("EC", point.key_size(), point.key_size() < 224),
        Ok(PublicKey::DSA(_)) => ("DSA", 0, true),
        _ => ("another kind of", 0, false),
    };
    if short {
        add(&issues::TLS_WEAK_KEY, format!("{kind} key of {bits} bits"));
    }
    let signature = x509.signature_algorithm.algorithm.to_id_string();
    if let Some(hash) = broken_hash(&signature) {
        add(&issues::TLS_WEAK_SIGNATURE, format!("signed with {hash} (algorithm {signature})"));
    }

    judgement.facts = vec![
        format!("subject: {}", clip(&x509.subject().to_string(), 200)),
        format!("issuer: {}", clip(&x509.issuer().to_string(), 200)),
        format!("valid: {} to {} ({days_left} days left)", day(from), day(until)),
        format!("names: {}", or_none(&names)),
        if bits > 0 { format!("key: {kind}, {bits} bits") } else { format!("key: {kind}") },
        format!("certificates sent: {}", chain.len()),
    ];
    Ok(judgement)
}

/// Returns true if the chain leads to a root. `at` lies within the leaf's validity, so an expired
/// leaf, which is a separate finding, does not hide the trust result.
fn trusted(
    leaf: &ParsedCertificate<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &RootCertStore,
    at: i64,
) -> Result<(), String> {
    let at = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at).unwrap_or(0)));
    let algorithms = trust::provider().signature_verification_algorithms;
    verify_server_cert_signed_by_trust_anchor(leaf, roots, intermediates, at, algorithms.all).map_err(|error| {
        match error {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                "no path to a trusted authority".to_owned()
            }
            rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
                "a certificate above the leaf has expired".to_owned()
            }
            other => other.to_string(),
        }
    })
}

fn alternative_names(x509: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = x509.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(clip(name, 100)),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    });
    names.take(20).collect()
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Returns the name of the broken hash of a signature algorithm (OIDs of RFC 3279).
#[must_use]
pub fn broken_hash(oid: &str) -> Option<&'static str> {
    match oid {
        "1.2.840.113549.1.1.4" => Some("MD5"),
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.10040.4.3" => Some("SHA-1"),
        _ => None,
    }
}

fn day(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map_or_else(|_| "an impossible date".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

    struct Authority {
        issuer: CertifiedIssuer<'static, KeyPair>,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, "Test authority");
            Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
        }

        fn roots(&self) -> RootCertStore {
            let mut store = RootCertStore::empty();
            store.add(self.issuer.der().clone()).unwrap();
            store
        }

        fn leaf(&self, name: &str) -> CertificateDer<'static> {
            leaf_params(name).signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
        }
    }

    fn leaf_params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2030, 4, 1);
        params
    }

    fn ids(chain: &[CertificateDer<'_>], roots: &RootCertStore, name: &str, now: &str) -> Vec<&'static str> {
        let name = ServerName::try_from(name).unwrap();
        let yardstick = Yardstick { roots, name: &name, now: now.parse().unwrap(), warning_days: 21 };
        judge(chain, &yardstick, "u").unwrap().findings.iter().map(|finding| finding.issue.id).collect()
    }

    #[test]
    fn certificate_dates_names_and_trust_are_checked() {
        let authority = Authority::new();
        let chain = [authority.leaf("a.test")];
        let roots = authority.roots();
        let none = RootCertStore::empty();
        let cases: &[(&RootCertStore, &str, &str, &[&str])] = &[
            (&roots, "a.test", "2030-02-01T00:00:00Z", &[]),
            (&roots, "a.test", "2030-03-20T00:00:00Z", &["tls_certificate_expires_soon"]),
            (&roots, "a.test", "2030-04-02T00:00:00Z", &["tls_certificate_expired"]),
            (&roots, "a.test", "2029-12-31T00:00:00Z", &["tls_certificate_not_yet_valid"]),
            (&roots, "b.test", "2030-02-01T00:00:00Z", &["tls_name_mismatch"]),
            (&none, "a.test", "2030-02-01T00:00:00Z", &["tls_chain_untrusted"]),
            (
                &none,
                "127.0.0.1",
                "2031-02-01T00:00:00Z",
                &["tls_certificate_expired", "tls_name_mismatch", "tls_chain_untrusted"],
            ),
        ];
        for (roots, name, now, expected) in cases {
            assert_eq!(&ids(&chain, roots, name, now), expected, "{name} {now}");
        }
    }

    #[test]
    fn self_signed_certificate_is_distinguished_from_untrusted_chain() {
        let certificate = leaf_params("a.test").self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(
            ids(&[certificate.der().clone()], &RootCertStore::empty(), "a.test", "2030-02-01T00:00:00Z"),
            ["tls_self_signed"]
        );
    }

    #[test]
    fn short_keys_and_broken_hashes_are_found() {
        use rustls::pki_types::pem::PemObject as _;
        // A self-signed certificate with an RSA key of 1024 bits and a SHA-1 signature, valid for
        // three days in November 2026.
        let weak = CertificateDer::from_pem_slice(include_bytes!("../tests/data/rsa1024-sha1.pem")).unwrap();
        let found = ids(&[weak], &RootCertStore::empty(), "wrong.test", "2026-11-24T00:00:00Z");
        assert_eq!(
            found,
            [
                "tls_certificate_expires_soon",
                "tls_name_mismatch",
                "tls_self_signed",
                "tls_weak_key",
                "tls_weak_signature"
            ]
        );
    }

    #[test]
    fn missing_and_broken_certificates_are_errors() {
        let name = ServerName::try_from("a.test").unwrap();
        let roots = RootCertStore::empty();
        let yardstick = Yardstick { roots: &roots, name: &name, now: Timestamp::UNIX_EPOCH, warning_days: 21 };
        assert!(judge(&[], &yardstick, "u").is_err());
        assert!(judge(&[CertificateDer::from(vec![1, 2, 3])], &yardstick, "u").is_err());
    }

    #[test]
    fn broken_hash_oids_are_recognised() {
        assert_eq!(broken_hash("1.2.840.113549.1.1.5"), Some("SHA-1"));
        assert_eq!(broken_hash("1.2.840.113549.1.1.11"), None);
    }
}
