//! The context that all actors of a node share: its configuration and its ports, which never
//! change, and one handle for each thing that outlives a restart of an actor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::attempt_registry::AttemptRegistry;
use crate::model::{FencingToken, NodeFault, NodeRegistration, ScanId, ScanRecord, ScanState, ScannerKind};
use crate::node_config::{NodeConfig, NodePorts};
use crate::policy::infrastructure::Wellness;
use crate::ports::JobSignal;
use crate::snapshot_publisher::SnapshotPublisher;
use crate::start_gate::StartGate;
use crate::supervisor_address::SupervisorAddress;

/// The shared context. What changes has a type of its own: the start gate, the attempt registry,
/// the snapshot publisher and the address of the supervisor.
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) ports: NodePorts,
    pub(crate) started_at: Timestamp,
    /// Whether scans may start now.
    pub(crate) gate: StartGate,
    /// Publishes what the actors change.
    pub(crate) publisher: SnapshotPublisher,
    /// Changes when the node must renew its lease early to publish its state: its last scan has
    /// ended while it drains, or a hold has started or ended.
    pub(crate) news: watch::Sender<()>,
    /// True once this node has received a scan that its scanner cannot run, and others may.
    heterogeneous_cluster: AtomicBool,
    pub(crate) supervisor: SupervisorAddress,
    pub(crate) registry: AttemptRegistry,
}

impl Shared {
    pub(crate) fn new(config: NodeConfig, ports: NodePorts) -> Arc<Self> {
        let started_at = ports.clock.now();
        let gate = StartGate::new(config.lease, config.breaker, Arc::clone(&ports.guard));
        let publisher = SnapshotPublisher::new(Arc::clone(&ports.snapshots), Arc::clone(&ports.feed));
        Arc::new(Self {
            config,
            ports,
            started_at,
            gate,
            publisher,
            news: watch::Sender::new(()),
            heterogeneous_cluster: AtomicBool::new(false),
            supervisor: SupervisorAddress::default(),
            registry: AttemptRegistry::default(),
        })
    }

    /// Returns true if this node must read a scan before it leases it, because other nodes may have
    /// another scanner. That is always the case with the built-in scanner, which has few plugins,
    /// and for any node once it has received a scan that it cannot run. All other nodes lease
    /// without reading first, which saves one read for each start of a scan.
    pub(crate) fn must_check_capabilities(&self) -> bool {
        let is_small =
            || self.ports.offer.borrow().as_ref().is_some_and(|offer| offer.scanner.kind == ScannerKind::Builtin);
        !self.config.sole_node && (self.heterogeneous_cluster.load(Ordering::Relaxed) || is_small())
    }

    pub(crate) fn note_heterogeneous_cluster(&self) {
        self.heterogeneous_cluster.store(true, Ordering::Relaxed);
    }

    pub(crate) fn registration(&self) -> NodeRegistration {
        let running = self.registry.len();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        NodeRegistration {
            id: self.config.id.clone(),
            host: self.config.host.clone(),
            pid: self.config.pid,
            version: self.config.version.clone(),
            capacity: count(self.config.capacity),
            running: count(running),
            started_at: self.started_at,
            activity: self.gate.directives().activity(running),
            offer: self.ports.offer.borrow().as_deref().cloned(),
            actors: Some(self.ports.snapshots.status.infrastructure(self.ports.clock.now())),
            hold: self.gate.hold(self.ports.clock.now()),
        }
    }

    /// Publishes the current holds: in this process at once, and to other processes with an early
    /// renewal.
    pub(crate) fn show_hold(&self) {
        self.ports.snapshots.hold(&self.config.id, self.gate.hold(self.ports.clock.now()));
        self.news.send_replace(());
    }

    /// Records the result of a health check that began at `began`.
    pub(crate) fn found(&self, faults: Vec<NodeFault>, began: Instant) {
        self.change_health(|health| health.found(faults, began, Instant::now()));
    }

    /// Records a start that failed because of a fault of the node.
    pub(crate) fn suspect(&self, fault: NodeFault) {
        self.change_health(|health| health.suspect(fault, Instant::now()));
    }

    fn change_health(&self, change: impl FnOnce(&mut Wellness)) {
        let (before, after) = self.gate.change_health(change);
        log_health(before.as_deref(), after.as_deref());
        match &after {
            None => self.show("health", "well"),
            Some(faults) => self.show(
                "health",
                format!("held back: {}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
            ),
        }
        if before.is_some() || after.is_some() {
            self.show_hold();
        }
    }

    /// Publishes a committed row, and signals it if it is pending.
    pub(crate) async fn announce(&self, record: ScanRecord) {
        let signal = match &record.state {
            ScanState::Pending { due, .. } => {
                let signal = JobSignal {
                    id: record.id,
                    priority: record.request.options.priority,
                    due: *due,
                    trace: record.trace,
                };
                Some((signal, record.wait_after_last_change()))
            }
            _ => None,
        };
        let id = record.id;
        self.publisher.publish(record);
        if let Some((signal, wait)) = signal
            && let Err(error) = self.ports.queue.signal(signal, wait).await
        {
            tracing::warn!(
                scan.id = id.0,
                error = &error as &dyn std::error::Error,
                "could not signal a waiting scan; the reconciler will"
            );
        }
    }

    /// Removes an attempt that this node ran from its registry and from the own attempts of its
    /// snapshot cache.
    pub(crate) fn leave_registry(&self, id: ScanId, token: FencingToken) {
        self.registry.remove(id, token);
        self.ports.snapshots.disown(id, token);
        if self.gate.directives().drain.is_some() && self.registry.is_empty() {
            self.news.send_replace(());
        }
    }

    pub(crate) fn show(&self, actor: &'static str, state: impl Into<String>) {
        let state = state.into();
        self.ports.snapshots.status.actor(actor, self.ports.clock.now(), |view| view.state = state);
    }
}

/// Writes a change of the node's health to the log.
fn log_health(before: Option<&[NodeFault]>, after: Option<&[NodeFault]>) {
    match (before, after) {
        (before, Some(after)) if before != Some(after) => {
            for fault in after {
                warn!(fault.kind = %fault.kind, "no scan starts on this node: {fault}");
            }
        }
        (Some(_), None) => info!("this node is well again; scans start"),
        _ => {}
    }
}
