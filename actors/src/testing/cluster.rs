//! A small in-memory cluster: any number of nodes on one store, one queue and one bus, under paused
//! time.

use std::sync::Arc;
use std::time::Duration;

use crate::live::{Client, SnapshotCache};
use crate::model::{ScanId, ScanRecord, ScanRequestDraft, ScanStatus};
use crate::node::{self, NodeHandle};
use crate::node_config::{NodeConfig, NodePorts};
use crate::policy::admission::QueueLimits;
use crate::policy::clearance::ClearanceRule;
use crate::policy::scope::ScopePolicy;
use crate::ports::{Clock, JobQueue, LocalControlBus, LocalJobQueue, NoLeaseGuard, ScanRepository, Stores};
use crate::relay::OutcomeCounter;
use crate::service::{Consistency, ScanService, ServicePorts, Services};

use super::{FeedHub, MemoryStore, PausedClock, ScriptedHealth, ScriptedRunner, TestSealer, fixtures};

/// An in-memory cluster. Every test verifies its history at the end with [`Cluster::check`].
pub struct Cluster {
    /// The store, without faults.
    pub store: Arc<MemoryStore>,
    /// The runner that all nodes share.
    pub runner: ScriptedRunner,
    /// The health check that all nodes share.
    pub health: Arc<ScriptedHealth>,
    /// The services of the process that receives the submissions.
    pub services: Services,
    /// Its scan service.
    pub service: ScanService,
    /// Its snapshot cache.
    pub snapshots: Arc<SnapshotCache>,
    service_ports: ServicePorts,
    queue: Arc<LocalJobQueue>,
    bus: Arc<LocalControlBus>,
    hub: FeedHub,
    clock: Arc<PausedClock>,
}

impl Cluster {
    /// Creates a cluster without nodes.
    #[must_use]
    pub fn new(runner: ScriptedRunner) -> Self {
        let clock = Arc::new(PausedClock::default());
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let queue = Arc::new(LocalJobQueue::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let bus = Arc::new(LocalControlBus::default());
        let hub = FeedHub::default();
        let service_ports = ServicePorts {
            store: Stores::of(&store),
            queue: Arc::clone(&queue) as _,
            bus: Arc::clone(&bus) as _,
            feed: hub.member(),
            consistency: Consistency::SingleWriter,
            snapshots: Arc::new(SnapshotCache::default()),
            clock: Arc::clone(&clock) as _,
            scope: Arc::new(ScopePolicy::default()),
            overrides: Arc::default(),
            sealer: Arc::new(TestSealer),
            limits: QueueLimits::NONE,
            drain_limit: Duration::from_secs(600),
            clearance: ClearanceRule::NotRequired,
        };
        let (services, snapshots) = (Services::new(service_ports.clone()), Arc::clone(&service_ports.snapshots));
        let service = services.scans.clone();
        Self {
            store,
            runner,
            health: Arc::default(),
            services,
            service,
            snapshots,
            service_ports,
            queue,
            bus,
            hub,
            clock,
        }
    }

    /// Returns a node's ports. The node shares the scan service's snapshot cache, as in one
    /// process.
    #[must_use]
    pub fn ports(&self) -> NodePorts {
        NodePorts {
            store: Stores::of(&self.store),
            queue: Arc::clone(&self.queue) as _,
            bus: Arc::clone(&self.bus) as _,
            feed: Arc::clone(&self.service_ports.feed),
            guard: Arc::new(NoLeaseGuard),
            offer: tokio::sync::watch::channel(None).1,
            runner: Arc::new(self.runner.clone()),
            health: Arc::clone(&self.health) as _,
            clock: Arc::clone(&self.clock) as _,
            snapshots: Arc::clone(&self.snapshots),
            consumers: vec![Arc::new(OutcomeCounter::new(Arc::<MemoryStore>::clone(&self.store)))],
        }
    }

    /// Returns the ports of a node in a process of its own, with its own snapshot cache.
    #[must_use]
    pub fn ports_elsewhere(&self) -> NodePorts {
        NodePorts { snapshots: Arc::new(SnapshotCache::default()), feed: self.hub.member(), ..self.ports() }
    }

    /// Returns the ports of a node in a process that has just started: its queue has no signals,
    /// and its snapshot cache is empty.
    #[must_use]
    pub fn ports_after_restart(&self) -> NodePorts {
        NodePorts {
            queue: Arc::new(LocalJobQueue::new(Arc::clone(&self.clock) as Arc<dyn Clock>)),
            ..self.ports_elsewhere()
        }
    }

    /// Returns the ports of the services of the process that receives the submissions.
    #[must_use]
    pub fn service_ports(&self) -> ServicePorts {
        self.service_ports.clone()
    }

    /// Returns the ports of the services of a process of its own that runs no scans.
    #[must_use]
    pub fn service_ports_elsewhere(&self) -> ServicePorts {
        ServicePorts {
            snapshots: Arc::new(SnapshotCache::default()),
            feed: self.hub.member(),
            consistency: Consistency::MultiWriter,
            ..self.service_ports()
        }
    }

    /// Returns the services of a process of its own that runs no scans.
    #[must_use]
    pub fn services_elsewhere(&self) -> Services {
        Services::new(self.service_ports_elsewhere())
    }

    /// Returns a job queue port that is the cluster's queue.
    #[must_use]
    pub fn queue(&self) -> Arc<dyn JobQueue> {
        Arc::clone(&self.queue) as _
    }

    /// Returns the time of the cluster's clock.
    #[must_use]
    pub fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Returns the hub that connects the processes.
    #[must_use]
    pub const fn hub(&self) -> &FeedHub {
        &self.hub
    }

    /// Starts a node with the default configuration.
    pub async fn node(&self, name: &str, capacity: usize) -> NodeHandle {
        self.start(NodeConfig::new(name.parse().unwrap(), capacity)).await
    }

    /// Starts a node.
    pub async fn start(&self, config: NodeConfig) -> NodeHandle {
        node::start(config, self.ports()).await.unwrap()
    }

    /// Submits a scan.
    pub async fn submit(&self) -> ScanId {
        self.submit_to("example.com").await
    }

    /// Submits a scan of this target.
    pub async fn submit_to(&self, target: &str) -> ScanId {
        let draft = ScanRequestDraft { target: target.into(), ..ScanRequestDraft::default() };
        self.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap().scan.record.id
    }

    /// Returns a scan's row.
    pub async fn row(&self, id: ScanId) -> ScanRecord {
        self.store.get(id).await.unwrap().unwrap()
    }

    /// Waits until a scan's row matches. Under paused time the wait is free; a row that never
    /// matches fails the test after a simulated day.
    pub async fn until(&self, id: ScanId, wanted: impl Fn(&ScanRecord) -> bool) -> ScanRecord {
        let wait = async {
            loop {
                let changed = self.store.changed();
                let row = self.row(id).await;
                if wanted(&row) {
                    return row;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(86_400), wait).await {
            Ok(row) => row,
            Err(_) => panic!("scan {id} never got there: {:#?}", self.row(id).await),
        }
    }

    /// Waits until a scan is in this state.
    pub async fn until_status(&self, id: ScanId, status: ScanStatus) -> ScanRecord {
        self.until(id, |row| row.status() == status).await
    }

    /// Verifies that the complete history keeps the promises.
    ///
    /// # Panics
    /// A promise was broken.
    pub fn check(&self) {
        let history = self.store.history();
        let mut last = std::collections::BTreeMap::<ScanId, ScanRecord>::new();
        for row in history {
            if let Some(before) = last.get(&row.id) {
                let has_ended = before.status().is_terminal();
                assert!(!has_ended || before.state == row.state, "an ended scan changed: {before:#?} {row:#?}");
                assert!(row.token >= before.token, "the token shrank: {before:#?} {row:#?}");
                assert_eq!(row.version, before.version + 1, "a version was skipped");
            }
            last.insert(row.id, row);
        }
        let runs = self.runner.runs();
        for (index, run) in runs.iter().enumerate() {
            for other in runs[index + 1..].iter().filter(|other| other.scan == run.scan) {
                assert!(other.token > run.token, "two runs under one token: {run:?} {other:?}");
                assert!(
                    run.to.is_some_and(|end| end <= other.from),
                    "two processes of one scan at once: {run:?} {other:?}"
                );
            }
        }
    }
}
