//! The commands to the nodes and to the queue of a backend.

use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::NodeId;
use kastrel_actors::service::QueueService;
use reqwest::Method;
use serde::Serialize;

use super::access::AccessBackend;
use super::clearances::ClearanceBackend;
use super::error::BackendError;
use super::events::EventBackend;
use super::exports::ExportBackend;
use super::findings::FindingBackend;
use super::identities::IdentityBackend;
use super::links::LinkBackend;
use super::local::{LocalBackend, context};
use super::remote::RemoteBackend;
use super::scans::ScanBackend;
use super::shares::ShareBackend;
use super::sla::SlaBackend;
use crate::api_types::{DrainBody, NodeBody, PauseBody, QueueBody};

/// The commands to the nodes and to the queue of a backend.
#[async_trait]
pub trait ClusterBackend: Send + Sync {
    /// Drains a node within a time limit, or within the configured one (`None`). Returns `false` if
    /// the node does not exist.
    async fn drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, BackendError>;

    /// Ends the drain of a node. Returns `false` if the node does not exist.
    async fn undo_drain(&self, node: &NodeId) -> Result<bool, BackendError>;

    /// Pauses the queue.
    async fn pause(&self, reason: Option<String>) -> Result<QueueBody, BackendError>;

    /// Resumes the queue.
    async fn resume(&self) -> Result<QueueBody, BackendError>;
}

/// The scans with their findings, public links and shares, the nodes, the queue, the events and the
/// accounts of a backend.
pub trait Backend:
    ScanBackend
    + ClusterBackend
    + EventBackend
    + ExportBackend
    + FindingBackend
    + AccessBackend
    + IdentityBackend
    + ClearanceBackend
    + LinkBackend
    + ShareBackend
    + SlaBackend
{
}

impl<T> Backend for T where
    T: ScanBackend
        + ClusterBackend
        + EventBackend
        + ExportBackend
        + FindingBackend
        + AccessBackend
        + IdentityBackend
        + ClearanceBackend
        + LinkBackend
        + ShareBackend
        + SlaBackend
{
}

/// How long to wait for the number of signals, in case the queue is down.
const QUEUE_PATIENCE: Duration = Duration::from_secs(2);

async fn queue(service: &QueueService) -> Result<QueueBody, BackendError> {
    let status = service.status(&context()).await?;
    Ok(QueueBody::of(status, service.signals(QUEUE_PATIENCE).await))
}

#[async_trait]
impl ClusterBackend for LocalBackend {
    async fn drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, BackendError> {
        Ok(self.services.nodes.drain(&context(), node, within).await?.is_some())
    }

    async fn undo_drain(&self, node: &NodeId) -> Result<bool, BackendError> {
        Ok(self.services.nodes.undo_drain(&context(), node).await?.is_some())
    }

    async fn pause(&self, reason: Option<String>) -> Result<QueueBody, BackendError> {
        self.services.queue.pause(&context(), reason.as_deref()).await?;
        queue(&self.services.queue).await
    }

    async fn resume(&self) -> Result<QueueBody, BackendError> {
        self.services.queue.resume(&context()).await?;
        queue(&self.services.queue).await
    }
}

#[async_trait]
impl ClusterBackend for RemoteBackend {
    async fn drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, BackendError> {
        let body = DrainBody { within_seconds: within.map(|within| within.as_secs()) };
        let drained: Option<NodeBody> = self.order(Method::POST, &format!("api/nodes/{node}/drain"), &body).await?;
        Ok(drained.is_some())
    }

    async fn undo_drain(&self, node: &NodeId) -> Result<bool, BackendError> {
        let path = format!("api/nodes/{node}/drain");
        let undone: Option<NodeBody> = self.order(Method::DELETE, &path, &DrainBody::default()).await?;
        Ok(undone.is_some())
    }

    async fn pause(&self, reason: Option<String>) -> Result<QueueBody, BackendError> {
        self.queue_order("api/queue/pause", &PauseBody { reason }).await
    }

    async fn resume(&self) -> Result<QueueBody, BackendError> {
        self.queue_order("api/queue/resume", &PauseBody::default()).await
    }
}

impl RemoteBackend {
    async fn queue_order(&self, path: &str, body: &impl Serialize) -> Result<QueueBody, BackendError> {
        self.order(Method::POST, path, body).await?.ok_or_else(|| self.strange("it has no queue"))
    }
}
