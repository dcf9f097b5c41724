//! A signer for tests. Its signatures can be made by everybody who knows the public key.

use sha2::{Digest as _, Sha256};

use crate::model::{SealKey, SealSignature};
use crate::ports::SealSigner;

/// Signs with a digest of the key and the text.
#[derive(Debug, Clone, Copy)]
pub struct TestSigner(pub SealKey);

impl TestSigner {
    /// Returns the signer whose key has 32 times this byte.
    #[must_use]
    pub const fn new(byte: u8) -> Self {
        Self(SealKey::new([byte; 32]))
    }

    /// Verifies a signature of a test.
    #[must_use]
    pub fn check(key: &SealKey, bytes: &[u8], signature: &SealSignature) -> bool {
        Self(*key).sign(bytes) == *signature
    }
}

impl SealSigner for TestSigner {
    fn key(&self) -> SealKey {
        self.0
    }

    fn sign(&self, bytes: &[u8]) -> SealSignature {
        let digest: [u8; 32] = Sha256::new().chain_update(self.0.as_bytes()).chain_update(bytes).finalize().into();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&digest);
        SealSignature::new(signature)
    }
}
