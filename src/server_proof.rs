//! Proves to a command that a server holds the command's data folder.
//!
//! `server.json` has the address of the data folder's server. The file may outlive the server, and
//! another program may use its port then. So a command first sends only a random challenge, and
//! continues only if the response was computed with the key in the data folder, which only its
//! owner can read. The response also covers the address in `server.json`: a program that relays the
//! challenge to a genuine server at another port gets a response for that other port.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::private;

/// The name of the key file in the data folder.
const FILE_NAME: &str = "server.key";
/// The purpose of the proof, which separates it from any other use of the key.
const PURPOSE: &[u8] = b"kastrel server of this data folder\n";
/// The size of a key and of a challenge, in bytes.
const SIZE: usize = 32;

/// The key of a data folder.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerKey([u8; SIZE]);

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKey")
    }
}

impl ServerKey {
    /// Returns the key of a data folder, and creates it at the first use. Several servers that
    /// share a folder share the key.
    ///
    /// # Errors
    /// The file cannot be read or written, or its content is invalid.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                private::tighten(&path)?;
                parse(&text).ok_or_else(|| {
                    io::Error::new(
                        io::ErrorKind::InvalidData,
                        "it should hold 64 hexadecimal digits; delete it, and start again",
                    )
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::make(data_dir, &path, |from, to| std::fs::hard_link(from, to))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the key of a data folder, if it exists and is readable.
    #[must_use]
    pub fn read(data_dir: &Path) -> Option<Self> {
        std::fs::read_to_string(data_dir.join(FILE_NAME)).ok().as_deref().and_then(parse)
    }

    /// Creates the key file. The file is written completely and then gets its name by a hard link,
    /// so that no other server reads an incomplete key. On a file system without hard links, the
    /// file is written under its final name, and only the first server succeeds.
    fn make(data_dir: &Path, path: &Path, link: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<Self> {
        let text = format!("{}\n", hex(&rand::random::<[u8; SIZE]>()));
        let fresh = data_dir.join(format!("{FILE_NAME}.{}", uuid::Uuid::new_v4().simple()));
        let named = write_new(&fresh, &text).and_then(|()| match link(&fresh, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => write_new(path, &text),
            linked => linked,
        });
        // The file may not exist.
        let _none = std::fs::remove_file(&fresh);
        match named {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Self::read(data_dir).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "the key that was just written cannot be read")
            }),
        }
    }

    /// Returns the proof for a challenge, for a server with the address `url`.
    #[must_use]
    pub fn prove(&self, challenge: &Challenge, url: &str) -> String {
        hex(&self.mac(challenge, url).finalize().into_bytes())
    }

    /// Returns whether a proof is that of a server of this data folder, at this address.
    #[must_use]
    pub fn accepts(&self, proof: &str, challenge: &Challenge, url: &str) -> bool {
        bytes(proof).is_some_and(|proof| self.mac(challenge, url).verify_slice(&proof).is_ok())
    }

    fn mac(&self, challenge: &Challenge, url: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!("a key of any length will do"));
        mac.update(PURPOSE);
        mac.update(&challenge.0);
        mac.update(url.trim_end_matches('/').as_bytes());
        mac
    }
}

/// A challenge for a server: random, and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge([u8; SIZE]);

impl Challenge {
    /// Creates a new challenge.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Parses 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        bytes(text).map(Self)
    }
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Creates a file for its owner alone; the file must not exist. An incomplete file is removed.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _none = std::fs::remove_file(path);
    }
    written
}

fn parse(text: &str) -> Option<ServerKey> {
    bytes(text.trim()).map(ServerKey)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Option<[u8; SIZE]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * SIZE || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; SIZE];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn proof_is_valid_for_one_key_one_challenge_and_one_address() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = ServerKey::open(folder.path()).unwrap();
        let (challenge, url) = (Challenge::random(), "http://127.0.0.1:5000");
        let proof = key.prove(&challenge, url);
        assert!(key.accepts(&proof, &challenge, url) && key.accepts(&proof, &challenge, "http://127.0.0.1:5000/"));
        assert!(
            ServerKey::read(folder.path()).unwrap().accepts(&proof, &challenge, url),
            "the next process has the same key"
        );
        assert!(!ServerKey::open(other.path()).unwrap().accepts(&proof, &challenge, url));
        assert!(!key.accepts(&proof, &Challenge::random(), url));
        assert!(!key.accepts(&proof, &challenge, "http://127.0.0.1:5001"), "an answer that was passed on");
        for wrong in ["", "00", &proof[1..], &proof.replace(|c: char| c.is_ascii_hexdigit(), "0"), &"ü".repeat(32)] {
            assert!(!key.accepts(wrong, &challenge, url), "{wrong}");
        }
        assert_eq!(Challenge::parse(&challenge.to_string()), Some(challenge));
        for wrong in ["", "x", &"g".repeat(64), &"0".repeat(63), &"0".repeat(65)] {
            assert_eq!(Challenge::parse(wrong), None);
        }
    }

    #[test]
    fn key_is_created_without_hard_links_and_leaves_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        let unsupported = |_: &Path, _: &Path| Err(io::Error::from(io::ErrorKind::PermissionDenied));
        let key = ServerKey::make(folder.path(), &path, unsupported).unwrap();
        assert_eq!((path.metadata().unwrap().permissions().mode() & 0o777, names()), (0o600, 1));
        // Another server created the key first.
        assert_eq!(ServerKey::make(folder.path(), &path, unsupported).unwrap(), key);
        assert_eq!(ServerKey::make(folder.path(), &path, |from, to| std::fs::hard_link(from, to)).unwrap(), key);
        assert_eq!((ServerKey::open(folder.path()).unwrap(), names()), (key, 1));
        // The folder does not exist.
        assert!(ServerKey::make(folder.path(), &folder.path().join("none").join(FILE_NAME), unsupported).is_err());
        assert_eq!(names(), 1);
    }

    #[test]
    fn key_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let mode = || path.metadata().unwrap().permissions().mode() & 0o777;
        let key = ServerKey::open(folder.path()).unwrap();
        assert_eq!((mode(), std::fs::read_dir(folder.path()).unwrap().count()), (0o600, 1));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!((ServerKey::open(folder.path()).unwrap(), mode()), (key, 0o600));
        std::fs::write(&path, "short").unwrap();
        assert!(ServerKey::open(folder.path()).is_err() && ServerKey::read(folder.path()).is_none());
        assert_eq!(ServerKey::read(&folder.path().join("none")), None);
    }
}
