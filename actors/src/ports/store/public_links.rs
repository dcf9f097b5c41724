//! The public links of scans.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{Principal, ProjectId, PublicLink, PublicLinkId, ScanId, SecretDigest};

/// Keeps the public links of scans. Each change, and each opening that is to be recorded, writes
/// its entry of the audit log in the same transaction. The callers give the times, by their own
/// clocks.
///
/// The deletion of a scan and its transfer to another project delete its links in the same
/// transaction. Links that have expired are
/// deleted by [`AccessStore::delete_expired`](super::AccessStore::delete_expired).
#[async_trait]
pub trait PublicLinkStore: Send + Sync + 'static {
    /// Stores a link of a scan that is in `project`, on behalf of its creator. Returns `false`, and
    /// changes nothing, if there is no such scan, or if it is in another project now.
    async fn create_public_link(&self, link: PublicLink, project: &ProjectId) -> Result<bool, StoreError>;

    /// Returns the links of a scan, newest first; expired ones until they are deleted.
    async fn public_links(&self, scan: ScanId) -> Result<Vec<PublicLink>, StoreError>;

    /// Returns the link with a secret, if it has not expired at `at`.
    async fn public_link(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PublicLink>, StoreError>;

    /// Counts an opening of a link. With the address of the client, it also writes an entry.
    /// Returns `false`, and does neither, if there is no such link, or if it has expired at `at`.
    async fn open_public_link(
        &self,
        link: &PublicLink,
        at: Timestamp,
        address: Option<&str>,
    ) -> Result<bool, StoreError>;

    /// Deletes a link of a scan. Returns `false`, and writes no entry, if the scan has no such
    /// link.
    async fn revoke_public_link(&self, scan: ScanId, id: &PublicLinkId, by: &Principal) -> Result<bool, StoreError>;
}

#[async_trait]
impl<S: PublicLinkStore + ?Sized, H: CallHook> PublicLinkStore for Hooked<S, H> {
    async fn create_public_link(&self, link: PublicLink, project: &ProjectId) -> Result<bool, StoreError> {
        self.hook.around("create_public_link", self.inner.create_public_link(link, project)).await
    }

    async fn public_links(&self, scan: ScanId) -> Result<Vec<PublicLink>, StoreError> {
        self.hook.around("public_links", self.inner.public_links(scan)).await
    }

    async fn public_link(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PublicLink>, StoreError> {
        self.hook.around("public_link", self.inner.public_link(key, at)).await
    }

    async fn open_public_link(
        &self,
        link: &PublicLink,
        at: Timestamp,
        address: Option<&str>,
    ) -> Result<bool, StoreError> {
        self.hook.around("open_public_link", self.inner.open_public_link(link, at, address)).await
    }

    async fn revoke_public_link(&self, scan: ScanId, id: &PublicLinkId, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("revoke_public_link", self.inner.revoke_public_link(scan, id, by)).await
    }
}
