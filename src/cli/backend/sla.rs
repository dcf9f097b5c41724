//! The times to fix of the projects of a backend.

use async_trait::async_trait;
use kastrel_actors::model::ProjectId;
use reqwest::Method;

use super::error::BackendError;
use super::findings::visible;
use super::local::{LocalBackend, context};
use super::remote::RemoteBackend;
use crate::api_types::SlaBody;

/// The times to fix of the projects of a backend.
#[async_trait]
pub trait SlaBackend: Send + Sync {
    /// Returns the times to fix of a project; `None` if it does not exist.
    async fn sla(&self, project: &ProjectId) -> Result<Option<SlaBody>, BackendError>;

    /// Sets the times to fix of a project; `None` if it does not exist.
    async fn set_sla(&self, project: &ProjectId, sla: SlaBody) -> Result<Option<SlaBody>, BackendError>;
}

#[async_trait]
impl SlaBackend for LocalBackend {
    async fn sla(&self, project: &ProjectId) -> Result<Option<SlaBody>, BackendError> {
        let policy = visible(self.findings.sla_policy(&context(), project).await)?;
        Ok(policy.as_ref().map(Into::into))
    }

    async fn set_sla(&self, project: &ProjectId, sla: SlaBody) -> Result<Option<SlaBody>, BackendError> {
        let set = visible(self.findings.set_sla_policy(&context(), project, sla.into()).await)?;
        Ok(set.map(|()| sla))
    }
}

#[async_trait]
impl SlaBackend for RemoteBackend {
    async fn sla(&self, project: &ProjectId) -> Result<Option<SlaBody>, BackendError> {
        self.get_json(&format!("api/projects/{project}/sla"), &[]).await
    }

    async fn set_sla(&self, project: &ProjectId, sla: SlaBody) -> Result<Option<SlaBody>, BackendError> {
        self.order(Method::PUT, &format!("api/projects/{project}/sla"), &sla).await
    }
}
