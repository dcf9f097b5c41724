//! Classifies a server's first flight as the answer to a hello.

use rustls::pki_types::CertificateDer;

use super::flight::read_flight;
use super::suite::Suite;
use super::version::Version;

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

/// Returns true if an answer is complete for its purpose: a hello or an alert, or all messages up
/// to ServerHelloDone.
pub(super) fn is_enough(bytes: &[u8], whole_flight: bool) -> bool {
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

#[cfg(test)]
mod tests {
    use super::super::testing::hello;
    use super::*;

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

    fn unhex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// The answers of `openssl s_server` 3.0 to the scanner's hello with all suites of a version.
    #[test]
    fn openssl_answers_are_classified() {
        macro_rules! flight {
            ($name:literal) => {
                (include_str!(concat!("../../tests/data/openssl/", $name, ".hex")), $name)
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
}
