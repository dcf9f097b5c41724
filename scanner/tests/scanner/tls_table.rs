//! Tests of the `tls_certificate` plugin against servers of many versions. The configurations are
//! those of OpenSSL's `s_server`; the versions and suites in the table are the results of sslyze 6.

use std::collections::BTreeMap;

use rcgen::{CertificateParams, KeyPair};
use tempfile::tempdir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{issues, processed, scan, status};

/// The versions and suites of a server: suites in the server's order, by the minor version on the
/// wire.
type Accepts = &'static [(u8, &'static [u16])];

/// The way in which a server refuses.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    Alert(u8),
    Close,
    /// The server never answers.
    Silence,
}

/// Starts a server that answers the first flight as OpenSSL does, and supports no later message.
async fn server(accepts: Accepts, dh_bits: u16, refusal: Refusal) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let certificate = certificate.clone();
            tokio::spawn(async move {
                let _ = answer(stream, accepts, dh_bits, refusal, &certificate).await;
            });
        }
    });
    format!("https://{address}")
}

async fn answer(
    mut stream: TcpStream,
    accepts: Accepts,
    dh_bits: u16,
    refusal: Refusal,
    certificate: &[u8],
) -> std::io::Result<()> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut record).await?;
    let (minor, suites) = hello(&record);
    // The client's version, if the server supports it. OpenSSL would choose a lower version, which
    // the probe does not accept.
    let known = accepts.iter().find(|(version, _)| *version == minor);
    let chosen = known.and_then(|(_, known)| known.iter().find(|suite| suites.contains(suite)));
    let Some(suite) = chosen else {
        match refusal {
            Refusal::Alert(description) => stream.write_all(&[21, 3, minor.min(3), 0, 2, 2, description]).await?,
            Refusal::Close => {}
            Refusal::Silence => return stream.read_to_end(&mut Vec::new()).await.map(|_| ()),
        }
        return stream.shutdown().await;
    };
    let mut flight = message(2, &server_hello(minor, *suite));
    // TLS 1.3 encrypts the remaining messages.
    if minor < 4 {
        let mut list = vec![0];
        list.extend(u16::try_from(certificate.len() + 3).unwrap().to_be_bytes());
        list.push(0);
        list.extend(u16::try_from(certificate.len()).unwrap().to_be_bytes());
        list.extend(certificate);
        flight.extend(message(11, &list));
        // DHE: prime, generator and public key. The client does not read the rest.
        let mut exchange = (dh_bits / 8).to_be_bytes().to_vec();
        exchange.extend(vec![0xff; usize::from(dh_bits / 8)]);
        exchange.extend([0, 1, 2, 0, 1, 3]);
        flight.extend(message(12, &exchange));
        flight.extend(message(14, &[]));
    }
    // Records of 500 bytes, so that one message spans several records.
    for part in flight.chunks(500) {
        let mut record = vec![22, 3, minor.min(3)];
        record.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        record.extend(part);
        stream.write_all(&record).await?;
    }
    // The client reads until it has enough.
    stream.read_to_end(&mut Vec::new()).await.map(|_| ())
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0];
    message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(body);
    message
}

fn server_hello(minor: u8, suite: u16) -> Vec<u8> {
    let mut hello = vec![3, minor.min(3)];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend(suite.to_be_bytes());
    hello.push(0);
    if minor == 4 {
        hello.extend([0, 6, 0, 43, 0, 2, 3, 4]);
    }
    hello
}

/// Parses the version and the suites of a ClientHello.
fn hello(record: &[u8]) -> (u8, Vec<u16>) {
    let session = usize::from(record[38]);
    let at = 39 + session;
    let length = usize::from(u16::from_be_bytes([record[at], record[at + 1]]));
    let suites = record[at + 2..at + 2 + length].chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let is_tls13 = record.windows(5).any(|window| window == [0, 43, 0, 3, 2])
        || record.windows(6).any(|window| window == [0, 43, 0, 5, 4, 3]);
    (if is_tls13 { 4 } else { record[5] }, suites)
}

const TLS13: &[u16] = &[0x1302, 0x1303, 0x1301];

/// One configuration: its name, its versions and suites, the length of its Diffie-Hellman prime,
/// the results of sslyze, and the expected issues.
struct Row {
    name: &'static str,
    accepts: Accepts,
    dh_bits: u16,
    found: &'static [(&'static str, &'static [&'static str])],
    issues: &'static [&'static str],
}

static ROWS: &[Row] = &[
    Row {
        name: "DHE only, TLS 1.2: DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-SHA256:DHE-RSA-CHACHA20-POLY1305",
        accepts: &[(3, &[0x009E, 0x006B, 0xCCAA])],
        dh_bits: 2048,
        found: &[(
            "TLS 1.2",
            &[
                "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
                "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
                "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            ],
        )],
        issues: &["tls_self_signed", "tls_dhe_only", "tls_1_3_not_offered"],
    },
    Row {
        name: "DHE with 1024 bits, TLS 1.2: DHE-RSA-AES256-GCM-SHA384",
        accepts: &[(3, &[0x009F])],
        dh_bits: 1024,
        found: &[("TLS 1.2", &["TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"])],
        issues: &["tls_self_signed", "tls_weak_dh_parameters", "tls_dhe_only", "tls_1_3_not_offered"],
    },
    Row {
        name: "TLS 1.0 with DHE: DHE-RSA-AES128-SHA:DHE-RSA-AES256-SHA",
        accepts: &[(1, &[0x0033, 0x0039])],
        dh_bits: 2048,
        found: &[("TLS 1.0", &["TLS_DHE_RSA_WITH_AES_128_CBC_SHA", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA"])],
        issues: &["tls_self_signed", "tls_no_modern_protocol", "tls_legacy_protocol", "tls_dhe_only"],
    },
    Row {
        name: "TLS 1.1 with DHE: DHE-RSA-AES128-SHA:DHE-RSA-CAMELLIA128-SHA",
        accepts: &[(2, &[0x0033, 0x0045])],
        dh_bits: 2048,
        found: &[("TLS 1.1", &["TLS_DHE_RSA_WITH_AES_128_CBC_SHA", "TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA"])],
        issues: &["tls_self_signed", "tls_no_modern_protocol", "tls_legacy_protocol", "tls_dhe_only"],
    },
    Row {
        name: "RSA key exchange, TLS 1.2: AES128-SHA:AES256-SHA256",
        accepts: &[(3, &[0x002F, 0x003D])],
        dh_bits: 2048,
        found: &[("TLS 1.2", &["TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_256_CBC_SHA256"])],
        issues: &["tls_self_signed", "tls_obsolete_cipher_suites_only", "tls_1_3_not_offered"],
    },
    Row {
        name: "TLS 1.2 and 1.3: ECDHE+AESGCM:ECDHE+CHACHA20",
        accepts: &[(4, TLS13), (3, &[0xC030, 0xC02F, 0xCCA8])],
        dh_bits: 2048,
        found: &[
            ("TLS 1.3", &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]),
            (
                "TLS 1.2",
                &[
                    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
                ],
            ),
        ],
        issues: &["tls_self_signed"],
    },
    Row {
        name: "TLS 1.3 only",
        accepts: &[(4, TLS13)],
        dh_bits: 2048,
        found: &[("TLS 1.3", &["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])],
        issues: &[],
    },
    Row {
        name: "ECDSA: ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA",
        accepts: &[(3, &[0xC02B, 0xC00A])],
        dh_bits: 2048,
        found: &[("TLS 1.2", &["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"])],
        issues: &["tls_self_signed", "tls_1_3_not_offered"],
    },
    Row {
        name: "SSL 3.0 to TLS 1.2 with broken suites (sslyze's own notes: RC4, 3DES, export and NULL are flagged)",
        accepts: &[(0, &[0x0005]), (1, &[0x000A, 0x0014]), (2, &[0x000A]), (3, &[0xC02F, 0x0002])],
        dh_bits: 2048,
        found: &[
            ("SSL 3.0", &["TLS_RSA_WITH_RC4_128_SHA"]),
            ("TLS 1.0", &["TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA"]),
            ("TLS 1.1", &["TLS_RSA_WITH_3DES_EDE_CBC_SHA"]),
            ("TLS 1.2", &["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_NULL_SHA"]),
        ],
        issues: &["tls_self_signed", "tls_legacy_protocol", "tls_broken_cipher_suites", "tls_1_3_not_offered"],
    },
];

/// Returns the accepted suites by version from the plugin's details, each list sorted.
fn accepted(details: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (version, suite) in details.lines().filter_map(|line| line.split_once(" accepts ")) {
        found.entry(version.to_owned()).or_default().push(suite.to_owned());
    }
    found.values_mut().for_each(|list| list.sort());
    found
}

#[tokio::test]
async fn tls_versions_and_suites_match_sslyze() {
    for row in ROWS {
        for refusal in [Refusal::Alert(40), Refusal::Alert(70), Refusal::Close] {
            let target = server(row.accepts, row.dh_bits, refusal).await;
            let folder = tempdir().unwrap();
            let info = scan(&target, &["tls_certificate"], folder.path(), &[]).await;
            let file = processed(folder.path(), "tls_certificate");
            assert_eq!(status(&info, "tls_certificate"), "success", "{}: {file:#}", row.name);
            let details = file["details"].as_str().unwrap();
            let expected: BTreeMap<String, Vec<String>> = row
                .found
                .iter()
                .map(|(version, suites)| ((*version).to_owned(), suites.iter().map(ToString::to_string).collect()))
                .collect();
            assert_eq!(accepted(details), expected, "{} {refusal:?}", row.name);
            let mut found = issues(folder.path(), "tls_certificate");
            let mut wanted: Vec<String> = row.issues.iter().map(ToString::to_string).collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{} {refusal:?}: {details}", row.name);
            for version in ["TLS 1.3", "TLS 1.2", "TLS 1.1", "TLS 1.0", "SSL 3.0"] {
                let offered = if expected.contains_key(version) { "offered" } else { "not offered" };
                assert!(
                    details.lines().any(|line| line.starts_with(&format!("{version}: {offered}"))),
                    "{}: {version}: {details}",
                    row.name
                );
            }
        }
    }
}

#[tokio::test]
async fn unanswered_tls_probe_is_reported_and_fails_the_check() {
    let target = server(&[(3, &[0xC02F, 0x002F])], 2048, Refusal::Silence).await;
    let folder = tempdir().unwrap();
    let info = scan(&target, &["tls_certificate"], folder.path(), &["http.connect_timeout_seconds=1"]).await;
    assert_eq!(status(&info, "tls_certificate"), "fail");
    let file = processed(folder.path(), "tls_certificate");
    let details = file["details"].as_str().unwrap();
    assert!(details.contains("TLS 1.2: offered, at least 2 suites"), "{details}");
    for version in ["TLS 1.3", "TLS 1.1", "TLS 1.0", "SSL 3.0"] {
        assert!(details.contains(&format!("{version}: could not be checked (no answer within 1 s)")), "{details}");
    }
    let reason = info.plugins[0].reason.as_deref().unwrap();
    assert!(
        reason.contains("TLS 1.0: could not be checked")
            && reason.contains("TLS 1.2: not every suite could be checked"),
        "{reason}"
    );
    // The findings so far are kept, and the plugin reports nothing about the unanswered part.
    assert_eq!(issues(folder.path(), "tls_certificate"), ["tls_self_signed"]);
    assert_eq!(file["findings"]["disposition"], "fail");
    assert_eq!(file["findings"]["results"].as_array().unwrap().len(), 1);
    assert!(file["findings"]["error"].as_str().unwrap().contains("TLS 1.0"));
    assert!(file["summary"].as_str().unwrap().contains("not everything was checked"), "{file:#}");
    assert!(!file["summary"].as_str().unwrap().contains("browsers refuse"), "{file:#}");
    let page = std::fs::read_to_string(folder.path().join("kast_report.html")).unwrap();
    assert!(page.contains("Not everything was checked") && page.contains("Certificate is self-signed"));
}

#[tokio::test]
async fn a_server_that_answers_every_hello_with_an_alert_speaks_tls() {
    // An `s_server` with pre-shared keys only. sslyze finds no version or suite on it either.
    let target = server(&[], 2048, Refusal::Alert(40)).await;
    let folder = tempdir().unwrap();
    let info = scan(&target, &["tls_certificate"], folder.path(), &[]).await;
    assert_eq!(status(&info, "tls_certificate"), "fail");
    let summary = processed(folder.path(), "tls_certificate")["summary"].as_str().unwrap().to_owned();
    assert!(summary.contains("speaks TLS") && summary.contains("alert 40, handshake_failure"), "{summary}");
    assert!(!summary.contains("no TLS on this port"), "{summary}");
}

#[tokio::test]
async fn a_server_that_hangs_up_on_every_hello_is_not_said_to_speak_tls() {
    let target = server(&[], 2048, Refusal::Close).await;
    let folder = tempdir().unwrap();
    let info = scan(&target, &["tls_certificate"], folder.path(), &[]).await;
    assert_eq!(status(&info, "tls_certificate"), "fail");
    assert!(processed(folder.path(), "tls_certificate")["summary"].as_str().unwrap().contains("no TLS on this port"));
}
