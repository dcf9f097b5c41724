//! What all actors of a node share: its configuration, its ports, and the few values that they
//! publish to each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use ractor::ActorRef;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::{
    AttemptNumber, FaultKind, FencingToken, HeldBack, NodeFault, NodeHold, NodeId, NodeRegistration, ScanId,
    ScanRecord, ScanSnapshot, ScanState, ScannerKind, ScannerOffer, TargetHold,
};
use crate::policy::breaker::{Breaker, BreakerPolicy};
use crate::policy::deadline::Limits;
use crate::policy::directives::NodeDirectives;
use crate::policy::infrastructure::Wellness;
use crate::policy::lease::{LeasePolicy, trusted_until};
use crate::policy::restart::{Intensity, RetryPolicy};
use crate::ports::{
    AliveWatch, Clock, ControlBus, FOLLOWED_FOR, JobQueue, JobSignal, LeaseGuard, LiveFeed, NodeHealth, ScanRunner,
    ScanStore,
};
use crate::snapshot_cache::SnapshotCache;
use crate::supervisor;

/// The numbers of a node.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// The node's identity, new at each start.
    pub id: NodeId,
    /// The machine's name.
    pub host: String,
    /// The process id; the application knows it.
    pub pid: u32,
    /// Kastrel's version.
    pub version: String,
    /// How many scans run at once, at least 1.
    pub capacity: usize,
    /// The node's lease.
    pub lease: LeasePolicy,
    /// How failed scans are tried again.
    pub retry: RetryPolicy,
    /// An attempt's limits.
    pub limits: Limits,
    /// How often the reconciler looks around; the nodes of a cluster take turns in looking at all
    /// of it.
    pub rescue_every: Duration,
    /// How many failures of its own actors the node bears before it gives up.
    pub actor_intensity: Intensity,
    /// How many failed attempts of a target, and of several, the node bears before it holds new
    /// ones back, and for how long.
    pub breaker: BreakerPolicy,
    /// Whether scans wait while the node lacks something that every scan needs; else they fail. A
    /// command that runs one scan and ends has nobody who would repair it.
    pub waits_for_repair: bool,
    /// The shortest time between two progress writes of one scan.
    pub progress_every: Duration,
    /// Whether the store can be held by one process only, so that every other node in it must be
    /// dead.
    pub sole_node: bool,
    /// Nodes of earlier runs of which nothing is left: their scans are taken over at once, whatever
    /// their leases say.
    pub previous: Vec<NodeId>,
    /// Whether the node also runs scans that were waiting before it started, or only those that are
    /// signalled to it.
    pub adopts_waiting: bool,
}

impl NodeConfig {
    /// A node with the default numbers.
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
                // All scans that run at once may be of one target, and fail at once.
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

/// The outside world, as a node gets it.
#[derive(Clone)]
pub struct NodePorts {
    /// The truth.
    pub store: Arc<dyn ScanStore>,
    /// Wake-up signals.
    pub queue: Arc<dyn JobQueue>,
    /// Messages from other nodes.
    pub bus: Arc<dyn ControlBus>,
    /// News for other processes.
    pub feed: Arc<dyn LiveFeed>,
    /// Ends the scans of a node that cannot do so itself.
    pub guard: Arc<dyn LeaseGuard>,
    /// Starts attempts.
    pub runner: Arc<dyn ScanRunner>,
    /// Checks what every scan needs.
    pub health: Arc<dyn NodeHealth>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// What the scanner offers; `None` until it has told.
    pub offer: watch::Receiver<Option<Arc<ScannerOffer>>>,
    /// What is shown.
    pub snapshots: Arc<SnapshotCache>,
}

/// How many targets a node says that it holds back.
const MOST_TARGETS: usize = 50;

/// Whether the node's lease can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseState {
    /// No lease yet, or none any more.
    None,
    /// Good.
    Trusted {
        /// When the renewal that granted it was sent.
        sent: Instant,
        /// Until when it can be trusted.
        until: Instant,
        /// The same moment, by the clock of the node's guard.
        guard_until: Duration,
    },
}

impl LeaseState {
    /// Whether the lease is good at `now`, which is `guard_now` by the guard's clock.
    ///
    /// Both clocks must say so: this program's stands still while the machine sleeps, the guard's
    /// and the database's do not. So after a sleep the guard kills what this program still believes
    /// in, and what it kills must not count as a failure of the scan.
    #[must_use]
    pub(crate) fn is_good(self, now: Instant, guard_now: Duration) -> bool {
        matches!(self, Self::Trusted { until, guard_until, .. } if now < until && guard_now < guard_until)
    }
}

/// An attempt that this node has leased, and the proof that its processes are gone.
#[derive(Debug, Clone)]
pub(crate) struct RegistryEntry {
    pub(crate) token: FencingToken,
    pub(crate) attempt: AttemptNumber,
    pub(crate) failures: u32,
    pub(crate) alive_watch: Arc<AliveWatch>,
}

/// Everything that this node has leased. It outlives the supervisor, so that a new one can clean up
/// after the old.
#[derive(Debug, Default)]
pub(crate) struct AttemptRegistry(Mutex<HashMap<ScanId, RegistryEntry>>);

impl AttemptRegistry {
    pub(crate) fn entries(&self) -> MutexGuard<'_, HashMap<ScanId, RegistryEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remove(&self, id: ScanId, token: FencingToken) {
        let mut entries = self.entries();
        if entries.get(&id).is_some_and(|entry| entry.token == token) {
            entries.remove(&id);
        }
    }

    pub(crate) fn holds(&self, id: ScanId, token: FencingToken) -> bool {
        self.entries().get(&id).is_some_and(|entry| entry.token == token)
    }
}

/// See the module.
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) ports: NodePorts,
    pub(crate) started_at: Timestamp,
    pub(crate) lease: watch::Sender<LeaseState>,
    /// What is known of the node's health. Nothing starts while something is missing.
    pub(crate) health: watch::Sender<Wellness>,
    /// Failed attempts, and what they hold back.
    pub(crate) breaker: watch::Sender<Breaker>,
    /// What operators have ordered, as the last renewal told.
    pub(crate) directives: watch::Sender<NodeDirectives>,
    /// Changes when the node has news of itself that must not wait for the next renewal in turn:
    /// its last scan is gone while it drains, or it holds scans back, or no longer.
    pub(crate) news: watch::Sender<()>,
    /// This node has met a scan that its scanner cannot run, and others may.
    heterogeneous_cluster: AtomicBool,
    /// Scans that somebody watches elsewhere, and until when.
    followed: Mutex<HashMap<ScanId, Instant>>,
    /// The supervisor of the moment; its restart puts another one here.
    pub(crate) supervisor: watch::Sender<Option<ActorRef<supervisor::Message>>>,
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

    /// The renewal that was sent at `sent` was granted; `guard_sent` is the same moment, or one
    /// before it, by the guard's clock.
    pub(crate) fn trust_lease(&self, sent: Instant, guard_sent: Duration) {
        let until = trusted_until(self.config.lease, sent);
        // Before anything can start under this lease: who starts later is covered by what the guard
        // has been told.
        let guard_until = guard_sent + self.config.lease.trusted_for();
        self.ports.guard.trust_until(guard_until);
        self.lease.send_replace(LeaseState::Trusted { sent, until, guard_until });
    }

    /// Whether the node holds a lease that is good now.
    pub(crate) fn lease_is_good(&self) -> bool {
        self.lease.borrow().is_good(Instant::now(), self.ports.guard.now())
    }

    /// Whether this node must look at a scan before it leases it, because others may have another
    /// scanner: one with the built-in scanner, which has few plugins, always, and any node once it
    /// has met a scan that it cannot run. For all others the lease itself is the first look, which
    /// saves every start of a scan a read.
    pub(crate) fn must_check_capabilities(&self) -> bool {
        let is_small =
            || self.ports.offer.borrow().as_ref().is_some_and(|offer| offer.scanner.kind == ScannerKind::Builtin);
        !self.config.sole_node && (self.heterogeneous_cluster.load(Ordering::Relaxed) || is_small())
    }

    pub(crate) fn note_heterogeneous_cluster(&self) {
        self.heterogeneous_cluster.store(true, Ordering::Relaxed);
    }

    pub(crate) fn registration(&self) -> NodeRegistration {
        let running = self.registry.entries().len();
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

    /// What the node does not start now.
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

    /// Shows what the node does not start now, here at once and elsewhere with a renewal out of
    /// turn.
    pub(crate) fn show_hold(&self) {
        self.ports.snapshots.hold(&self.config.id, self.hold());
        self.news.send_replace(());
    }

    /// A check of the node that began at `began` has found `faults`.
    pub(crate) fn found(&self, faults: Vec<NodeFault>, began: Instant) {
        self.change_health(|health| health.found(faults, began, Instant::now()));
    }

    /// A start has failed for the lack of something that every scan needs.
    pub(crate) fn suspect(&self, fault: NodeFault) {
        self.change_health(|health| health.suspect(fault, Instant::now()));
    }

    /// A scan has started, so the node is well.
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
        crate::health::log(before.as_deref(), after.as_deref());
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

    /// Sends to the supervisor of the moment; gives the message back where there is none.
    pub(crate) fn tell_supervisor(&self, message: supervisor::Message) -> Result<(), Box<supervisor::Message>> {
        let supervisor = self.supervisor.borrow().clone();
        match supervisor {
            None => Err(Box::new(message)),
            Some(actor) => actor.cast(message).map_err(|error| match error {
                ractor::MessagingErr::SendErr(message) => Box::new(message),
                // Of the other errors none can come from a cast to a local actor; nothing is left
                // to give back.
                _ => Box::new(supervisor::Message::Settle),
            }),
        }
    }

    /// Shows a row that was committed, and signals it if it waits.
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

    /// Takes an attempt that this node ran off its registry and its snapshot cache's list.
    pub(crate) fn leave_registry(&self, id: ScanId, token: FencingToken) {
        self.registry.remove(id, token);
        self.ports.snapshots.disown(id, token);
        if self.directives.borrow().drain.is_some() && self.registry.entries().is_empty() {
            self.news.send_replace(());
        }
    }

    /// Shows the row of an attempt that this node runs from now on, here and in other processes.
    pub(crate) fn publish_own(&self, record: ScanRecord) {
        self.ports.snapshots.publish_own(record.clone());
        self.publish(record);
    }

    /// Shows a row that was committed, here and in other processes.
    pub(crate) fn publish(&self, record: ScanRecord) {
        let id = record.id;
        self.ports.snapshots.publish(record);
        if let Some(snapshot) = self.ports.snapshots.get(id) {
            self.ports.feed.publish(ScanSnapshot::clone(&snapshot));
        }
    }

    /// Somebody elsewhere watches this scan: they are told what is known now, and for a while what
    /// its attempt tells.
    pub(crate) fn follow(&self, id: ScanId) {
        let now = Instant::now();
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        followed.retain(|_, until| *until > now);
        followed.insert(id, now + FOLLOWED_FOR);
        drop(followed);
        self.tell_followers(id);
    }

    /// Publishes a scan as it is shown here, if somebody elsewhere watches it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_good_only_as_long_as_both_clocks_say_so() {
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
