//! The public links of the scans of a backend.

use async_trait::async_trait;
use kastrel_actors::model::{PublicLinkId, ScanId};
use reqwest::Method;
use serde_json::json;

use super::access::visible;
use super::error::BackendError;
use super::local::{LocalBackend, context};
use super::remote::RemoteBackend;
use super::scans::ScanBackend as _;
use crate::api_types::{CreatedPublicLink, NewPublicLinkBody, PublicLinkList};

/// The public links of the scans of a backend.
#[async_trait]
pub trait LinkBackend: Send + Sync {
    /// Returns the public links of a scan; `None` if it does not exist.
    async fn public_links(&self, scan: ScanId) -> Result<Option<PublicLinkList>, BackendError>;

    /// Creates a public link; `None` if the scan does not exist.
    async fn create_public_link(
        &self,
        scan: ScanId,
        link: NewPublicLinkBody,
    ) -> Result<Option<CreatedPublicLink>, BackendError>;

    /// Revokes a public link. Returns `false` if the scan or the link does not exist.
    async fn revoke_public_link(&self, scan: ScanId, id: &PublicLinkId) -> Result<bool, BackendError>;
}

#[async_trait]
impl LinkBackend for LocalBackend {
    async fn public_links(&self, scan: ScanId) -> Result<Option<PublicLinkList>, BackendError> {
        let links = visible(self.access.public_links(&context(), scan).await)?;
        Ok(links.map(|links| PublicLinkList::of(&links)))
    }

    async fn create_public_link(
        &self,
        scan: ScanId,
        link: NewPublicLinkBody,
    ) -> Result<Option<CreatedPublicLink>, BackendError> {
        let created = visible(self.access.create_public_link(&context(), scan, link.into()).await)?;
        Ok(created.map(|(secret, link)| CreatedPublicLink::of(&secret, &link)))
    }

    async fn revoke_public_link(&self, scan: ScanId, id: &PublicLinkId) -> Result<bool, BackendError> {
        let revoked = visible(self.access.revoke_public_link(&context(), scan, id).await)?;
        Ok(revoked == Some(true))
    }
}

#[async_trait]
impl LinkBackend for RemoteBackend {
    async fn public_links(&self, scan: ScanId) -> Result<Option<PublicLinkList>, BackendError> {
        let links = self.get_json(&format!("api/scans/{scan}/links"), &[]).await?;
        self.of_scan(scan, links).await
    }

    async fn create_public_link(
        &self,
        scan: ScanId,
        link: NewPublicLinkBody,
    ) -> Result<Option<CreatedPublicLink>, BackendError> {
        let created = self.order(Method::POST, &format!("api/scans/{scan}/links"), &link).await?;
        self.of_scan(scan, created).await
    }

    async fn revoke_public_link(&self, scan: ScanId, id: &PublicLinkId) -> Result<bool, BackendError> {
        self.done(Method::DELETE, &format!("api/scans/{scan}/links/{id}"), &json!({})).await
    }
}

impl RemoteBackend {
    /// Returns what the server has of the links of a scan; `None` if the scan does not exist. A
    /// server without accounts has no links of any scan: that is an error.
    async fn of_scan<T: Send>(&self, scan: ScanId, found: Option<T>) -> Result<Option<T>, BackendError> {
        if found.is_none() && self.get(scan).await?.is_some() {
            return Err(self.strange("it has no public links; its accounts are off, or it is an older version"));
        }
        Ok(found)
    }
}
