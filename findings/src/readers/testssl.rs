//! testssl.sh: protocols, cipher suites, vulnerabilities and certificates of a port.

use std::collections::BTreeSet;

use super::collect::Collector;
use super::file::File;
use crate::asset::AssetKind;
use crate::json::Node;
use crate::notes::NoteKind;
use crate::place::{Endpoint, Host, Label, Place};
use crate::severity::Severity;
use crate::sighting::Sighting;

/// The obsolete protocols: testssl's id, and KAST's id in the registry.
const PROTOCOLS: &[(&str, &str)] =
    &[("SSLv2", "SSLv2"), ("SSLv3", "SSLv3"), ("TLS1", "TLSv1.0"), ("TLS1_1", "TLSv1.1")];

/// The sections of the findings that this reader knows, with the issues that they may have. KAST
/// does not run the others. `cipher-` stands for all cipher suites, which are one finding.
const SECTIONS: &[(&str, &[&str])] = &[
    ("protocols", &["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"]),
    (
        "vulnerabilities",
        &[
            "BEAST",
            "BEAST_CBC_TLS1",
            "BREACH",
            "CCS",
            "CRIME_TLS",
            "DROWN",
            "DROWN_hint",
            "FREAK",
            "LOGJAM",
            "LOGJAM-common_primes",
            "LUCKY13",
            "POODLE_SSL",
            "RC4",
            "ROBOT",
            "SWEET32",
            "fallback_SCSV",
            "heartbleed",
            "opossum",
            "secure_client_renego",
            "secure_renego",
            "ticketbleed",
            "winshock",
        ],
    ),
    ("cipherTests", &["cipher-"]),
    (
        "serverDefaults",
        &["cert-chain-invalid", "cert-expired", "cert-expiring-soon", "cert-self-signed", "cert-weak-key"],
    ),
];

/// The limit for the certificates of a port. A server has one for each kind of key.
const MOST_CERTIFICATES: u8 = 8;

pub(super) fn read(file: &File, out: &mut Collector) {
    let results = file.unwrapped().get("scanResult").one_or_more();
    if results.is_empty() {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no scan result");
        return;
    }
    for result in results {
        if result.text_of("id") == Some("scanProblem") {
            out.notes.add(NoteKind::FailureReported, result.text_of("finding").unwrap_or("scan problem"));
            continue;
        }
        let Some(endpoint) = endpoint(result, out) else {
            out.notes.add(NoteKind::NotUnderstood, "a scan result without host and port");
            continue;
        };
        let mut port = Port { endpoint, ip: result.text_of("ip").unwrap_or_default(), out };
        result.get("protocols").list().iter().for_each(|entry| port.protocol(entry));
        result.get("vulnerabilities").list().iter().for_each(|entry| port.vulnerability(entry));
        result.get("cipherTests").list().iter().for_each(|entry| port.cipher(entry));
        port.certificates(result.get("serverDefaults").list());
        // An empty section was not run, so what it would have found is not known.
        let missing = SECTIONS.iter().filter(|(name, _)| result.get(name).list().is_empty());
        missing.flat_map(|(_, issues)| issues.iter()).for_each(|issue| port.out.no_result(issue));
        let others = result.members().filter(|(name, _)| SECTIONS.iter().all(|(known, _)| known != name));
        for (name, section) in others {
            let bad = section.list().iter().filter(|entry| Grade::of(entry) == Grade::Bad).count();
            port.out.notes.add_many(NoteKind::LeftOut, bad, &format!("entries of the section {name}"));
        }
    }
}

/// The port that was tested, with the name of the host, because IP addresses change.
fn endpoint(result: &Node, out: &Collector) -> Option<Endpoint> {
    let host = result.text_of("targetHost").or_else(|| result.text_of("ip")).and_then(|host| Host::parse(host).ok());
    let port = result.word_of("port").and_then(|port| port.parse().ok());
    match (host, port, out.target()) {
        (Some(host), Some(port), _) => Endpoint::new(host, port).ok(),
        (Some(host), None, Some(target)) => Endpoint::new(host, target.port()).ok(),
        (None, _, Some(target)) => Some(target.endpoint()),
        _ => None,
    }
}

/// What the severity of an entry says.
#[derive(PartialEq, Eq)]
enum Grade {
    /// Nothing to report.
    Good,
    /// An issue.
    Bad,
    /// The check itself did not work.
    NoResult,
}

impl Grade {
    fn of(entry: &Node) -> Self {
        match entry.text_of("severity").unwrap_or_default().trim() {
            "OK" | "INFO" => Self::Good,
            "LOW" | "MEDIUM" | "HIGH" | "CRITICAL" => Self::Bad,
            _ => Self::NoResult,
        }
    }
}

struct Port<'a> {
    endpoint: Endpoint,
    ip: &'a str,
    out: &'a mut Collector,
}

impl Port<'_> {
    fn protocol(&mut self, entry: &Node) {
        let Some((own, id)) = PROTOCOLS.iter().find(|(own, _)| entry.text_of("id") == Some(own)) else { return };
        let finding = entry.text_of("finding").unwrap_or_default();
        match Grade::of(entry) {
            Grade::NoResult => self.out.no_result(id),
            Grade::Bad if finding.trim_start().starts_with("offered") => {
                let place = match Label::parse(id) {
                    Ok(protocol) => Place::Protocol { endpoint: self.endpoint.clone(), protocol },
                    Err(_) => self.place(),
                };
                self.push(id, place, entry, own);
            }
            Grade::Bad => self.out.notes.add(NoteKind::LeftOut, finding),
            Grade::Good => {}
        }
    }

    fn vulnerability(&mut self, entry: &Node) {
        let Some(id) = entry.text_of("id") else {
            return self.out.notes.add(NoteKind::NotUnderstood, "a vulnerability without an id");
        };
        let finding = entry.text_of("finding").unwrap_or_default().trim();
        let is_good = ["not vulnerable", "supported"].iter().any(|good| finding.eq_ignore_ascii_case(good));
        match Grade::of(entry) {
            Grade::NoResult => self.out.no_result(id),
            Grade::Bad if !is_good => {
                let place = self.place();
                self.push(id, place, entry, id);
            }
            Grade::Bad | Grade::Good => {}
        }
    }

    /// Reads `cipher-tls1_2_xc028`: the protocol and the number of the suite.
    fn cipher(&mut self, entry: &Node) {
        let Some(id) = entry.text_of("id") else {
            return self.out.notes.add(NoteKind::NotUnderstood, "a cipher suite without an id");
        };
        if !id.starts_with("cipher-") {
            return;
        }
        match Grade::of(entry) {
            Grade::NoResult => self.out.no_result(id),
            Grade::Bad => {
                let parts = id.strip_prefix("cipher-").and_then(|rest| rest.rsplit_once('_'));
                let place = match parts.map(|(protocol, suite)| (Label::parse(protocol), Label::parse(suite))) {
                    Some((Ok(protocol), Ok(suite))) => {
                        Place::Cipher { endpoint: self.endpoint.clone(), protocol, suite }
                    }
                    _ => self.place(),
                };
                self.push(id, place, entry, id);
            }
            Grade::Good => {}
        }
    }

    fn certificates(&mut self, entries: &[Node]) {
        let mut certificates = BTreeSet::new();
        for entry in entries {
            let Some(id) = entry.text_of("id") else { continue };
            // A server with two certificates: `cert_keySize <cert#2>`.
            let (name, number) = match id.split_once(" <cert#") {
                Some((name, rest)) => (name, rest.trim_end_matches('>').parse().unwrap_or(1)),
                None => (id, 1),
            };
            if name == "cert_notAfter" && (1..=MOST_CERTIFICATES).contains(&number) && certificates.insert(number) {
                self.certificate(entries, entry, id.strip_prefix(name).unwrap_or_default(), number);
            }
            let finding = entry.text_of("finding").unwrap_or_default().to_lowercase();
            let issue = match name {
                "cert_expirationStatus" if finding.contains("expired") => "cert-expired",
                "cert_expirationStatus" if finding.contains("expires") => "cert-expiring-soon",
                "cert_chain_of_trust" => "cert-chain-invalid",
                "cert_selfSigned" => "cert-self-signed",
                "cert_keySize" => "cert-weak-key",
                _ => {
                    if Grade::of(entry) == Grade::Bad && name != "cert_notAfter" {
                        self.out.notes.add(NoteKind::LeftOut, id);
                    }
                    continue;
                }
            };
            match Grade::of(entry) {
                Grade::Good => {}
                Grade::NoResult => self.out.no_result(issue),
                Grade::Bad => {
                    let place = self.place();
                    self.push(issue, place, entry, id);
                }
            }
        }
    }

    /// Adds the certificate with the entries that have the same suffix.
    fn certificate(&mut self, entries: &[Node], not_after: &Node, suffix: &str, number: u8) {
        let text = |name: &str| {
            let id = format!("{name}{suffix}");
            entries.iter().find(|entry| entry.text_of("id") == Some(&id)).and_then(|entry| entry.text_of("finding"))
        };
        let until = not_after.text_of("finding");
        let kind = AssetKind::Certificate { endpoint: self.endpoint.clone(), number };
        let mut asset = self
            .out
            .asset(kind)
            .attribute("not_after", until)
            .attribute("common_name", text("cert_commonName"))
            .attribute("issuer", text("cert_caIssuers"))
            .attribute("sha256", text("cert_fingerprintSHA256"));
        // testssl writes `2026-03-01 12:00`, in UTC.
        asset.valid_until = until.and_then(|text| {
            jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M", text.trim())
                .ok()
                .and_then(|time| jiff::tz::TimeZone::UTC.to_timestamp(time).ok())
        });
        self.out.push_asset(asset);
    }

    fn place(&self) -> Place {
        Place::Endpoint { endpoint: self.endpoint.clone() }
    }

    fn push(&mut self, issue: &str, place: Place, entry: &Node, own: &str) {
        let numbers = ["cve", "cwe"].into_iter().filter_map(|key| entry.text_of(key));
        let sighting: Sighting = self
            .out
            .sighting(issue, place)
            .severity(entry.text_of("severity").and_then(Severity::read))
            .location(&self.endpoint.to_string())
            .evidence(entry.text_of("finding").unwrap_or_default())
            .references(numbers.flat_map(str::split_whitespace))
            .attribute("ip", Some(self.ip))
            .attribute("testssl_id", Some(own));
        self.out.push(sighting);
    }
}
