//! The clearances of a backend.

use async_trait::async_trait;
use kastrel_actors::model::{HostPattern, ProjectId};
use reqwest::Method;
use serde_json::json;

use super::access::visible;
use super::error::BackendError;
use super::local::{LocalBackend, context};
use super::remote::RemoteBackend;
use crate::api_types::{ClearanceBody, ClearanceList, NewClearanceBody};

/// The clearances of a backend.
#[async_trait]
pub trait ClearanceBackend: Send + Sync {
    /// Returns the clearances of a project; `None` if it does not exist.
    async fn clearances(&self, project: &ProjectId) -> Result<Option<ClearanceList>, BackendError>;

    /// Sets a clearance; `None` if the project does not exist.
    async fn set_clearance(
        &self,
        project: &ProjectId,
        pattern: &HostPattern,
        clearance: NewClearanceBody,
    ) -> Result<Option<ClearanceBody>, BackendError>;

    /// Removes a clearance. Returns `false` if the project or the clearance does not exist.
    async fn remove_clearance(&self, project: &ProjectId, pattern: &HostPattern) -> Result<bool, BackendError>;
}

#[async_trait]
impl ClearanceBackend for LocalBackend {
    async fn clearances(&self, project: &ProjectId) -> Result<Option<ClearanceList>, BackendError> {
        let clearances = visible(self.access.clearances(&context(), project).await)?;
        Ok(clearances.map(|clearances| ClearanceList::of(&clearances)))
    }

    async fn set_clearance(
        &self,
        project: &ProjectId,
        pattern: &HostPattern,
        clearance: NewClearanceBody,
    ) -> Result<Option<ClearanceBody>, BackendError> {
        let draft = clearance.draft(pattern.as_str());
        let set = visible(self.access.set_clearance(&context(), project, &draft).await)?;
        Ok(set.as_ref().map(Into::into))
    }

    async fn remove_clearance(&self, project: &ProjectId, pattern: &HostPattern) -> Result<bool, BackendError> {
        let removed = visible(self.access.remove_clearance(&context(), project, pattern.as_str()).await)?;
        Ok(removed == Some(true))
    }
}

#[async_trait]
impl ClearanceBackend for RemoteBackend {
    async fn clearances(&self, project: &ProjectId) -> Result<Option<ClearanceList>, BackendError> {
        self.get_json(&format!("api/projects/{project}/clearances"), &[]).await
    }

    async fn set_clearance(
        &self,
        project: &ProjectId,
        pattern: &HostPattern,
        clearance: NewClearanceBody,
    ) -> Result<Option<ClearanceBody>, BackendError> {
        self.order(Method::PUT, &format!("api/projects/{project}/clearances/{pattern}"), &clearance).await
    }

    async fn remove_clearance(&self, project: &ProjectId, pattern: &HostPattern) -> Result<bool, BackendError> {
        self.done(Method::DELETE, &format!("api/projects/{project}/clearances/{pattern}"), &json!({})).await
    }
}
