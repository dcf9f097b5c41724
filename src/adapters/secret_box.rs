//! Encrypts the values of secret settings with a key from a file. The cipher is XChaCha20-Poly1305,
//! with a nonce derived from the secret itself.
//!
//! The key file holds 32 random bytes as hexadecimal digits. It is created at its first use,
//! readable only by its owner, and is never part of a backup. The nonce is a function of the
//! purpose and the secret, so a repeated submission gets the same ciphertext. A reader of the
//! database learns only that two scans of one target have the same value in one setting.

use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use kastrel_actors::ports::{SealError, SecretSealer};
use sha2::Sha256;

/// The prefix of every sealed text: the version of the format.
const VERSION: &str = "v1";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// A [`SecretSealer`] with a key file. See the module docs.
pub struct SecretBox {
    path: PathBuf,
    keys: Mutex<Option<Keys>>,
}

/// The public facts about a key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Identifies the key and reveals nothing about it.
    pub id: String,
    /// The file's mode, if other users can read the file.
    pub open_to_others: Option<u32>,
}

/// Returns the id of the key that sealed a text.
#[must_use]
pub fn sealed_with(sealed: &str) -> Option<&str> {
    let mut parts = sealed.split('.');
    (parts.next() == Some(VERSION)).then(|| parts.next()).flatten()
}

/// The keys derived from the key in the file.
#[derive(Clone)]
struct Keys {
    cipher: XChaCha20Poly1305,
    nonce: [u8; KEY_BYTES],
    /// Identifies the key and reveals nothing about it.
    id: String,
}

impl std::fmt::Debug for SecretBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretBox").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SecretBox {
    /// Creates a sealer for a key file. The file is read, or created, at the first use.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), keys: Mutex::new(None) }
    }

    /// Returns the facts about a key file, without creating one. Returns `None` if the file does
    /// not exist.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold a key.
    pub fn inspect(path: &Path) -> io::Result<Option<KeyFile>> {
        match read(path) {
            Ok(key) => Ok(Some(KeyFile { id: Keys::of(&key).id, open_to_others: rights_of_others(path) })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn keys(&self, make: bool) -> Result<Keys, SealError> {
        let mut known = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = &*known {
            return Ok(keys.clone());
        }
        let unusable = |error: io::Error| {
            SealError::Unusable(format!("the key file {} cannot be used: {error}", self.path.display()))
        };
        let key = match read(&self.path) {
            Ok(key) => {
                if let Some(mode) = rights_of_others(&self.path) {
                    tracing::warn!(file = %self.path.display(), mode = %format_args!("{mode:o}"), "other users of this machine may read the key for secrets");
                }
                key
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && make => make_key(&self.path).map_err(unusable)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SealError::NoKey),
            Err(error) => return Err(unusable(error)),
        };
        Ok(known.insert(Keys::of(&key)).clone())
    }
}

impl Keys {
    fn of(key: &[u8; KEY_BYTES]) -> Self {
        let id = hex::encode(&derive(key, "id")[..4]);
        Self { cipher: XChaCha20Poly1305::new(Key::from_slice(&derive(key, "seal"))), nonce: derive(key, "nonce"), id }
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; KEY_BYTES] {
    let mut mac =
        <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap_or_else(|_| unreachable!("a key of any length will do"));
    for part in parts {
        // The length prefix makes the encoding unambiguous: no two lists of parts give the same
        // bytes.
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn derive(key: &[u8; KEY_BYTES], what: &str) -> [u8; KEY_BYTES] {
    mac(key, &[b"kastrel secrets v1", what.as_bytes()])
}

fn rights_of_others(path: &Path) -> Option<u32> {
    let mode = path.metadata().ok()?.permissions().mode() & 0o777;
    (mode & 0o044 != 0).then_some(mode)
}

/// Reads the key.
fn read(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let text = std::fs::read_to_string(path)?;
    hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "expected 64 hexadecimal digits, such as `openssl rand -hex 32` prints",
        )
    })
}

/// Creates the key. If another process creates one at the same time, returns that key.
fn make_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let key: [u8; KEY_BYTES] = rand::random();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".secrets-")
        .make_in(folder, |fresh| std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh))?;
    writeln!(file, "{}", hex::encode(key))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(key),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(error.error),
    }
}

impl SecretSealer for SecretBox {
    fn seal(&self, purpose: &str, clear: &str) -> Result<String, SealError> {
        let keys = self.keys(true)?;
        let nonce = &mac(&keys.nonce, &[purpose.as_bytes(), clear.as_bytes()])[..NONCE_BYTES];
        let payload = Payload { msg: clear.as_bytes(), aad: purpose.as_bytes() };
        let sealed = keys.cipher.encrypt(XNonce::from_slice(nonce), payload).map_err(|_| SealError::Broken)?;
        Ok(format!("{VERSION}.{}.{}{}", keys.id, hex::encode(nonce), hex::encode(sealed)))
    }

    fn open(&self, purpose: &str, sealed: &str) -> Result<String, SealError> {
        let mut parts = sealed.split('.');
        let (Some(VERSION), Some(id), Some(body), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SealError::Broken);
        };
        let keys = self.keys(false)?;
        if id != keys.id {
            let is_id = id.len() == keys.id.len() && id.bytes().all(|b| b.is_ascii_hexdigit());
            return Err(if is_id {
                SealError::OtherKey { sealed_with: id.to_owned(), own: keys.id }
            } else {
                SealError::Broken
            });
        }
        let body = hex::decode(body).ok().filter(|body| body.len() > NONCE_BYTES).ok_or(SealError::Broken)?;
        let (nonce, sealed) = body.split_at(NONCE_BYTES);
        let clear = keys
            .cipher
            .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: purpose.as_bytes() })
            .map_err(|_| SealError::Broken)?;
        String::from_utf8(clear).map_err(|_| SealError::Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_opens_only_for_its_purpose_and_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let (one, same, other) = (folder.path().join("a"), folder.path().join("a"), folder.path().join("b"));
        let (one, same, other) = (SecretBox::new(one), SecretBox::new(same), SecretBox::new(other));
        for clear in ["hunter2", "", "ünï\n", &"x".repeat(1000)] {
            let sealed = one.seal("scan\nzap.key\na.test", clear).unwrap();
            assert!(clear.is_empty() || !sealed.contains(clear));
            assert_eq!(
                same.open("scan\nzap.key\na.test", &sealed).as_deref(),
                Ok(clear),
                "another process with the same file"
            );
            assert_eq!(
                one.seal("scan\nzap.key\na.test", clear).unwrap(),
                sealed,
                "a repeated submission is the same request"
            );
            assert_eq!(one.open("scan\nzap.key\nb.test", &sealed), Err(SealError::Broken));
            assert!(other.open("scan\nzap.key\na.test", &sealed).is_err());
            let mut spoilt = sealed.clone();
            spoilt.replace_range(sealed.len() - 1.., if sealed.ends_with('0') { "1" } else { "0" });
            assert_eq!(one.open("scan\nzap.key\na.test", &spoilt), Err(SealError::Broken));
        }
        other.seal("x", "y").unwrap();
        assert!(matches!(other.open("x", &one.seal("x", "y").unwrap()), Err(SealError::OtherKey { .. })));
        for text in ["", "v1", "v1.a", "v1.a.b.c", "v2.00000000.00", "v1.00000000.zz", "v1.+0000000.++"] {
            assert!(one.open("x", text).is_err(), "{text}");
        }
    }

    #[test]
    fn key_file_is_created_once_and_readable_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.key");
        assert_eq!(SecretBox::new(&path).open("x", &format!("v1.00000000.{}", "00".repeat(50))), Err(SealError::NoKey));
        assert!(!path.exists(), "only sealing makes a key");
        let sealed: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| SecretBox::new(&path).seal("x", "y").unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(sealed.iter().all(|one| *one == sealed[0]), "whoever comes second takes the first one's key");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        assert!(!format!("{:?}", SecretBox::new(&path)).contains(std::fs::read_to_string(&path).unwrap().trim()));
    }

    #[test]
    fn key_file_inspection_does_not_reveal_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.key");
        assert_eq!(SecretBox::inspect(&path).unwrap(), None);
        assert!(!path.exists());
        let sealed = SecretBox::new(&path).seal("x", "y").unwrap();
        let told = SecretBox::inspect(&path).unwrap().unwrap();
        assert_eq!((sealed_with(&sealed), told.open_to_others), (Some(told.id.as_str()), None));
        assert_eq!((sealed_with("v2.a.b"), sealed_with("")), (None, None));
        for (mode, told) in [(0o640, Some(0o640)), (0o604, Some(0o604)), (0o400, None)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(SecretBox::inspect(&path).unwrap().unwrap().open_to_others, told, "{mode:o}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "hunter2").unwrap();
        assert!(!SecretBox::inspect(&path).unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn error_of_an_invalid_key_file_contains_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.key");
        for text in ["", "hunter2", &"0".repeat(63), &"+0".repeat(32)] {
            std::fs::write(&path, text).unwrap();
            let why = SecretBox::new(&path).seal("x", "y").unwrap_err().to_string();
            assert!(
                why.contains("secrets.key") && why.contains("64 hexadecimal digits") && !why.contains("hunter2"),
                "{why}"
            );
        }
    }
}
