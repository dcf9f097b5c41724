//! The shares of the scans of a backend, and transfers.

use async_trait::async_trait;
use kastrel_actors::model::{Grantee, ProjectId, ScanId, ScanSnapshot};
use kastrel_actors::service::TransferOutcome;
use reqwest::Method;
use serde_json::json;

use super::access::visible;
use super::error::BackendError;
use super::local::{LocalBackend, context};
use super::remote::RemoteBackend;
use super::scans::ScanBackend as _;
use crate::api_types::{
    NewShareBody, ScanDetail, ScanSummary, ShareBody, ShareList, SharedScanBody, SharedScanList, SharedScanParams,
    TransferBody,
};

/// The largest page of shared scans.
const PAGE: usize = 100;

/// The shares of the scans of a backend, and transfers.
#[async_trait]
pub trait ShareBackend: Send + Sync {
    /// Returns the shares of a scan; `None` if it does not exist.
    async fn shares(&self, scan: ScanId) -> Result<Option<ShareList>, BackendError>;

    /// Shares a scan; `None` if it does not exist.
    async fn create_share(&self, scan: ScanId, share: NewShareBody) -> Result<Option<ShareBody>, BackendError>;

    /// Revokes a share. Returns `false` if the scan or the share does not exist.
    async fn revoke_share(&self, scan: ScanId, grantee: &Grantee) -> Result<bool, BackendError>;

    /// Returns up to `limit` scans that are shared with the account of the command, newest first.
    async fn shared_scans(&self, limit: usize) -> Result<Vec<SharedScanBody>, BackendError>;

    /// Transfers a scan to another project; `None` if the scan does not exist.
    async fn transfer(&self, scan: ScanId, project: &ProjectId) -> Result<Option<ScanSummary>, BackendError>;
}

#[async_trait]
impl ShareBackend for LocalBackend {
    async fn shares(&self, scan: ScanId) -> Result<Option<ShareList>, BackendError> {
        let shares = visible(self.access.shares(&context(), scan).await)?;
        Ok(shares.map(|shares| ShareList::of(&shares)))
    }

    async fn create_share(&self, scan: ScanId, share: NewShareBody) -> Result<Option<ShareBody>, BackendError> {
        let created = visible(self.access.create_share(&context(), scan, share.into()).await)?;
        Ok(created.map(|share| ShareBody::from(&share)))
    }

    async fn revoke_share(&self, scan: ScanId, grantee: &Grantee) -> Result<bool, BackendError> {
        let revoked = visible(self.access.revoke_share(&context(), scan, &grantee.to_string()).await)?;
        Ok(revoked == Some(true))
    }

    async fn shared_scans(&self, _limit: usize) -> Result<Vec<SharedScanBody>, BackendError> {
        Err(BackendError::Other(
            "scans are shared with an account, and a command on the data folder has none; use --server and a token of the account".into(),
        ))
    }

    async fn transfer(&self, scan: ScanId, project: &ProjectId) -> Result<Option<ScanSummary>, BackendError> {
        match self.services.scans.transfer(&context(), scan, project.as_str()).await? {
            TransferOutcome::Transferred(record) => Ok(Some(ScanSummary::from(&ScanSnapshot::of(record)))),
            TransferOutcome::NotEnded(record) => Err(BackendError::Other(format!(
                "scan {scan} is {}; it can be transferred when it has finished",
                record.status().word()
            ))),
            TransferOutcome::Missing => Ok(None),
        }
    }
}

#[async_trait]
impl ShareBackend for RemoteBackend {
    async fn shares(&self, scan: ScanId) -> Result<Option<ShareList>, BackendError> {
        let shares = self.get_json(&format!("api/scans/{scan}/shares"), &[]).await?;
        self.with_shares(scan, shares).await
    }

    async fn create_share(&self, scan: ScanId, share: NewShareBody) -> Result<Option<ShareBody>, BackendError> {
        let created = self.order(Method::POST, &format!("api/scans/{scan}/shares"), &share).await?;
        self.with_shares(scan, created).await
    }

    async fn revoke_share(&self, scan: ScanId, grantee: &Grantee) -> Result<bool, BackendError> {
        self.done(Method::DELETE, &format!("api/scans/{scan}/shares/{grantee}"), &json!({})).await
    }

    async fn shared_scans(&self, limit: usize) -> Result<Vec<SharedScanBody>, BackendError> {
        let (mut scans, mut before) = (Vec::new(), None);
        while scans.len() < limit {
            let wanted = u32::try_from((limit - scans.len()).min(PAGE)).unwrap_or(1);
            let page: SharedScanList =
                self.read_at("api/shared-scans", &SharedScanParams { before, limit: Some(wanted) }).await?;
            scans.extend(page.scans);
            before = page.next_before;
            if before.is_none() {
                break;
            }
        }
        scans.truncate(limit);
        Ok(scans)
    }

    async fn transfer(&self, scan: ScanId, project: &ProjectId) -> Result<Option<ScanSummary>, BackendError> {
        let body = TransferBody { project: project.to_string() };
        let moved: Option<ScanDetail> = self.order(Method::POST, &format!("api/scans/{scan}/transfer"), &body).await?;
        if moved.is_none() && self.get(scan).await?.is_some() {
            return Err(self.strange("it transfers no scans; it is an older version"));
        }
        Ok(moved.map(|detail| detail.summary))
    }
}

impl RemoteBackend {
    /// Returns what the server has of the shares of a scan; `None` if the scan does not exist. A
    /// server without accounts has no shares of any scan: that is an error.
    async fn with_shares<T: Send>(&self, scan: ScanId, found: Option<T>) -> Result<Option<T>, BackendError> {
        if found.is_none() && self.get(scan).await?.is_some() {
            return Err(self.strange("it has no shares; its accounts are off, or it is an older version"));
        }
        Ok(found)
    }
}
