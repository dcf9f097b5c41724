//! Writes the ClientHello.

use super::suite::Suite;
use super::version::Version;

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
}
