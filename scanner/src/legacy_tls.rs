//! Asks a server whether it still accepts TLS 1.0 or 1.1, or TLS 1.2 with the cipher suites of their time.
//!
//! rustls rightly cannot speak these, so this file writes one ClientHello (RFC 5246, 7.4.1.2) and reads the first
//! record of the answer. The handshake is never completed.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A protocol version with cipher suites of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legacy {
    /// TLS 1.0 (RFC 2246).
    Tls10,
    /// TLS 1.1 (RFC 4346).
    Tls11,
    /// TLS 1.2 (RFC 5246), not withdrawn, but here with obsolete suites only.
    Tls12,
}

impl Legacy {
    const fn wire(self) -> [u8; 2] {
        match self {
            Self::Tls10 => [3, 1],
            Self::Tls11 => [3, 2],
            Self::Tls12 => [3, 3],
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
        }
    }
}

/// What the first bytes of the answer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// A ServerHello of exactly the version that was asked for.
    Accepted,
    /// An alert, another version, or a closed connection.
    Refused,
    /// Bytes that are no TLS.
    NotTls,
}

/// Cipher suites of that time: ECDHE and RSA key exchange with AES or 3DES in CBC mode, and RSA key exchange with AES-GCM.
const SUITES: [u16; 11] = [0xC013, 0xC014, 0xC009, 0xC00A, 0x002F, 0x0035, 0x003C, 0x003D, 0x009C, 0x009D, 0x000A];

/// The first flight of a client that speaks at most `version`. `name` goes into SNI (RFC 6066, 3), which has no addresses.
#[must_use]
pub fn client_hello(version: Legacy, name: Option<&str>) -> Vec<u8> {
    let mut body = Vec::from(version.wire());
    // The random need not be random: no key is ever derived from this hello.
    body.extend(b"kastrel-scanner: one hello, no k");
    body.push(0);
    prefixed(&mut body, &SUITES.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<_>>());
    body.extend([1, 0]);
    let mut extensions = Vec::new();
    if let Some(name) = name {
        let mut entry = vec![0];
        prefixed(&mut entry, name.as_bytes());
        let mut list = Vec::new();
        prefixed(&mut list, &entry);
        extension(&mut extensions, 0, &list);
    }
    // The curves P-256, P-384 and P-521, and the uncompressed point format (RFC 8422).
    extension(&mut extensions, 10, &[0, 6, 0, 23, 0, 24, 0, 25]);
    extension(&mut extensions, 11, &[1, 0]);
    if version == Legacy::Tls12 {
        // RSA and ECDSA with SHA-256, SHA-384 and SHA-1; older versions have no such extension (RFC 5246, 7.4.1.4.1).
        extension(&mut extensions, 13, &[0, 12, 4, 1, 4, 3, 5, 1, 5, 3, 2, 1, 2, 3]);
    }
    prefixed(&mut body, &extensions);

    let mut handshake = vec![1, 0];
    prefixed(&mut handshake, &body);
    let mut record = vec![22, 3, 1];
    prefixed(&mut record, &handshake);
    record
}

/// Appends `bytes` behind their length in two bytes. Everything here is far shorter than 65,536.
fn prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(bytes);
}

fn extension(out: &mut Vec<u8>, kind: u16, content: &[u8]) {
    out.extend(kind.to_be_bytes());
    prefixed(out, content);
}

/// Reads the beginning of a server's answer: a record header, a handshake header and the version.
pub fn read_answer(bytes: &[u8], asked: Legacy) -> Answer {
    match bytes {
        [] => Answer::Refused,
        [21, 3, ..] => Answer::Refused,
        [22, 3, _, _, _, 2, _, _, _, major, minor, ..] => {
            if [*major, *minor] == asked.wire() {
                Answer::Accepted
            } else {
                Answer::Refused
            }
        }
        [22, 3, ..] => Answer::Refused,
        _ => Answer::NotTls,
    }
}

/// Asks one server for one version.
///
/// # Errors
/// A readable reason, when no connection could be opened or nothing came within `limit`.
pub async fn probe(address: SocketAddr, version: Legacy, name: Option<&str>, limit: Duration) -> Result<Answer, String> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&client_hello(version, name)).await?;
        let mut bytes = Vec::new();
        // Record header 5, handshake header 4, version 2.
        match (&mut stream).take(11).read_to_end(&mut bytes).await {
            Ok(_) => Ok(bytes),
            // Some servers answer an unknown version with a reset.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    };
    match timeout(limit, talk).await {
        Err(_) => Err(format!("no answer within {} s", limit.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(bytes)) => Ok(read_answer(&bytes, version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hello_is_well_formed() {
        for (name, extra) in [(None, 0), (Some("a.test"), 9 + 6)] {
            let hello = client_hello(Legacy::Tls11, name);
            assert_eq!(&hello[..3], &[22, 3, 1]);
            assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
            assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), hello.len() - 9);
            assert_eq!(&hello[9..11], &[3, 2]);
            assert_eq!(hello.len(), 9 + 2 + 32 + 1 + 2 + 22 + 2 + 2 + 12 + 6 + extra);
        }
    }

    #[test]
    fn answers() {
        let hello = |minor| [22, 3, minor, 0, 80, 2, 0, 0, 76, 3, minor];
        assert_eq!(read_answer(&hello(1), Legacy::Tls10), Answer::Accepted);
        assert_eq!(read_answer(&hello(2), Legacy::Tls11), Answer::Accepted);
        assert_eq!(read_answer(&hello(1), Legacy::Tls11), Answer::Refused);
        assert_eq!(read_answer(&[21, 3, 1, 0, 2, 2, 70], Legacy::Tls10), Answer::Refused);
        assert_eq!(read_answer(&[], Legacy::Tls10), Answer::Refused);
        assert_eq!(read_answer(b"HTTP/1.1 400", Legacy::Tls10), Answer::NotTls);
    }
}
