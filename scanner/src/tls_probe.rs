//! Detects which protocol versions and cipher suites a server accepts, from SSL 3.0 to TLS 1.3.
//!
//! rustls supports only modern suites. So this module writes the ClientHello itself (RFC 5246,
//! 7.4.1.2; RFC 8446, 4.1.2) and reads the server's first flight. It never completes the handshake.
//! A server that answers with an alert speaks TLS and refuses the offer.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

mod suites;

/// The limit for the part of a server's first flight that is read, in bytes. A certificate chain
/// rarely has 10 KiB.
const MAX_FLIGHT: usize = 64 * 1024;

/// The limit for the suites of one version.
const MAX_SUITES: usize = 60;

/// A protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// SSL 3.0 (RFC 6101).
    Ssl30,
    /// TLS 1.0 (RFC 2246).
    Tls10,
    /// TLS 1.1 (RFC 4346).
    Tls11,
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl Version {
    /// All versions, newest first.
    pub const ALL: [Self; 5] = [Self::Tls13, Self::Tls12, Self::Tls11, Self::Tls10, Self::Ssl30];

    const fn wire(self) -> [u8; 2] {
        match self {
            Self::Ssl30 => [3, 0],
            Self::Tls10 => [3, 1],
            Self::Tls11 => [3, 2],
            Self::Tls12 => [3, 3],
            Self::Tls13 => [3, 4],
        }
    }

    /// Returns the name for users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssl30 => "SSL 3.0",
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }

    /// Returns true if the version is deprecated (RFC 7568, RFC 8996).
    #[must_use]
    pub fn is_withdrawn(self) -> bool {
        self < Self::Tls12
    }

    fn named(wire: [u8; 2]) -> String {
        Self::ALL
            .iter()
            .find(|version| version.wire() == wire)
            .map_or_else(|| format!("version {}.{}", wire[0], wire[1]), |version| version.name().to_owned())
    }

    /// Returns the suites that can be negotiated in this version.
    fn suites(self) -> Vec<Suite> {
        let fits = |suite: &Suite| match self {
            Self::Tls13 => suite.is_of_tls13(),
            Self::Tls12 => !suite.is_of_tls13(),
            Self::Ssl30 | Self::Tls10 | Self::Tls11 => !suite.is_of_tls13() && !suite.needs_tls12(),
        };
        suites::TABLE.iter().map(|(code, _)| Suite(*code)).filter(fits).collect()
    }
}

/// A cipher suite, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite(pub u16);

impl Suite {
    /// Returns the name in the IANA registry.
    #[must_use]
    pub fn name(self) -> &'static str {
        suites::TABLE.iter().find(|(code, _)| *code == self.0).map_or("an unknown suite", |(_, name)| name)
    }

    /// Returns true if the suite belongs to TLS 1.3.
    #[must_use]
    pub const fn is_of_tls13(self) -> bool {
        self.0 >> 8 == 0x13
    }

    fn needs_tls12(self) -> bool {
        let name = self.name();
        self.is_authenticated() || name.ends_with("SHA256") || name.ends_with("SHA384")
    }

    /// Returns true if a later theft of the server's key does not reveal recorded traffic (forward
    /// secrecy).
    #[must_use]
    pub fn is_forward_secret(self) -> bool {
        self.is_of_tls13() || self.name().starts_with("TLS_ECDHE_") || self.is_dhe()
    }

    /// Returns true if the key exchange is finite-field Diffie-Hellman with an ephemeral key.
    #[must_use]
    pub fn is_dhe(self) -> bool {
        self.name().starts_with("TLS_DHE_")
    }

    /// Returns true if encryption and authentication are one step (AEAD).
    #[must_use]
    pub fn is_authenticated(self) -> bool {
        ["_GCM", "_CCM", "_POLY1305"].iter().any(|mode| self.name().contains(mode))
    }

    /// Returns true if the suite can be broken with current means: no encryption or no certificate,
    /// export keys, DES, 3DES, RC2, RC4 or MD5.
    #[must_use]
    pub fn is_broken(self) -> bool {
        ["_NULL_", "_anon_", "_EXPORT", "_DES_", "_DES40_", "_3DES_", "_RC2_", "_RC4_", "_MD5"]
            .iter()
            .any(|part| self.name().contains(part))
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The parameters that a server agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// The suite that the server chose.
    pub suite: Suite,
    /// The certificates in the order in which the server sent them, leaf first. Empty with TLS 1.3,
    /// which encrypts them, and with anonymous suites.
    pub chain: Vec<CertificateDer<'static>>,
    /// The length of the prime of a finite-field Diffie-Hellman key, in bits.
    pub dh_bits: Option<usize>,
}

/// The result of one hello.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// A ServerHello of exactly the requested version, with an offered suite.
    Accepted(Agreement),
    /// A refusal in TLS: an alert, or another version. The text describes it.
    Refused(String),
    /// A TLS answer that neither agrees nor refuses, such as a truncated hello. The text describes
    /// it.
    Unclear(String),
    /// The connection was closed without an answer.
    Closed,
    /// The bytes are not TLS.
    NotTls,
}

/// Returns the first flight of a client that offers only `version` and these suites. `name` is sent
/// as SNI (RFC 6066, 3), which does not allow addresses.
#[must_use]
pub fn client_hello(version: Version, suites: &[Suite], name: Option<&str>) -> Vec<u8> {
    let mut body = Vec::from(version.wire().min([3, 3]));
    // The random does not need to be random: no key is derived from this hello.
    body.extend(b"kastrel-scanner: one hello, no k");
    body.push(0);
    // The last value is not a suite. It signals support for secure renegotiation (RFC 5746, 3.3),
    // which some servers require.
    prefixed(
        &mut body,
        &suites.iter().map(|suite| suite.0).chain([0x00FF]).flat_map(u16::to_be_bytes).collect::<Vec<_>>(),
    );
    body.extend([1, 0]);
    // SSL 3.0 has no extensions.
    if version > Version::Ssl30 {
        prefixed(&mut body, &extensions(version, name));
    }
    let mut handshake = vec![1, 0];
    prefixed(&mut handshake, &body);
    let mut record = vec![22, 3, u8::from(version > Version::Ssl30)];
    prefixed(&mut record, &handshake);
    record
}

fn extensions(version: Version, name: Option<&str>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(name) = name {
        let mut entry = vec![0];
        prefixed(&mut entry, name.as_bytes());
        let mut list = Vec::new();
        prefixed(&mut list, &entry);
        extension(&mut extensions, 0, &list);
    }
    // X25519, P-256, P-384, P-521 and X448 (RFC 8422).
    let mut groups: Vec<u16> = vec![29, 23, 24, 25, 30];
    if version == Version::Tls13 {
        // The Brainpool curves by their numbers for TLS 1.3 (RFC 8734), and the groups of RFC 7919.
        // In a hello of an older version a server would have to use one of the latter.
        groups.extend([31, 32, 33]);
        groups.extend(256..=260);
    } else {
        // The Brainpool curves (RFC 7027).
        groups.extend([26, 27, 28]);
    }
    let mut list = Vec::new();
    prefixed(&mut list, &groups.iter().flat_map(|group| group.to_be_bytes()).collect::<Vec<_>>());
    extension(&mut extensions, 10, &list);
    // The uncompressed point format.
    extension(&mut extensions, 11, &[1, 0]);
    if version >= Version::Tls12 {
        // ECDSA, RSA-PSS, RSA, Ed25519, Ed448, ECDSA with Brainpool curves (RFC 8734), and DSA,
        // with SHA-2 and SHA-1. Older versions do not have this extension (RFC 5246, 7.4.1.4.1).
        const SCHEMES: [u16; 22] = [
            0x403, 0x503, 0x603, 0x804, 0x805, 0x806, 0x809, 0x80A, 0x80B, 0x401, 0x501, 0x601, 0x807, 0x808, 0x81A,
            0x81B, 0x81C, 0x203, 0x201, 0x402, 0x502, 0x202,
        ];
        let mut list = Vec::new();
        prefixed(&mut list, &SCHEMES.iter().flat_map(|scheme| scheme.to_be_bytes()).collect::<Vec<_>>());
        extension(&mut extensions, 13, &list);
    }
    if version == Version::Tls13 {
        extension(&mut extensions, 43, &[2, 3, 4]);
        // The hello has no key share. The server therefore requests one of the groups, and names
        // the version and the suite (RFC 8446, 4.2.8).
        extension(&mut extensions, 51, &[0, 0]);
    }
    extensions
}

/// Appends `bytes` after their two-byte length. All values here are far shorter than 65,536 bytes.
fn prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(bytes);
}

fn extension(out: &mut Vec<u8>, kind: u16, content: &[u8]) {
    out.extend(kind.to_be_bytes());
    prefixed(out, content);
}

/// The complete handshake messages of the records in `bytes`, and how the records end.
struct Flight {
    messages: Vec<(u8, Vec<u8>)>,
    alert: Option<(u8, u8)>,
    is_tls: bool,
    /// True if the flight ends within a ServerHello. The TLS 1.3 version is at the end of the
    /// message, so its beginning does not show the version.
    has_cut_hello: bool,
}

fn read_flight(bytes: &[u8]) -> Flight {
    let mut flight = Flight { messages: Vec::new(), alert: None, is_tls: true, has_cut_hello: false };
    let mut handshake = Vec::new();
    let mut rest = bytes;
    while let [kind, 3, _, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        // The last record may be truncated.
        let content = &after[..after.len().min(length)];
        match kind {
            22 => handshake.extend_from_slice(content),
            // Servers that do not recognise the name send warnings before the hello.
            21 => match content {
                [1, description, ..] if *description != 0 => {}
                [level, description, ..] => flight.alert = flight.alert.or(Some((*level, *description))),
                _ => {}
            },
            20 | 23 => {}
            _ => flight.is_tls = false,
        }
        rest = &after[content.len()..];
    }
    flight.is_tls &= rest.is_empty() || (matches!(rest[0], 20..=23) && rest.get(1).is_none_or(|major| *major == 3));
    let mut rest = handshake.as_slice();
    while let [kind, a, b, c, after @ ..] = rest {
        let length = (usize::from(*a) << 16) | (usize::from(*b) << 8) | usize::from(*c);
        let Some((content, others)) = after.split_at_checked(length) else {
            flight.has_cut_hello = *kind == 2;
            break;
        };
        flight.messages.push((*kind, content.to_vec()));
        rest = others;
    }
    flight
}

/// Parses a server's first flight as the answer to a hello of version `asked` with the suites
/// `offered`.
pub fn read_answer(bytes: &[u8], asked: Version, offered: &[Suite]) -> Answer {
    if bytes.is_empty() {
        return Answer::Closed;
    }
    let flight = read_flight(bytes);
    if let Some((_, hello)) = flight.messages.iter().find(|(kind, _)| *kind == 2) {
        return match server_hello(hello) {
            None => Answer::Unclear("its hello cannot be read".to_owned()),
            Some((version, _)) if version != asked.wire() => {
                Answer::Refused(format!("it answers with {}", Version::named(version)))
            }
            Some((_, suite)) if !offered.contains(&suite) => {
                Answer::Unclear(format!("it chooses a suite that was not offered, {:#06x}", suite.0))
            }
            Some((_, suite)) => Answer::Accepted(Agreement {
                suite,
                chain: flight
                    .messages
                    .iter()
                    .find(|(kind, _)| *kind == 11)
                    .map(|(_, content)| certificates(content))
                    .unwrap_or_default(),
                dh_bits: flight
                    .messages
                    .iter()
                    .find(|(kind, _)| *kind == 12 && suite.name().contains("_DH"))
                    .and_then(|(_, content)| prime_bits(content)),
            }),
        };
    }
    match flight.alert {
        Some((_, description)) => Answer::Refused(format!("alert {description}, {}", alert_name(description))),
        None if flight.has_cut_hello => Answer::Unclear("its hello breaks off".to_owned()),
        None if flight.is_tls => Answer::Unclear("its answer is no hello".to_owned()),
        None => Answer::NotTls,
    }
}

/// Returns the version and the suite of a ServerHello. TLS 1.3 puts its version in an extension
/// (RFC 8446, 4.2.1).
fn server_hello(body: &[u8]) -> Option<([u8; 2], Suite)> {
    let legacy = [*body.first()?, *body.get(1)?];
    let session = usize::from(*body.get(34)?);
    let rest = body.get(35 + session..)?;
    let suite = Suite(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
    let mut extensions = rest.get(5..).unwrap_or_default();
    while let [kind_high, kind_low, high, low, after @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if let ([0, 43], Some([major, minor])) = ([*kind_high, *kind_low], after.get(..length)) {
            return Some(([*major, *minor], suite));
        }
        extensions = after.get(length..).unwrap_or_default();
    }
    Some((legacy, suite))
}

/// Returns the chain of a Certificate message (RFC 5246, 7.4.2).
fn certificates(body: &[u8]) -> Vec<CertificateDer<'static>> {
    let mut chain = Vec::new();
    let mut rest = body.get(3..).unwrap_or_default();
    while let [a, b, c, after @ ..] = rest {
        let length = (usize::from(*a) << 16) | (usize::from(*b) << 8) | usize::from(*c);
        let Some(one) = after.get(..length) else { break };
        chain.push(CertificateDer::from(one.to_vec()));
        rest = &after[length..];
    }
    chain
}

/// Returns the length of the prime at the beginning of a ServerKeyExchange of finite-field
/// Diffie-Hellman (RFC 5246, 7.4.3).
fn prime_bits(body: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
    let prime = body.get(2..2 + length)?;
    let leading = prime.iter().take_while(|byte| **byte == 0).count();
    let first = prime.get(leading)?;
    Some((prime.len() - leading) * 8 - usize::try_from(first.leading_zeros()).ok()?)
}

/// Returns the name of an alert (RFC 8446, 6, and the older alerts of RFC 5246, 7.2).
fn alert_name(description: u8) -> &'static str {
    match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "of another kind",
    }
}

/// The address and the parameters of a probe.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// The address to connect to.
    pub address: SocketAddr,
    /// The name for SNI.
    pub name: Option<&'a str>,
    /// The time limit of one hello.
    pub limit: Duration,
}

impl Probe<'_> {
    /// Sends one hello and reads the answer.
    ///
    /// # Errors
    /// Returns a readable reason if no connection can be opened or no answer arrives in time.
    pub async fn ask(&self, version: Version, suites: &[Suite], whole_flight: bool) -> Result<Answer, String> {
        let mut bytes = Vec::new();
        let talk = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(&client_hello(version, suites, self.name)).await?;
            let mut buffer = [0; 4096];
            while bytes.len() < MAX_FLIGHT && !is_enough(&bytes, whole_flight) {
                match stream.read(&mut buffer).await {
                    Ok(0) => break,
                    Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                    // Some servers answer an unknown version with a reset. Some have sent their
                    // complete answer before it.
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        let fault = match timeout(self.limit, talk).await {
            Ok(Ok(())) => return Ok(read_answer(&bytes, version, suites)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                format!("no {}answer within {} s", if bytes.is_empty() { "" } else { "whole " }, self.limit.as_secs())
            }
        };
        // The bytes received before the timeout count if they contain an answer.
        match read_answer(&bytes, version, suites) {
            Answer::Closed | Answer::Unclear(_) => Err(fault),
            answer => Ok(answer),
        }
    }

    /// Detects all suites of one version, in the order in which the server prefers them.
    ///
    /// # Errors
    /// Same as [`Probe::ask`], for the first hello.
    pub async fn survey(&self, version: Version) -> Result<Survey, String> {
        let mut left = version.suites();
        let mut survey =
            Survey { version, suites: Vec::new(), chain: Vec::new(), dh_bits: None, refusal: None, end: End::Complete };
        while !left.is_empty() {
            if survey.suites.len() == MAX_SUITES {
                survey.end = End::Limit;
                break;
            }
            // The certificates and the first Diffie-Hellman key are read once.
            let whole_flight =
                survey.suites.is_empty() || (survey.dh_bits.is_none() && left.iter().any(|suite| suite.is_dhe()));
            match self.ask(version, &left, whole_flight).await {
                Ok(Answer::Accepted(agreement)) => {
                    left.retain(|suite| *suite != agreement.suite);
                    survey.suites.push(agreement.suite);
                    survey.dh_bits = survey.dh_bits.or(agreement.dh_bits);
                    if survey.chain.is_empty() {
                        survey.chain = agreement.chain;
                    }
                    continue;
                }
                Ok(refusal) if survey.suites.is_empty() => survey.refusal = Some(refusal),
                Ok(Answer::Refused(_)) => {}
                Ok(Answer::Unclear(what)) => survey.end = End::Open(what),
                Ok(Answer::Closed) => survey.end = End::Open("the connection was closed".to_owned()),
                Ok(Answer::NotTls) => survey.end = End::Open("an answer was no TLS".to_owned()),
                Err(reason) if survey.suites.is_empty() => return Err(reason),
                Err(reason) => survey.end = End::Lost(reason),
            }
            break;
        }
        Ok(survey)
    }
}

/// Returns true if an answer is complete for its purpose: a hello or an alert, or all messages up
/// to ServerHelloDone.
fn is_enough(bytes: &[u8], whole_flight: bool) -> bool {
    if bytes.is_empty() {
        return false;
    }
    let flight = read_flight(bytes);
    let last = if whole_flight { 14 } else { 2 };
    let hello = flight.messages.iter().find(|(kind, _)| *kind == 2);
    // In TLS 1.3 all messages after the hello are encrypted.
    let is_tls13 = hello.and_then(|(_, body)| server_hello(body)).is_some_and(|(version, _)| version == [3, 4]);
    !flight.is_tls || flight.alert.is_some() || is_tls13 || flight.messages.iter().any(|(kind, _)| *kind == last)
}

/// The way in which the list of a version's suites ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The server accepts no more suites: it answered with an alert or another version, or no
    /// suites are left to offer.
    Complete,
    /// The last answer may be a refusal or a fault, such as a closed connection. The text describes
    /// it.
    Open(String),
    /// The limit of suites was reached.
    Limit,
    /// The last hello got no answer. The text describes the fault.
    Lost(String),
}

/// The results for one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The version.
    pub version: Version,
    /// The suites that the server accepts; empty if it does not offer the version.
    pub suites: Vec<Suite>,
    /// The certificates in the order in which the server sent them.
    pub chain: Vec<CertificateDer<'static>>,
    /// The length of the server's Diffie-Hellman prime, in bits.
    pub dh_bits: Option<usize>,
    /// The refusal, if the server accepts no suite.
    pub refusal: Option<Answer>,
    /// The end of the list of suites.
    pub end: End,
}

impl Survey {
    /// Returns true if the list of suites is complete. Some servers refuse by closing the
    /// connection, so `End::Open` counts as complete.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(self.end, End::Complete | End::Open(_))
    }

    /// Returns true if the server offers the version.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        !self.suites.is_empty()
    }

    /// Returns true if the answer shows that the server speaks TLS.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.is_offered() || matches!(self.refusal, Some(Answer::Refused(_) | Answer::Unclear(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_hello_is_well_formed() {
        let suites = [Suite(0xC02F), Suite(0x009E)];
        for (version, name, minor, extensions) in [
            (Version::Tls11, None, 2, Some(4 + 18 + 6)),
            (Version::Tls11, Some("a.test"), 2, Some(15 + 4 + 18 + 6)),
            (Version::Tls12, None, 3, Some(4 + 18 + 6 + 4 + 2 + 44)),
            (Version::Tls13, None, 3, Some(4 + 28 + 6 + 4 + 2 + 44 + 7 + 6)),
            (Version::Ssl30, Some("a.test"), 0, None),
        ] {
            let hello = client_hello(version, &suites, name);
            assert_eq!(&hello[..3], &[22, 3, u8::from(version != Version::Ssl30)]);
            assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
            assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), hello.len() - 9);
            assert_eq!(&hello[9..11], &[3, minor]);
            assert_eq!(
                hello.len(),
                9 + 2 + 32 + 1 + 2 + 6 + 2 + extensions.map_or(0, |length| 2 + length),
                "{version:?}"
            );
        }
    }

    fn hello(minor: u8, suite: u16) -> Vec<u8> {
        let mut bytes = vec![22, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
        bytes.extend([7; 32]);
        bytes.push(0);
        bytes.extend(suite.to_be_bytes());
        bytes.push(0);
        bytes
    }

    fn name_of(answer: &Answer) -> String {
        match answer {
            Answer::Accepted(agreement) => agreement.suite.to_string(),
            Answer::Refused(reason) | Answer::Unclear(reason) => reason.clone(),
            Answer::Closed => "closed".to_owned(),
            Answer::NotTls => "no TLS".to_owned(),
        }
    }

    #[test]
    fn server_answers_are_classified() {
        let warning_first = [vec![21, 3, 1, 0, 2, 1, 112], hello(1, 0x33)].concat();
        let mut tls13 = vec![22, 3, 3, 0, 50, 2, 0, 0, 46, 3, 3];
        tls13.extend([7; 32]);
        tls13.extend([0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4]);
        for (bytes, asked, expected) in [
            (hello(1, 0x33), Version::Tls10, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
            (hello(2, 0x2F), Version::Tls11, "TLS_RSA_WITH_AES_128_CBC_SHA"),
            (hello(0, 0x0A), Version::Ssl30, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"),
            (hello(1, 0x33), Version::Tls11, "it answers with TLS 1.0"),
            (hello(3, 0x9E), Version::Tls12, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
            (hello(3, 0x1301), Version::Tls12, "it chooses a suite that was not offered, 0x1301"),
            (hello(3, 0xC02F), Version::Tls13, "it answers with TLS 1.2"),
            (tls13.clone(), Version::Tls13, "TLS_AES_128_GCM_SHA256"),
            (tls13, Version::Tls12, "it answers with TLS 1.3"),
            (warning_first, Version::Tls10, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA"),
            (vec![21, 3, 1, 0, 2, 2, 70], Version::Tls10, "alert 70, protocol_version"),
            (vec![21, 3, 3, 0, 2, 2, 40], Version::Tls12, "alert 40, handshake_failure"),
            (vec![22, 3], Version::Tls12, "its answer is no hello"),
            (hello(1, 0x33)[..20].to_vec(), Version::Tls10, "its hello breaks off"),
            (vec![22, 3, 1, 0, 6, 2, 0, 0, 2, 3, 1], Version::Tls10, "its hello cannot be read"),
            (Vec::new(), Version::Tls10, "closed"),
            (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), Version::Tls10, "no TLS"),
            (b"220 ready\r\n".to_vec(), Version::Tls10, "no TLS"),
        ] {
            assert_eq!(name_of(&read_answer(&bytes, asked, &asked.suites())), expected, "{asked:?} {bytes:?}");
        }
    }

    #[test]
    fn groups_of_every_curve_are_offered() {
        for (version, groups) in [
            (Version::Tls10, &[29, 23, 24, 25, 30, 26, 27, 28][..]),
            (Version::Tls12, &[29, 23, 24, 25, 30, 26, 27, 28]),
            (Version::Tls13, &[29, 23, 24, 25, 30, 31, 32, 33, 256, 257, 258, 259, 260]),
        ] {
            let mut list = Vec::new();
            prefixed(&mut list, &groups.iter().flat_map(|group: &u16| group.to_be_bytes()).collect::<Vec<_>>());
            let mut wanted = Vec::new();
            extension(&mut wanted, 10, &list);
            let hello = client_hello(version, &[Suite(0xC02F)], None);
            assert!(hello.windows(wanted.len()).any(|window| window == wanted), "{version:?}");
        }
    }

    /// Starts a server that accepts the first offered suite on the first `takes` connections. It
    /// answers all later connections with the bytes of `then`; with `None` it keeps the connection
    /// open and sends nothing.
    async fn server(takes: usize, then: Option<Vec<u8>>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            for count in 0.. {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let mut head = [0; 5];
                stream.read_exact(&mut head).await.unwrap();
                let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
                stream.read_exact(&mut record).await.unwrap();
                // The suites come after the message header, the version, the random, an empty
                // session and their length.
                let first = u16::from_be_bytes([record[41], record[42]]);
                let answer = if count < takes {
                    Some([hello(3, first), vec![22, 3, 3, 0, 4, 14, 0, 0, 0]].concat())
                } else {
                    then.clone()
                };
                match answer {
                    Some(bytes) => stream.write_all(&bytes).await.unwrap(),
                    None => held.push(stream),
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn suite_list_records_how_it_ends() {
        let open = |what: &str| End::Open(what.to_owned());
        for (takes, then, end) in [
            (3, Some(vec![21, 3, 3, 0, 2, 2, 40]), End::Complete),
            (3, Some(hello(2, 0x2F)), End::Complete),
            (3, Some(Vec::new()), open("the connection was closed")),
            (3, Some(b"HTTP/1.1 400 Bad Request\r\n".to_vec()), open("an answer was no TLS")),
            (3, Some(hello(3, 0x2F)[..30].to_vec()), open("its hello breaks off")),
            (3, Some(hello(3, 0x1301)), open("it chooses a suite that was not offered, 0x1301")),
            (3, None, End::Lost("no answer within 1 s".to_owned())),
            (MAX_SUITES, Some(Vec::new()), End::Limit),
            (1000, None, End::Limit),
        ] {
            let probe = Probe { address: server(takes, then.clone()).await, name: None, limit: Duration::from_secs(1) };
            let survey = probe.survey(Version::Tls12).await.unwrap();
            assert_eq!((survey.suites.len(), &survey.end), (takes.min(MAX_SUITES), &end), "{then:?}");
            assert_eq!(survey.is_whole(), matches!(end, End::Complete | End::Open(_)));
        }
    }

    #[tokio::test]
    async fn a_version_without_an_answer_is_not_taken_for_a_refusal() {
        let probe = Probe { address: server(0, None).await, name: None, limit: Duration::from_secs(1) };
        assert_eq!(probe.survey(Version::Tls12).await.unwrap_err(), "no answer within 1 s");
    }

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// The answers of `openssl s_server` 3.0 to the scanner's hello with all suites of a version.
    #[test]
    fn openssl_answers_are_classified() {
        macro_rules! flight {
            ($name:literal) => {
                (include_str!(concat!("../tests/data/openssl/", $name, ".hex")), $name)
            };
        }
        for ((text, name), asked, expected, certificates, dh_bits) in [
            (flight!("dhe-tls12"), Version::Tls12, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", 1, Some(2048)),
            (flight!("dhe-tls10"), Version::Tls10, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA", 1, Some(2048)),
            (flight!("ecdsa-tls12"), Version::Tls12, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 1, None),
            (flight!("anonymous-tls12"), Version::Tls12, "TLS_DH_anon_WITH_AES_128_CBC_SHA", 0, Some(1024)),
            (flight!("tls13"), Version::Tls13, "TLS_AES_128_GCM_SHA256", 0, None),
            (flight!("tls12-asked-tls10-only"), Version::Tls12, "it answers with TLS 1.0", 0, None),
            (flight!("tls10-asked-tls12"), Version::Tls10, "alert 70, protocol_version", 0, None),
            (flight!("tls13-asked-tls12-only"), Version::Tls13, "alert 70, protocol_version", 0, None),
            (flight!("psk-alert"), Version::Tls12, "alert 40, handshake_failure", 0, None),
            (flight!("ssl3"), Version::Ssl30, "alert 40, handshake_failure", 0, None),
        ] {
            let bytes = &unhex(text);
            let answer = read_answer(bytes, asked, &asked.suites());
            assert_eq!(name_of(&answer), expected, "{name}");
            if let Answer::Accepted(agreement) = answer {
                assert_eq!((agreement.chain.len(), agreement.dh_bits), (certificates, dh_bits), "{name}");
                assert!(is_enough(bytes, true), "{name}");
            }
        }
    }

    #[test]
    fn truncated_answers_are_handled() {
        let whole = [
            hello(3, 0x9E),
            vec![22, 3, 3, 0, 13, 11, 0, 0, 9, 0, 0, 6, 0, 0, 3, 1, 2, 3, 22, 3, 3, 0, 4, 14, 0, 0, 0],
        ]
        .concat();
        for end in 0..=whole.len() {
            let _ = read_answer(&whole[..end], Version::Tls12, &Version::Tls12.suites());
            assert_eq!(is_enough(&whole[..end], true), end == whole.len());
        }
        let Answer::Accepted(agreement) = read_answer(&whole, Version::Tls12, &Version::Tls12.suites()) else {
            panic!("not accepted")
        };
        assert_eq!(agreement.chain, [CertificateDer::from(vec![1, 2, 3])]);
    }

    #[test]
    fn prime_length_is_read_from_key_exchange() {
        assert_eq!(prime_bits(&[0, 2, 0x80, 1, 0, 1, 2]), Some(16));
        assert_eq!(prime_bits(&[0, 3, 0, 0x01, 1]), Some(9));
        assert_eq!(prime_bits(&[0, 3, 0]), None);
    }

    #[test]
    fn cipher_suites_are_classified() {
        for (code, forward_secret, authenticated, broken) in [
            (0xC02F, true, true, false),
            (0x009E, true, true, false),
            (0x0033, true, false, false),
            (0x009C, false, true, false),
            (0x002F, false, false, false),
            (0x000A, false, false, true),
            (0x0005, false, false, true),
            (0x0034, false, false, true),
            (0x0002, false, false, true),
            (0x0014, true, false, true),
            (0x1301, true, true, false),
            (0xCCA8, true, true, false),
        ] {
            let suite = Suite(code);
            assert_eq!(
                (suite.is_forward_secret(), suite.is_authenticated(), suite.is_broken()),
                (forward_secret, authenticated, broken),
                "{suite}"
            );
        }
        let codes: Vec<_> = suites::TABLE.iter().map(|(code, _)| code).collect();
        for (at, code) in codes.iter().enumerate() {
            assert!(!codes[at + 1..].contains(code), "{code:#x} is there twice");
        }
    }
}
