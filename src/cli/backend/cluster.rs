//! The nodes and the queue, as the commands show them. Their JSON is the API's.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{HeldBack, NodeActivity, NodeFault, NodeId, NodeRecord, ScannerInfo};
use kastrel_actors::scan_service::ScanService;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{BackendError, LocalBackend, RemoteBackend};

/// A process that runs scans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its identity.
    pub id: String,
    /// The machine's name.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Kastrel's version.
    pub version: String,
    /// How many scans it runs at once.
    pub capacity: u32,
    /// How many run now.
    pub running: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// Whether its lease is good.
    pub alive: bool,
    /// Whether it takes new scans.
    pub activity: NodeActivity,
    /// When what still runs is handed back, if it was told to drain.
    #[serde(default)]
    pub drain_by: Option<Timestamp>,
    /// Why it starts no scan, where that is so.
    #[serde(default)]
    pub held_back: Option<HeldView>,
    /// Which scanner it has.
    #[serde(default)]
    pub scanner: Option<ScannerInfo>,
}

/// Why a node starts no scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    /// Since when.
    pub since: Timestamp,
    /// The next check, or the end of the hold where that is known.
    pub until: Timestamp,
    /// What is missing.
    pub faults: Vec<FaultView>,
}

/// Something that a node lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// What is affected.
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

/// What waits, and whether it may start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// While it is, no scan starts.
    pub paused: bool,
    /// Since when.
    #[serde(default)]
    pub paused_since: Option<Timestamp>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// How many scans wait.
    pub waiting: u64,
    /// What keeps every scan from starting, the weightiest first.
    #[serde(default)]
    pub blockers: Vec<BlockerView>,
}

/// What keeps every scan from starting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockerView {
    /// `paused`, `queue_down`, `no_worker` or `held_back`.
    pub reason: String,
    /// In sentences.
    pub text: String,
}

/// The nodes and the queue of one side.
#[async_trait]
pub trait ClusterBackend: Send + Sync {
    /// All nodes, by id.
    async fn nodes(&self) -> Result<Vec<NodeView>, BackendError>;

    /// Tells a node to drain within a time, or (`None`) as the configuration says. `false`: no such
    /// node.
    async fn drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, BackendError>;

    /// Takes the order back. `false`: no such node.
    async fn undo_drain(&self, node: &NodeId) -> Result<bool, BackendError>;

    /// Pauses the whole queue.
    async fn pause(&self, reason: Option<String>) -> Result<QueueView, BackendError>;

    /// Takes the pause back.
    async fn resume(&self) -> Result<QueueView, BackendError>;
}

async fn queue(service: &ScanService) -> Result<QueueView, BackendError> {
    let (pause, stats) = (service.store.paused().await?, service.stats().await?);
    Ok(QueueView {
        paused: pause.is_some(),
        paused_since: pause.as_ref().map(|pause| pause.since),
        reason: pause.and_then(|pause| pause.reason),
        waiting: stats.pending,
        blockers: service
            .start_blockers()
            .await
            .iter()
            .map(|blocker| BlockerView { reason: blocker.name().into(), text: blocker.to_string() })
            .collect(),
    })
}

#[async_trait]
impl ClusterBackend for LocalBackend {
    async fn nodes(&self) -> Result<Vec<NodeView>, BackendError> {
        let mut nodes: Vec<NodeView> = self.service.store.nodes().await?.into_iter().map(NodeView::of).collect();
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(nodes)
    }

    async fn drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, BackendError> {
        Ok(self.service.drain(node, Some(within.unwrap_or(self.drain_limit))).await?)
    }

    async fn undo_drain(&self, node: &NodeId) -> Result<bool, BackendError> {
        Ok(self.service.drain(node, None).await?)
    }

    async fn pause(&self, reason: Option<String>) -> Result<QueueView, BackendError> {
        self.service.pause(reason).await?;
        queue(&self.service).await
    }

    async fn resume(&self) -> Result<QueueView, BackendError> {
        self.service.resume().await?;
        queue(&self.service).await
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

    fn read<T: serde::de::DeserializeOwned>(&self, value: Value) -> Result<T, BackendError> {
        serde_json::from_value(value).map_err(|error| self.strange(format!("the response cannot be read: {error}")))
    }

    /// Sends an order. `None`: what it is for does not exist.
    async fn order(&self, method: Method, path: &str, body: &Value) -> Result<Option<Value>, BackendError> {
        let response = self.send(method, path, body).await?;
        match response.status() {
            StatusCode::NOT_FOUND if super::remote::is_json(&response) => Ok(None),
            status if status.is_success() => self.body(response).await.map(Some),
            status => Err(super::remote::problem(status, response).await),
        }
    }
}
