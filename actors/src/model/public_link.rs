//! Public links of scans, as the store keeps them: a link opens one scan without an account. The
//! store has only the digest of its secret.

use jiff::Timestamp;

use super::{Principal, PublicLinkId, ScanId, SecretDigest};

/// A public link of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicLink {
    /// Its public part.
    pub id: PublicLinkId,
    /// The digest of its secret.
    pub key: SecretDigest,
    /// The scan that it opens.
    pub scan: ScanId,
    /// What it is for, in the words of its creator; may be empty.
    pub label: String,
    /// Who created it.
    pub created_by: Principal,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The hash of its password, if it has one.
    pub password_hash: Option<String>,
    /// How often it was opened.
    pub opened: u64,
    /// When it was last opened.
    pub opened_at: Option<Timestamp>,
}
