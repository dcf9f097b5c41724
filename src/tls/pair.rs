//! Reads a certificate pair, which is a certificate chain and its private key, and checks it.

use std::fs::Metadata;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{Error, ServerConfig};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::pinned::Fingerprint;
use super::stamps::Stamps;
use crate::private;

/// The settings with the two files.
const CERTIFICATE: &str = "server.tls_certificate";
const KEY: &str = "server.tls_key";
/// The maximum size of each file, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// The files of a certificate pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// Why a certificate pair cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {why}")]
pub struct PairError {
    /// The setting that is wrong.
    pub setting: &'static str,
    /// The problem, with the path of the file.
    pub why: String,
}

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The begin.
    pub from: Timestamp,
    /// The end.
    pub until: Timestamp,
}

/// A certificate pair that was read and checked.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The configuration of a server with this certificate.
    pub config: Arc<ServerConfig>,
    /// The fingerprint of the server's certificate.
    pub fingerprint: Fingerprint,
    /// The validity of the server's certificate.
    pub validity: Validity,
    /// The state of the files just before they were read.
    pub(super) stamps: Stamps,
}

impl PairFiles {
    /// Returns the files of the settings `server.tls_certificate` and `server.tls_key`, if both are
    /// set.
    #[must_use]
    pub fn of(certificate: Option<&Path>, key: Option<&Path>) -> Option<Self> {
        Some(Self { certificate: certificate?.to_owned(), key: key?.to_owned() })
    }

    /// Reads the pair.
    ///
    /// # Errors
    /// A file cannot be read or has the wrong content, other users may read the key, or the key
    /// does not belong to the certificate.
    pub fn read(&self) -> Result<Pair, PairError> {
        // The stamps come first: a change during the reading is then a change after it.
        let stamps = Stamps::of(&self.certificate, &self.key);
        let certificate = |why: String| PairError { setting: CERTIFICATE, why };
        let key = |why: String| PairError { setting: KEY, why };

        let (_, pem) = content(&self.certificate).map_err(certificate)?;
        let shown = self.certificate.display();
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| certificate(format!("{shown} is not a PEM file: {error}")))?;
        let leaf = chain.first().ok_or_else(|| certificate(format!("{shown} has no certificate in PEM form")))?;
        let validity = validity(leaf).ok_or_else(|| certificate(format!("{shown} has an invalid certificate")))?;
        let fingerprint = Fingerprint::of(leaf);

        let (about, pem) = content(&self.key).map_err(key)?;
        let shown = self.key.display();
        if let Some(mode) = private::rights_of_key_readers(&about) {
            return Err(key(format!("other users may read {shown} (mode {mode:o}); run chmod 600 on it")));
        }
        // An error of the parser may quote the file, which would show a part of the key.
        let private_key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
            key(format!("{shown} has no private key in PEM form without a password (PKCS#8, PKCS#1 or SEC1)"))
        })?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private_key))
            .map_err(|error| match error {
                Error::InconsistentKeys(_) => key(format!(
                    "the key in {shown} does not belong to the first certificate in {}",
                    self.certificate.display()
                )),
                Error::InvalidCertificate(why) => {
                    certificate(format!("{} cannot be used: {why:?}", self.certificate.display()))
                }
                other => key(format!("{shown} cannot be used: {other}")),
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Pair { config: Arc::new(config), fingerprint, validity, stamps })
    }
}

/// Reads a file of limited size.
fn content(path: &Path) -> Result<(Metadata, Vec<u8>), String> {
    let failed = |error: std::io::Error| format!("failed to read {}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("{} is larger than {} KiB", path.display(), MOST_BYTES / 1024));
    }
    Ok((about, bytes))
}

/// Returns the validity of a certificate, if it can be parsed.
fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let times = certificate.validity();
    Some(Validity {
        from: Timestamp::from_second(times.not_before.timestamp()).ok()?,
        until: Timestamp::from_second(times.not_after.timestamp()).ok()?,
    })
}

#[cfg(test)]
pub(crate) mod testing {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Writes a new self-signed pair for `localhost` and 127.0.0.1 into a folder, in place of an
    /// earlier one.
    pub(crate) fn write_pair(folder: &Path) -> PairFiles {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        replace(&folder.join("certificate.pem"), &made.cert.pem());
        replace(&folder.join("key.pem"), &made.signing_key.serialize_pem());
        PairFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") }
    }

    /// Writes a private file under a new inode, as renewals do.
    pub(crate) fn replace(path: &Path, text: &str) {
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, text).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(&fresh, path).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::testing::{replace, write_pair};
    use super::*;

    #[test]
    fn pair_is_read_with_its_validity_and_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_pair(folder.path());
        let pair = files.read().unwrap();
        assert!(pair.validity.from < pair.validity.until);
        assert_eq!(pair.config.alpn_protocols, [b"http/1.1".to_vec()]);
        assert_eq!(files.read().unwrap().fingerprint, pair.fingerprint);
        assert_ne!(write_pair(folder.path()).read().unwrap().fingerprint, pair.fingerprint);
        assert_eq!(PairFiles::of(Some(&files.certificate), Some(&files.key)), Some(files.clone()));
        assert_eq!(PairFiles::of(Some(&files.certificate), None), None);
    }

    #[test]
    fn each_fault_of_a_pair_names_its_setting() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = write_pair(folder.path());
        let foreign = write_pair(other.path());
        let missing = folder.path().join("none.pem");
        let (garbage, wide) = (folder.path().join("garbage.pem"), folder.path().join("wide.pem"));
        replace(&garbage, "no PEM");
        std::fs::copy(&files.key, &wide).unwrap();
        std::fs::set_permissions(&wide, std::fs::Permissions::from_mode(0o644)).unwrap();
        for (certificate, key, setting, part) in [
            (&missing, &files.key, CERTIFICATE, "failed to read"),
            (&folder.path().to_owned(), &files.key, CERTIFICATE, "is not a file"),
            (&garbage, &files.key, CERTIFICATE, "has no certificate"),
            (&files.key, &files.key, CERTIFICATE, "has no certificate"),
            (&files.certificate, &missing, KEY, "failed to read"),
            (&files.certificate, &garbage, KEY, "has no private key"),
            (&files.certificate, &files.certificate, KEY, "has no private key"),
            (&files.certificate, &foreign.key, KEY, "does not belong to the first certificate"),
            (&files.certificate, &wide, KEY, "(mode 644)"),
        ] {
            let error = PairFiles { certificate: certificate.clone(), key: key.clone() }.read().unwrap_err();
            assert_eq!(error.setting, setting, "{error}");
            assert!(error.to_string().starts_with(setting) && error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn parsing_errors_quote_nothing_of_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_pair(folder.path());
        let text = std::fs::read_to_string(&files.key).unwrap();
        let secret = text.lines().nth(1).unwrap().to_owned();
        replace(&files.key, &text.replace("-----END", "-----EN"));
        let error = files.read().unwrap_err();
        assert_eq!(error.setting, KEY);
        assert!(!format!("{error} {error:?}").contains(&secret[..16]));
    }
}
