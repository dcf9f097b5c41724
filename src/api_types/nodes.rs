//! The nodes and their actors.

use jiff::Timestamp;
use kastrel_actors::model::{ActorView, HeldBack, NodeActivity, NodeRecord, ScannerInfo};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::moment::Moment;
use super::reading::lenient;

/// The nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeList {
    /// The nodes, ordered by id.
    pub nodes: Vec<NodeBody>,
    /// The number of slots of all nodes together.
    #[serde(default)]
    #[schema(required = true)]
    pub capacity: u64,
    /// How many scans run, as the nodes last reported.
    #[serde(default)]
    #[schema(required = true)]
    pub running: u64,
}

impl NodeList {
    /// Shows the nodes at the time `now`. The sums are those of the living nodes.
    #[must_use]
    pub fn of(nodes: &[NodeRecord], now: Timestamp) -> Self {
        let sum = |count: fn(&NodeRecord) -> u32| {
            nodes.iter().filter(|node| node.is_alive).map(|node| u64::from(count(node))).sum()
        };
        Self {
            capacity: sum(|node| node.registration.capacity),
            running: sum(|node| node.registration.running),
            nodes: nodes.iter().map(|node| NodeBody::of(node, now)).collect(),
        }
    }
}

/// A process that runs scans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Node)]
pub struct NodeBody {
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
    /// How many scans run on the node, as it last reported.
    pub running: u32,
    /// When the node started.
    pub started_at: Moment,
    /// How long the node has been running, in seconds.
    #[serde(default)]
    #[schema(required = true)]
    pub uptime_seconds: u64,
    /// When the node's lease expires unless the node renews it, by the database's clock.
    #[serde(default, deserialize_with = "lenient")]
    #[schema(value_type = Moment, required = true)]
    pub lease_expires_at: Option<Moment>,
    /// True while the lease has not expired. A node with an expired lease is lost, and other nodes
    /// take over its scans.
    pub alive: bool,
    /// Whether the node takes new scans.
    pub activity: NodeActivity,
    /// When a draining node hands back the scans that still run; null if the node does not drain.
    #[serde(default)]
    pub drain_by: Option<Moment>,
    /// Why the node starts no scan; null if it starts scans.
    #[serde(default)]
    pub held_back: Option<HeldBody>,
    /// The scanner of the node, once known.
    #[serde(default)]
    pub scanner: Option<ScannerInfo>,
    /// The node's actors as it last reported them, without those of single scans.
    #[serde(default, deserialize_with = "lenient")]
    pub actors: Option<ActorBody>,
}

impl NodeBody {
    /// Shows a node at the time `now`.
    #[must_use]
    pub fn of(node: &NodeRecord, now: Timestamp) -> Self {
        let said = &node.registration;
        Self {
            id: said.id.to_string(),
            host: said.host.clone(),
            pid: said.pid,
            version: said.version.clone(),
            capacity: said.capacity,
            running: said.running,
            started_at: Moment::of(said.started_at),
            uptime_seconds: u64::try_from(now.duration_since(said.started_at).as_secs()).unwrap_or_default(),
            lease_expires_at: Some(Moment::of(node.expires_at)),
            alive: node.is_alive,
            activity: node.activity(),
            drain_by: node.drain_by.map(Moment::of),
            held_back: said.hold.node.as_ref().map(Into::into),
            scanner: said.offer.as_ref().map(|offer| offer.scanner.clone()),
            actors: said.actors.clone().map(Into::into),
        }
    }
}

/// How long a draining node may finish its running scans.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainBody {
    /// The time limit in seconds. Scans that still run at its end are handed back and start on
    /// another node, which costs no attempt. Default: `scans.drain_limit_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_592_000)]
    pub within_seconds: Option<u64>,
}

/// A hold: the node starts no scans for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = HeldBack)]
pub struct HeldBody {
    /// When the hold began.
    pub since: Moment,
    /// The next check, or the end of the hold if known.
    pub until: Moment,
    /// What is missing.
    pub faults: Vec<FaultBody>,
}

/// A fault: something that a node lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = NodeFault)]
pub struct FaultBody {
    /// `scanner_program`, `results_folder`, `data_folder`, `open_files`, `memory` or `failures`.
    pub kind: String,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

impl From<&HeldBack> for HeldBody {
    fn from(held: &HeldBack) -> Self {
        let faults = held
            .faults
            .iter()
            .map(|fault| FaultBody {
                kind: fault.kind.to_string(),
                text: fault.text.clone(),
                remedy: fault.remedy.clone(),
            })
            .collect();
        Self { since: Moment::of(held.since), until: Moment::of(held.until), faults }
    }
}

/// An actor of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorBody {
    /// The name of the actor.
    pub name: String,
    /// The state of the actor.
    pub state: String,
    /// The time since which it is in this state.
    pub since: Moment,
    /// How often the supervisor restarted the actor.
    pub restarts: u32,
    /// The last failure of the actor.
    pub last_failure: Option<ActorFailureBody>,
    /// The children of the actor.
    #[schema(no_recursion)]
    pub children: Vec<ActorBody>,
}

/// The last failure of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ActorFailure)]
pub struct ActorFailureBody {
    /// The time of the failure.
    pub at: Moment,
    /// The reason of the failure.
    pub reason: String,
}

impl From<ActorView> for ActorBody {
    fn from(view: ActorView) -> Self {
        Self {
            name: view.name,
            state: view.state,
            since: Moment::of(view.since),
            restarts: view.restarts,
            last_failure: view
                .last_failure
                .map(|failure| ActorFailureBody { at: Moment::of(failure.at), reason: failure.reason }),
            children: view.children.into_iter().map(Into::into).collect(),
        }
    }
}
