//! The key that signs the seals of the audit log: ed25519, in a file of the data folder.
//!
//! The file has the 32 random bytes of the private key as hexadecimal digits. It is created at the
//! first start of a server, readable only by its owner, and never part of a backup. The public key
//! is in the database, so that each server verifies the seals of all others.

use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use kastrel_actors::model::{SealKey, SealSignature};
use kastrel_actors::ports::SealSigner;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// The name of the key file in the data folder.
pub const FILE_NAME: &str = "audit.key";

const SIZE: usize = 32;

/// The permission bits of the group and of others.
const OTHERS: u32 = 0o077;

/// A [`SealSigner`] with a key file. See the module docs.
pub struct AuditKey {
    pair: Ed25519KeyPair,
    public: SealKey,
}

impl AuditKey {
    /// Returns the key of a data folder, and creates it at the first use. Servers that share a
    /// folder share the key.
    ///
    /// # Errors
    /// The file cannot be read or written, or does not hold a key.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE_NAME);
        match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(data_dir, &path),
            opened => opened,
        }
    }

    fn of(seed: &[u8; SIZE]) -> io::Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| invalid())?;
        let public = pair.public_key().as_ref().try_into().map(SealKey::new).map_err(|_| invalid())?;
        Ok(Self { pair, public })
    }

    /// Verifies the signature of a seal.
    #[must_use]
    pub fn check(key: &SealKey, bytes: &[u8], signature: &SealSignature) -> bool {
        UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(bytes, signature.as_bytes()).is_ok()
    }
}

impl SealSigner for AuditKey {
    fn key(&self) -> SealKey {
        self.public
    }

    fn sign(&self, bytes: &[u8]) -> SealSignature {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(bytes).as_ref());
        SealSignature::new(signature)
    }
}

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The error of a file without a key. It does not repeat the content.
fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it should hold 64 hexadecimal digits")
}

fn read(path: &Path) -> io::Result<AuditKey> {
    let text = std::fs::read_to_string(path)?;
    let mode = path.metadata()?.permissions().mode();
    if mode & OTHERS != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7777 & !OTHERS))?;
    }
    let mut seed = [0; SIZE];
    hex::decode_to_slice(text.trim(), &mut seed).map_err(|_| invalid())?;
    AuditKey::of(&seed)
}

/// Creates the key. If another server creates one at the same time, returns that key.
fn make(data_dir: &Path, path: &Path) -> io::Result<AuditKey> {
    let seed: [u8; SIZE] = rand::random();
    let mut file = tempfile::Builder::new()
        .prefix(".audit-")
        .make_in(data_dir, |fresh| std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh))?;
    writeln!(file, "{}", hex::encode(seed))?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => AuditKey::of(&seed),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_key_is_created_once_and_readable_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let keys: Vec<SealKey> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| AuditKey::open(folder.path()).unwrap().key())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
        let path = folder.path().join(FILE_NAME);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(AuditKey::open(folder.path()).unwrap().key(), keys[0]);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let secret = std::fs::read_to_string(&path).unwrap();
        assert!(!format!("{:?}", AuditKey::open(folder.path()).unwrap()).contains(secret.trim()));
    }

    #[test]
    fn signature_is_valid_for_its_text_and_its_key_only() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, other) = (AuditKey::open(one.path()).unwrap(), AuditKey::open(other.path()).unwrap());
        let signature = one.sign(b"a seal");
        assert!(AuditKey::check(&one.key(), b"a seal", &signature));
        assert!(!AuditKey::check(&one.key(), b"a seam", &signature));
        assert!(!AuditKey::check(&other.key(), b"a seal", &signature));
        assert!(!AuditKey::check(&SealKey::new([0; 32]), b"a seal", &SealSignature::new([0; 64])));
    }

    /// The first test vector of RFC 8032.
    #[test]
    fn signatures_are_those_of_ed25519() {
        let folder = tempfile::tempdir().unwrap();
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        std::fs::write(folder.path().join(FILE_NAME), seed).unwrap();
        let key = AuditKey::open(folder.path()).unwrap();
        assert_eq!(key.key().to_string(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        assert_eq!(key.sign(b"").to_string(), expected);
    }

    #[test]
    fn invalid_key_file_is_an_error_that_does_not_repeat_it() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "hunter2", &"0".repeat(63)] {
            std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
            let why = AuditKey::open(folder.path()).unwrap_err().to_string();
            assert!(why.contains("64 hexadecimal digits") && !why.contains("hunter2"), "{why}");
        }
    }
}
