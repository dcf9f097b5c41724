//! Proves to a command that a server holds the command's data folder, and to the server that a
//! command comes from somebody who can read that folder.
//!
//! `server.json` has the address of the data folder's server. The file may outlive the server, and
//! another program may use its port then. So a command first sends only a random challenge, and
//! continues only if the response was computed with the key in the data folder, which only its
//! owner can read. The response also covers the address in `server.json`: a program that relays the
//! challenge to a genuine server at another port gets a response for that other port.
//!
//! A server that has proven itself gets a proof with each request of the command: a header
//! `Authorization: Kastrel-Folder TIME.NONCE.HMAC`. It is valid for one method, one path with its
//! query and one server's address, for 30 seconds, and once. The body is not covered, because a
//! body can be a stream whose end is not known when the header is sent. A program that got a header
//! could replace the body, but only a program at the address of the server gets one, and the header
//! is valid at no other address.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use crate::private;

/// The name of the key file in the data folder.
const FILE_NAME: &str = "server.key";
/// The purpose of the proof, which separates it from any other use of the key.
const PURPOSE: &[u8] = b"kastrel server of this data folder\n";
/// The purpose of the proof of a command.
const COMMAND_PURPOSE: &[u8] = b"kastrel command of this data folder\n";
/// The scheme of the header with the proof of a command.
const COMMAND_SCHEME: &str = "Kastrel-Folder ";
/// The largest difference between the clocks of a command and a server, in seconds.
const COMMAND_WINDOW: i64 = 30;
/// How many used nonces are remembered. A proof beyond them is refused until the oldest expire.
const MOST_NONCES: usize = 10_000;
/// The size of a key and of a challenge, in bytes.
const SIZE: usize = 32;

/// The key of a data folder. Clones share the memory of the used proofs of commands.
#[derive(Clone)]
pub struct ServerKey {
    bytes: [u8; SIZE],
    used: Arc<Mutex<UsedNonces>>,
}

impl PartialEq for ServerKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for ServerKey {}

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
        let text = format!("{}\n", hex::encode(rand::random::<[u8; SIZE]>()));
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
        hex::encode(self.mac(challenge, url).finalize().into_bytes())
    }

    /// Returns whether a proof is that of a server of this data folder, at this address.
    #[must_use]
    pub fn accepts(&self, proof: &str, challenge: &Challenge, url: &str) -> bool {
        bytes(proof).is_some_and(|proof| self.mac(challenge, url).verify_slice(&proof).is_ok())
    }

    /// Returns the `Authorization` header of a request of a command: `path` is the path with its
    /// query, and `url` the address of the server.
    #[must_use]
    pub fn prove_command(&self, url: &str, method: &str, path: &str, now: Timestamp) -> String {
        let (time, nonce) = (now.as_second(), hex::encode(rand::random::<[u8; SIZE]>()));
        let mac = self.command_mac(url, method, path, time, &nonce);
        format!("{COMMAND_SCHEME}{time}.{nonce}.{}", hex::encode(mac.finalize().into_bytes()))
    }

    /// Returns whether an `Authorization` header is the proof of a command of this data folder, for
    /// this request to the server with the address `url`. Each proof is accepted once, and within
    /// 30 seconds of its time.
    #[must_use]
    pub fn accepts_command(&self, header: &str, url: &str, method: &str, path: &str, now: Timestamp) -> bool {
        let Some((time, nonce, proof)) = parse_command(header) else { return false };
        let now = now.as_second();
        if now.saturating_sub(time).saturating_abs() > COMMAND_WINDOW {
            return false;
        }
        let mac = self.command_mac(url, method, path, time, &hex::encode(nonce));
        // Only the nonces of valid proofs are remembered, so others cannot fill the memory.
        mac.verify_slice(&proof).is_ok()
            && self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(nonce, time, now)
    }

    fn command_mac(&self, url: &str, method: &str, path: &str, time: i64, nonce: &str) -> Hmac<Sha256> {
        let mut mac = self.keyed();
        mac.update(COMMAND_PURPOSE);
        // No part can contain a line break, so the parts cannot be shifted.
        for part in [url.trim_end_matches('/'), method, path, &time.to_string(), nonce] {
            mac.update(part.as_bytes());
            mac.update(b"\n");
        }
        mac
    }

    fn keyed(&self) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.bytes).unwrap_or_else(|_| unreachable!("a key of any length will do"))
    }

    fn mac(&self, challenge: &Challenge, url: &str) -> Hmac<Sha256> {
        let mut mac = self.keyed();
        mac.update(PURPOSE);
        mac.update(&challenge.0);
        mac.update(url.trim_end_matches('/').as_bytes());
        mac
    }
}

/// The nonces of the accepted proofs of commands, with the times of the proofs.
#[derive(Default)]
struct UsedNonces(HashMap<[u8; SIZE], i64>);

impl UsedNonces {
    /// Remembers a nonce. Returns `false` if it was used before, or if too many were used.
    fn insert(&mut self, nonce: [u8; SIZE], time: i64, now: i64) -> bool {
        if self.0.len() >= MOST_NONCES {
            // The proofs of these are too old by themselves.
            self.0.retain(|_, time| now.saturating_sub(*time) <= COMMAND_WINDOW);
        }
        self.0.len() < MOST_NONCES && self.0.insert(nonce, time).is_none()
    }
}

/// Parses the header with the proof of a command: its time, nonce and proof.
fn parse_command(header: &str) -> Option<(i64, [u8; SIZE], [u8; SIZE])> {
    let mut parts = header.strip_prefix(COMMAND_SCHEME)?.split('.');
    let (time, nonce, proof) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || parts.next().is_some() {
        return None;
    }
    Some((time.parse().ok()?, bytes(nonce)?, bytes(proof)?))
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
        f.write_str(&hex::encode(self.0))
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
    bytes(text.trim()).map(|bytes| ServerKey { bytes, used: Arc::default() })
}

fn bytes(text: &str) -> Option<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
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

    const URL: &str = "http://127.0.0.1:5000";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn command_is_accepted_once_and_for_its_own_request() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (key, command) = (ServerKey::open(folder.path()).unwrap(), ServerKey::read(folder.path()).unwrap());
        let path = "/api/accounts?kind=user";
        let header = command.prove_command(&format!("{URL}/"), "GET", path, at(0));
        for (url, method, path) in [
            ("http://127.0.0.1:5001", "GET", path),
            (URL, "POST", path),
            (URL, "GET", "/api/accounts"),
            (URL, "GET", "/api/accounts?kind=service"),
        ] {
            assert!(!key.accepts_command(&header, url, method, path, at(0)), "{url} {method} {path}");
        }
        let stranger = ServerKey::open(other.path()).unwrap();
        assert!(!stranger.accepts_command(&header, URL, "GET", path, at(0)), "another folder");
        // A refused proof uses up nothing.
        assert!(key.accepts_command(&header, URL, "GET", path, at(0)));
        assert!(!key.accepts_command(&header, URL, "GET", path, at(0)), "a second time");
        assert!(!key.clone().accepts_command(&header, URL, "GET", path, at(0)), "clones share the memory");
        let next = command.prove_command(URL, "GET", path, at(0));
        assert!(next != header && key.accepts_command(&next, URL, "GET", path, at(0)));
    }

    #[test]
    fn command_is_accepted_within_30_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let key = ServerKey::open(folder.path()).unwrap();
        for (after, is_accepted) in [(-31, false), (-30, true), (0, true), (30, true), (31, false)] {
            let header = key.prove_command(URL, "GET", "/", at(0));
            assert_eq!(key.accepts_command(&header, URL, "GET", "/", at(after)), is_accepted, "{after}");
        }
        // The time is part of the proof.
        let header = key.prove_command(URL, "GET", "/", at(0)).replace("1700000000", "1700000031");
        assert!(!key.accepts_command(&header, URL, "GET", "/", at(31)));
    }

    #[test]
    fn changed_header_of_a_command_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = ServerKey::open(folder.path()).unwrap();
        let good = key.prove_command(URL, "GET", "/", at(0));
        let rest = good.strip_prefix(COMMAND_SCHEME).unwrap();
        let parts: [&str; 3] = rest.split('.').collect::<Vec<_>>().try_into().unwrap();
        let [time, nonce, proof] = parts;
        for wrong in [
            String::new(),
            rest.to_owned(),
            format!("Bearer {rest}"),
            COMMAND_SCHEME.to_owned(),
            format!("{good}.x"),
            format!("{COMMAND_SCHEME}{time}.{nonce}"),
            format!("{COMMAND_SCHEME}{time}.{nonce}."),
            format!("{COMMAND_SCHEME}+{time}.{nonce}.{proof}"),
            format!("{COMMAND_SCHEME}.{nonce}.{proof}"),
            format!("{COMMAND_SCHEME}99999999999999999999.{nonce}.{proof}"),
            format!("{COMMAND_SCHEME}{time}.{}.{proof}", "0".repeat(64)),
            format!("{COMMAND_SCHEME}{time}.{nonce}.{}", "0".repeat(64)),
            format!("{COMMAND_SCHEME}{time}.{proof}.{nonce}"),
        ] {
            assert!(!key.accepts_command(&wrong, URL, "GET", "/", at(0)), "{wrong}");
        }
        // The proof of a server is not that of a command.
        let challenge = Challenge::parse(nonce).unwrap();
        let of_server = format!("{COMMAND_SCHEME}{time}.{nonce}.{}", key.prove(&challenge, URL));
        assert!(!key.accepts_command(&of_server, URL, "GET", "/", at(0)));
        assert!(key.accepts_command(&good, URL, "GET", "/", at(0)));
    }

    #[test]
    fn memory_of_used_nonces_is_bounded() {
        let mut used = UsedNonces::default();
        let nonce = |number: usize| {
            let mut nonce = [0; SIZE];
            nonce[..8].copy_from_slice(&(number as u64).to_le_bytes());
            nonce
        };
        for number in 0..MOST_NONCES {
            assert!(used.insert(nonce(number), 100, 100));
        }
        assert!(!used.insert(nonce(MOST_NONCES), 100, 130), "none of them has expired");
        assert!(!used.insert(nonce(0), 100, 130));
        assert!(used.insert(nonce(MOST_NONCES), 131, 131), "all have expired");
        assert_eq!(used.0.len(), 1);
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
