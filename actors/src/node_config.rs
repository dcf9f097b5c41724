//! The configuration and the ports of a node. Both are set by the application and never change.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::live::SnapshotCache;
use crate::model::{NodeId, ScannerOffer};
use crate::policy::breaker::BreakerPolicy;
use crate::policy::clearance::ClearanceRule;
use crate::policy::deadline::Limits;
use crate::policy::lease::LeasePolicy;
use crate::policy::restart::{Intensity, RetryPolicy};
use crate::ports::{Clock, ControlBus, EventConsumer, JobQueue, LeaseGuard, LiveFeed, NodeHealth, ScanRunner, Stores};

/// The configuration of a node.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The node's id, new at each start.
    pub id: NodeId,
    /// The machine's name.
    pub host: String,
    /// The process id, set by the application.
    pub pid: u32,
    /// Kastrel's version.
    pub version: String,
    /// The number of slots: how many scans run at once, at least 1.
    pub capacity: usize,
    /// The durations of the node's lease.
    pub lease: LeasePolicy,
    /// How failed scans are retried.
    pub retry: RetryPolicy,
    /// The time limits of an attempt.
    pub limits: Limits,
    /// The interval of the reconciler. The nodes of a cluster take turns to reconcile all of it.
    pub rescue_every: Duration,
    /// The failures of its own actors that the node tolerates before it stops.
    pub actor_intensity: Intensity,
    /// The failed attempts that the node tolerates before it holds back a target or all scans, and
    /// the duration of a hold.
    pub breaker: BreakerPolicy,
    /// Whether scans wait while the node has a fault; otherwise they fail. A command that runs one
    /// scan and exits sets this to false, because nothing would repair the fault.
    pub waits_for_repair: bool,
    /// Whether a further attempt of a scan keeps the complete results of the earlier ones.
    pub resume: bool,
    /// The minimum time between two progress writes of one scan.
    pub progress_every: Duration,
    /// True if only one process can hold the store, so that every other node in it must be dead.
    pub sole_node: bool,
    /// Nodes of earlier runs that have no processes left. Their scans are taken over at once, even
    /// if their leases have not expired.
    pub previous: Vec<NodeId>,
    /// True if the node also runs scans that were pending before it started; false if it runs only
    /// scans that are signalled to it.
    pub adopts_waiting: bool,
    /// Whether an attempt starts only with both keys: the right of the submitter and the clearance
    /// of the target. A scan that an account submitted needs them in any case.
    pub clearance: ClearanceRule,
}

impl NodeConfig {
    /// Creates a configuration with the default values.
    #[must_use]
    pub fn new(id: NodeId, capacity: usize) -> Self {
        Self {
            id,
            host: "localhost".into(),
            pid: 0,
            version: env!("CARGO_PKG_VERSION").into(),
            capacity: capacity.max(1),
            lease: LeasePolicy::default(),
            retry: RetryPolicy::default(),
            limits: Limits::default(),
            rescue_every: Duration::from_secs(5),
            actor_intensity: Intensity { max: 5, within: Duration::from_secs(60) },
            breaker: BreakerPolicy {
                // All scans that run at once may have one target, and may fail at once.
                target: Intensity { max: 5.max(capacity), within: Duration::from_secs(60) },
                node: Intensity { max: 20.max(5 * capacity), within: Duration::from_secs(60) },
                pause: Duration::from_secs(15),
                longest: Duration::from_secs(300),
            },
            waits_for_repair: true,
            resume: true,
            progress_every: Duration::from_secs(1),
            sole_node: false,
            previous: Vec::new(),
            adopts_waiting: true,
            clearance: ClearanceRule::NotRequired,
        }
    }
}

/// The ports of a node.
#[derive(Clone)]
pub struct NodePorts {
    /// The store, the source of truth.
    pub store: Stores,
    /// The queue of wake-up signals.
    pub queue: Arc<dyn JobQueue>,
    /// Control messages from other nodes.
    pub bus: Arc<dyn ControlBus>,
    /// Snapshots for other processes.
    pub feed: Arc<dyn LiveFeed>,
    /// The guard that ends the node's scans if the node itself cannot.
    pub guard: Arc<dyn LeaseGuard>,
    /// The runner that starts attempts.
    pub runner: Arc<dyn ScanRunner>,
    /// The health check of what every scan needs.
    pub health: Arc<dyn NodeHealth>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The scanner's offer; `None` until the scanner has reported it.
    pub offer: watch::Receiver<Option<Arc<ScannerOffer>>>,
    /// The live state for display.
    pub snapshots: Arc<SnapshotCache>,
    /// The consumers of domain events.
    pub consumers: Vec<Arc<dyn EventConsumer>>,
}
