//! The signer of seals.

use crate::model::{SealKey, SealSignature};

/// Signs the seals of the audit log with ed25519.
pub trait SealSigner: Send + Sync + 'static {
    /// Returns the public key with which the signatures are verified.
    fn key(&self) -> SealKey;

    /// Signs a text.
    fn sign(&self, bytes: &[u8]) -> SealSignature;
}
