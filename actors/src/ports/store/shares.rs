//! The shares of scans.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{Grantee, Principal, ProjectId, ScanId, Share, ShareCreated};

/// Keeps the shares of scans. Each change writes its entry of the audit log in the same
/// transaction. The callers give the times, by their own clocks.
///
/// The deletion of a scan and its transfer to another project delete its shares in the same
/// transaction. Shares that have expired are deleted by
/// [`AccessStore::delete_expired`](super::AccessStore::delete_expired).
#[async_trait]
pub trait ShareStore: Send + Sync + 'static {
    /// Stores a share of a scan that is in `project`, on behalf of its creator, in place of an
    /// earlier one of the scan with the same grantee. It is refused if the grantee has `most`
    /// shares of other scans that have not expired when this one is created.
    async fn create_share(&self, share: Share, project: &ProjectId, most: usize) -> Result<ShareCreated, StoreError>;

    /// Returns the shares of a scan, newest first; expired ones until they are deleted.
    async fn shares_of_scan(&self, scan: ScanId) -> Result<Vec<Share>, StoreError>;

    /// Returns the shares with any of these grantees that have not expired at `at`, those of the
    /// newest scan first.
    async fn shares_with(&self, grantees: &[Grantee], at: Timestamp) -> Result<Vec<Share>, StoreError>;

    /// Deletes the share of a scan with a grantee. Returns `false`, and writes no entry, if there
    /// is no such share.
    async fn revoke_share(&self, scan: ScanId, grantee: &Grantee, by: &Principal) -> Result<bool, StoreError>;
}

#[async_trait]
impl<S: ShareStore + ?Sized, H: CallHook> ShareStore for Hooked<S, H> {
    async fn create_share(&self, share: Share, project: &ProjectId, most: usize) -> Result<ShareCreated, StoreError> {
        self.hook.around("create_share", self.inner.create_share(share, project, most)).await
    }

    async fn shares_of_scan(&self, scan: ScanId) -> Result<Vec<Share>, StoreError> {
        self.hook.around("shares_of_scan", self.inner.shares_of_scan(scan)).await
    }

    async fn shares_with(&self, grantees: &[Grantee], at: Timestamp) -> Result<Vec<Share>, StoreError> {
        self.hook.around("shares_with", self.inner.shares_with(grantees, at)).await
    }

    async fn revoke_share(&self, scan: ScanId, grantee: &Grantee, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("revoke_share", self.inner.revoke_share(scan, grantee, by)).await
    }
}
