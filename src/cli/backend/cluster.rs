//! The nodes and the queue, as the commands show them. Their JSON has the format of the API.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{HeldBack, NodeActivity, NodeFault, NodeId, NodeRecord, ScannerInfo};
use kastrel_actors::policy::waiting::StartBlocker;
use kastrel_actors::service::QueueService;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::BackendError;
use super::events::EventBackend;
use super::local::{LocalBackend, context};
use super::remote::{RemoteBackend, is_json, problem};
use super::scans::ScanBackend;

/// A process that runs scans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// The id of the node.
    pub id: String,
    /// The host name of the machine.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// The version of Kastrel.
    pub version: String,
    /// The number of slots: how many scans the node runs at once.
    pub capacity: u32,
    /// How many scans the node runs now.
    pub running: u32,
    /// When the node started.
    pub started_at: Timestamp,
    /// Whether the node's lease is valid.
    pub alive: bool,
    /// Whether the node takes new scans.
    pub activity: NodeActivity,
    /// When a draining node hands back the scans that still run.
    #[serde(default)]
    pub drain_by: Option<Timestamp>,
    /// Why the node starts no scans, if it starts none.
    #[serde(default)]
    pub held_back: Option<HeldView>,
    /// The scanner of the node.
    #[serde(default)]
    pub scanner: Option<ScannerInfo>,
}

/// A hold: why a node starts no scans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    /// When the hold began.
    pub since: Timestamp,
    /// The next check, or the end of the hold if known.
    pub until: Timestamp,
    /// What is missing.
    pub faults: Vec<FaultView>,
}

/// A fault: something that a node lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// The kind of the fault.
    pub kind: String,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

impl HeldView {
    fn of(held: HeldBack) -> Self {
        let view =
            |fault: NodeFault| FaultView { kind: fault.kind.to_string(), text: fault.text, remedy: fault.remedy };
        Self { since: held.since, until: held.until, faults: held.faults.into_iter().map(view).collect() }
    }
}

impl NodeView {
    fn of(node: NodeRecord) -> Self {
        let activity = node.activity();
        let said = node.registration;
        Self {
            id: said.id.to_string(),
            host: said.host,
            pid: said.pid,
            version: said.version,
            capacity: said.capacity,
            running: said.running,
            started_at: said.started_at,
            alive: node.is_alive,
            activity,
            drain_by: node.drain_by,
            held_back: said.hold.node.map(HeldView::of),
            scanner: said.offer.map(|offer| offer.scanner),
        }
    }
}

/// The state of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// While the queue is paused, no scan starts.
    pub paused: bool,
    /// When the pause began.
    #[serde(default)]
    pub paused_since: Option<Timestamp>,
    /// The reason of the pause.
    #[serde(default)]
    pub reason: Option<String>,
    /// How many scans are queued.
    pub waiting: u64,
    /// What keeps every scan from starting, the most important first.
    #[serde(default)]
    pub blockers: Vec<BlockerView>,
}

/// A blocker: what keeps every scan from starting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockerView {
    /// `paused`, `queue_down`, `no_worker` or `held_back`.
    pub reason: String,
    /// The blocker in sentences.
    pub text: String,
}

/// The nodes and the queue of a backend.
#[async_trait]
pub trait ClusterBackend: Send + Sync {
    /// Returns all nodes, ordered by id.
    async fn nodes(&self) -> Result<Vec<NodeView>, BackendError>;

    /// Drains a node within a time limit, or within the configured one (`None`). Returns `false` if
    /// the node does not exist.
    async fn drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, BackendError>;

    /// Ends the drain of a node. Returns `false` if the node does not exist.
    async fn undo_drain(&self, node: &NodeId) -> Result<bool, BackendError>;

    /// Pauses the queue.
    async fn pause(&self, reason: Option<String>) -> Result<QueueView, BackendError>;

    /// Resumes the queue.
    async fn resume(&self) -> Result<QueueView, BackendError>;
}

/// The scans, the nodes, the queue and the events of a backend.
pub trait Backend: ScanBackend + ClusterBackend + EventBackend {}

impl<T: ScanBackend + ClusterBackend + EventBackend> Backend for T {}

async fn queue(service: &QueueService) -> Result<QueueView, BackendError> {
    let status = service.status(&context()).await?;
    let view = |blocker: &StartBlocker| BlockerView { reason: blocker.name().into(), text: blocker.to_string() };
    Ok(QueueView {
        paused: status.pause.is_some(),
        paused_since: status.pause.as_ref().map(|pause| pause.since),
        waiting: status.waiting,
        blockers: status.blockers.iter().map(view).collect(),
        reason: status.pause.and_then(|pause| pause.reason),
    })
}

#[async_trait]
impl ClusterBackend for LocalBackend {
    async fn nodes(&self) -> Result<Vec<NodeView>, BackendError> {
        Ok(self.services.nodes.list(&context()).await?.into_iter().map(NodeView::of).collect())
    }

    async fn drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, BackendError> {
        Ok(self.services.nodes.drain(&context(), node, within).await?.is_some())
    }

    async fn undo_drain(&self, node: &NodeId) -> Result<bool, BackendError> {
        Ok(self.services.nodes.undo_drain(&context(), node).await?.is_some())
    }

    async fn pause(&self, reason: Option<String>) -> Result<QueueView, BackendError> {
        self.services.queue.pause(&context(), reason.as_deref()).await?;
        queue(&self.services.queue).await
    }

    async fn resume(&self) -> Result<QueueView, BackendError> {
        self.services.queue.resume(&context()).await?;
        queue(&self.services.queue).await
    }
}

#[derive(Deserialize)]
struct NodeList {
    nodes: Vec<NodeView>,
}

#[async_trait]
impl ClusterBackend for RemoteBackend {
    async fn nodes(&self) -> Result<Vec<NodeView>, BackendError> {
        let value = self.get_json("api/nodes", &[]).await?.ok_or_else(|| self.strange("it has no list of nodes"))?;
        let list: NodeList = self.read(value)?;
        Ok(list.nodes)
    }

    async fn drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, BackendError> {
        let body = within.map_or_else(|| json!({}), |within| json!({ "within_seconds": within.as_secs() }));
        Ok(self.order(Method::POST, &format!("api/nodes/{node}/drain"), &body).await?.is_some())
    }

    async fn undo_drain(&self, node: &NodeId) -> Result<bool, BackendError> {
        Ok(self.order(Method::DELETE, &format!("api/nodes/{node}/drain"), &json!({})).await?.is_some())
    }

    async fn pause(&self, reason: Option<String>) -> Result<QueueView, BackendError> {
        let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
        self.queue_order("api/queue/pause", &body).await
    }

    async fn resume(&self) -> Result<QueueView, BackendError> {
        self.queue_order("api/queue/resume", &json!({})).await
    }
}

impl RemoteBackend {
    async fn queue_order(&self, path: &str, body: &Value) -> Result<QueueView, BackendError> {
        let value = self.order(Method::POST, path, body).await?.ok_or_else(|| self.strange("it has no queue"))?;
        self.read(value)
    }

    pub(super) fn read<T: serde::de::DeserializeOwned>(&self, value: Value) -> Result<T, BackendError> {
        serde_json::from_value(value).map_err(|error| self.strange(format!("the response cannot be read: {error}")))
    }

    /// Sends a command. Returns `None` if its object does not exist.
    async fn order(&self, method: Method, path: &str, body: &Value) -> Result<Option<Value>, BackendError> {
        let response = self.send(method, path, body).await?;
        match response.status() {
            StatusCode::NOT_FOUND if is_json(&response) => Ok(None),
            status if status.is_success() => self.body(response).await.map(Some),
            status => Err(problem(status, response).await),
        }
    }
}
