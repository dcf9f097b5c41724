//! The context that all actors of a node share: its configuration, its ports, and the few values
//! that they publish to each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use ractor::ActorRef;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::attempt_registry::AttemptRegistry;
use crate::live::SnapshotCache;
use crate::messages::supervisor::Message as SupervisorMessage;
use crate::model::{
    FaultKind, FencingToken, HeldBack, NodeFault, NodeHold, NodeId, NodeRegistration, ScanId, ScanRecord, ScanSnapshot,
    ScanState, ScannerKind, ScannerOffer, TargetHold,
};
use crate::policy::breaker::{Breaker, BreakerPolicy};
use crate::policy::deadline::Limits;
use crate::policy::directives::NodeDirectives;
use crate::policy::infrastructure::Wellness;
use crate::policy::lease::{LeasePolicy, trusted_until};
use crate::policy::restart::{Intensity, RetryPolicy};
use crate::ports::{
    Clock, ControlBus, FOLLOWED_FOR, JobQueue, JobSignal, LeaseGuard, LiveFeed, NodeHealth, ScanRunner, Stores,
};

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
            progress_every: Duration::from_secs(1),
            sole_node: false,
            previous: Vec::new(),
            adopts_waiting: true,
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
}

/// The maximum number of held-back targets in a node's registration.
const MOST_TARGETS: usize = 50;

/// The state of the node's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseState {
    /// The node has no lease.
    None,
    /// The node has a lease.
    Trusted {
        /// When the request of the renewal that granted it was sent.
        sent: Instant,
        /// The time until which the node may rely on the lease.
        until: Instant,
        /// The same time, by the clock of the lease guard.
        guard_until: Duration,
    },
}

impl LeaseState {
    /// Returns true if the lease is valid at `now`, which is `guard_now` by the guard's clock.
    ///
    /// The lease must be valid by both clocks. This program's clock stands still while the machine
    /// sleeps; the clocks of the guard and the database do not. After a sleep the guard kills scans
    /// that this program still considers valid, and such a kill must not count as a failure of the
    /// scan.
    #[must_use]
    pub(crate) fn is_good(self, now: Instant, guard_now: Duration) -> bool {
        matches!(self, Self::Trusted { until, guard_until, .. } if now < until && guard_now < guard_until)
    }
}

/// The shared context.
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) ports: NodePorts,
    pub(crate) started_at: Timestamp,
    pub(crate) lease: watch::Sender<LeaseState>,
    /// The node's health. No scan starts while there is a fault.
    pub(crate) health: watch::Sender<Wellness>,
    /// The failed attempts, and the holds that they cause.
    pub(crate) breaker: watch::Sender<Breaker>,
    /// The operators' directives, as the last renewal returned them.
    pub(crate) directives: watch::Sender<NodeDirectives>,
    /// Changes when the node must renew its lease early to publish its state: its last scan has
    /// ended while it drains, or a hold has started or ended.
    pub(crate) news: watch::Sender<()>,
    /// True once this node has received a scan that its scanner cannot run, and others may.
    heterogeneous_cluster: AtomicBool,
    /// The scans that a client of another process watches, and until when.
    followed: Mutex<HashMap<ScanId, Instant>>,
    /// The current supervisor; a restart replaces it.
    pub(crate) supervisor: watch::Sender<Option<ActorRef<SupervisorMessage>>>,
    pub(crate) registry: AttemptRegistry,
}

impl Shared {
    pub(crate) fn new(config: NodeConfig, ports: NodePorts) -> Arc<Self> {
        let started_at = ports.clock.now();
        let breaker = Breaker::new(config.breaker);
        Arc::new(Self {
            config,
            ports,
            started_at,
            lease: watch::Sender::new(LeaseState::None),
            health: watch::Sender::new(Wellness::default()),
            breaker: watch::Sender::new(breaker),
            directives: watch::Sender::new(NodeDirectives::default()),
            news: watch::Sender::new(()),
            heterogeneous_cluster: AtomicBool::new(false),
            followed: Mutex::default(),
            supervisor: watch::Sender::new(None),
            registry: AttemptRegistry::default(),
        })
    }

    /// Stores a granted renewal. Its request was sent at `sent`; `guard_sent` is the same time or
    /// an earlier one, by the guard's clock.
    pub(crate) fn trust_lease(&self, sent: Instant, guard_sent: Duration) {
        let until = trusted_until(self.config.lease, sent);
        // Update the guard before a scan can start under this lease, so that the guard covers every
        // scan.
        let guard_until = guard_sent + self.config.lease.trusted_for();
        self.ports.guard.trust_until(guard_until);
        self.lease.send_replace(LeaseState::Trusted { sent, until, guard_until });
    }

    /// Returns true if the node holds a lease that is valid now.
    pub(crate) fn lease_is_good(&self) -> bool {
        self.lease.borrow().is_good(Instant::now(), self.ports.guard.now())
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
            activity: self.directives.borrow().activity(running),
            offer: self.ports.offer.borrow().as_deref().cloned(),
            actors: Some(self.ports.snapshots.infrastructure(self.ports.clock.now())),
            hold: self.hold(),
        }
    }

    /// Returns what the node currently does not start.
    pub(crate) fn hold(&self) -> NodeHold {
        let (now, clock) = (Instant::now(), self.ports.clock.now());
        let moment = |at: Instant| match at.checked_duration_since(now) {
            Some(ahead) => clock.checked_add(ahead).unwrap_or(clock),
            None => clock.checked_sub(now.duration_since(at)).unwrap_or(clock),
        };
        let held = |since: Instant, until: Instant, faults: Vec<NodeFault>| HeldBack {
            since: moment(since),
            until: moment(until),
            faults,
        };
        let failing = |text: String| {
            NodeFault::new(
                FaultKind::Failures,
                text,
                "see the failed attempts for the cause; scans start again automatically",
            )
        };
        let missing = self.health.borrow().missing().map(|(faults, since, until)| held(since, until, faults.to_vec()));
        let breaker = self.breaker.borrow();
        let storm = || {
            breaker.node_held(now).map(|(since, until)| {
                held(since, until, vec![failing("too many attempts of several targets failed".into())])
            })
        };
        let targets = breaker.targets_held(now).take(MOST_TARGETS).map(|(target, since, until)| TargetHold {
            target: target.to_owned(),
            held: held(since, until, vec![failing(format!("too many attempts of {target} failed"))]),
        });
        NodeHold { node: missing.or_else(storm), targets: targets.collect() }
    }

    /// Publishes the current holds: in this process at once, and to other processes with an early
    /// renewal.
    pub(crate) fn show_hold(&self) {
        self.ports.snapshots.hold(&self.config.id, self.hold());
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

    /// Records that a scan has started, which shows that the node is well.
    pub(crate) fn has_started(&self) {
        self.health.send_if_modified(|health| {
            let modified = health.has_waited() && health.is_well();
            if modified {
                health.started();
            }
            modified
        });
    }

    fn change_health(&self, change: impl FnOnce(&mut Wellness)) {
        let (mut before, mut after) = (None, None);
        self.health.send_modify(|health| {
            before = health.missing().map(|(faults, ..)| faults.to_vec());
            change(health);
            after = health.missing().map(|(faults, ..)| faults.to_vec());
        });
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

    /// Sends to the current supervisor; returns the message if there is no supervisor.
    pub(crate) fn tell_supervisor(&self, message: SupervisorMessage) -> Result<(), Box<SupervisorMessage>> {
        let supervisor = self.supervisor.borrow().clone();
        match supervisor {
            None => Err(Box::new(message)),
            Some(actor) => actor.cast(message).map_err(|error| match error {
                ractor::MessagingErr::SendErr(message) => Box::new(message),
                // A cast to a local actor returns no other error, so there is no message to return.
                _ => Box::new(SupervisorMessage::Settle),
            }),
        }
    }

    /// Publishes a committed row, and signals it if it is pending.
    pub(crate) async fn announce(&self, record: ScanRecord) {
        let signal = match &record.state {
            ScanState::Pending { due, .. } => {
                let signal =
                    JobSignal { id: record.id, priority: record.request.priority, due: *due, trace: record.trace };
                Some((signal, record.wait_after_last_change()))
            }
            _ => None,
        };
        let id = record.id;
        self.publish(record);
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
        if self.directives.borrow().drain.is_some() && self.registry.is_empty() {
            self.news.send_replace(());
        }
    }

    /// Publishes the row of an attempt that this node runs from now on, here and to other
    /// processes.
    pub(crate) fn publish_own(&self, record: ScanRecord) {
        self.ports.snapshots.publish_own(record.clone());
        self.publish(record);
    }

    /// Publishes a committed row, here and to other processes.
    pub(crate) fn publish(&self, record: ScanRecord) {
        let id = record.id;
        self.ports.snapshots.publish(record);
        if let Some(snapshot) = self.ports.snapshots.get(id) {
            self.ports.feed.publish(ScanSnapshot::clone(&snapshot));
        }
    }

    /// Marks a scan as watched by another process: publishes its current state, and for a while the
    /// events of its attempt.
    pub(crate) fn follow(&self, id: ScanId) {
        let now = Instant::now();
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|_, until| *until > now);
        followed.insert(id, now + FOLLOWED_FOR);
        drop(followed);
        self.tell_followers(id);
    }

    /// Publishes the scan's snapshot, if another process watches it.
    pub(crate) fn tell_followers(&self, id: ScanId) {
        let is_followed = self
            .followed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .is_some_and(|until| *until > Instant::now());
        if is_followed && let Some(snapshot) = self.ports.snapshots.get(id) {
            self.ports.feed.publish(ScanSnapshot::clone(&snapshot));
        }
    }

    pub(crate) fn show(&self, actor: &'static str, state: impl Into<String>) {
        let state = state.into();
        self.ports.snapshots.actor(actor, self.ports.clock.now(), |view| view.state = state);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_is_valid_only_while_both_clocks_agree() {
        let sent = Instant::now();
        let (until, guard_until) = (sent + Duration::from_secs(22), Duration::from_secs(122));
        let lease = LeaseState::Trusted { sent, until, guard_until };
        for (now, guard_now, good) in
            [(0, 100, true), (21, 121, true), (22, 122, false), (22, 121, false), (5, 122, false), (5, 9_999, false)]
        {
            assert_eq!(
                lease.is_good(sent + Duration::from_secs(now), Duration::from_secs(guard_now)),
                good,
                "{now} {guard_now}"
            );
            assert!(!LeaseState::None.is_good(sent + Duration::from_secs(now), Duration::from_secs(guard_now)));
        }
    }
}
