use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::Message;
use crate::context::Shared;
use crate::messages::supervisor;
use crate::model::{NodeLease, NodeLeaseRefused};
use crate::policy::lease::{LeaseState, LeaseStep, step, trusted_until};
use crate::ports::{Control, StoreError};
use crate::task;

/// The pause after a failed renewal.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Lease;

/// The phase of the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The actor requests a lease.
    Acquiring,
    /// The lease is held; holds when the request of the last granted renewal was sent.
    Held { sent: Instant },
    /// The lease is lost; the actor waits until the last scan is gone.
    Clearing,
    /// The lease is released.
    Released,
}

pub(crate) struct State {
    shared: Arc<Shared>,
    phase: Phase,
    renewal: Option<AbortOnDropHandle<()>>,
    /// The next step: a timer, or the wait until the last scan is gone.
    timer: Option<AbortOnDropHandle<()>>,
    /// A directive arrived while a renewal was in progress; the renewal may be older than the
    /// directive.
    refresh_again: bool,
    bus: AbortOnDropHandle<()>,
}

impl Actor for Lease {
    type Msg = Message;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, myself: ActorRef<Message>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        let phase = match shared.gate.lease() {
            LeaseState::Trusted { sent, .. } => Phase::Held { sent },
            // Scans that the node still runs have no lease.
            LeaseState::None if !shared.registry.is_empty() => Phase::Clearing,
            LeaseState::None => Phase::Acquiring,
        };
        let bus = listen(&shared, myself.clone());
        myself.cast(Message::Tick)?;
        Ok(State { shared, phase, renewal: None, timer: None, refresh_again: false, bus })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Tick => state.tick(&myself),
            Message::Answer { sent, guard_sent, result } => {
                state.renewal = None;
                state.answered(&myself, (sent, guard_sent), result);
            }
            Message::RefreshDirectives => state.refresh_directives(&myself),
            Message::Cleared => state.cleared(&myself),
            Message::Release(done) => state.release(done).await,
            Message::Panicked(why) => return Err(why.into()),
        }
        if state.bus.is_finished() {
            return Err("the listener on the control bus has ended".into());
        }
        Ok(())
    }
}

/// Listens for new directives. The next renewal returns a directive whose message was missed.
fn listen(shared: &Shared, lease: ActorRef<Message>) -> AbortOnDropHandle<()> {
    let mut messages = shared.ports.bus.subscribe();
    let mut news = shared.news.subscribe();
    let own = shared.config.id.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                // An error means that the node is gone, and the listener ends with it.
                Ok(()) = news.changed() => Ok(Control::RefreshDirectives(None)),
            };
            match message {
                Ok(Control::RefreshDirectives(node)) if node.as_ref().is_none_or(|node| *node == own) => {
                    if lease.cast(Message::RefreshDirectives).is_err() {
                        return;
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }))
}

impl State {
    fn tick(&mut self, myself: &ActorRef<Message>) {
        let now = Instant::now();
        match self.phase {
            Phase::Acquiring => {
                self.shared.show("lease", "acquiring");
                self.renew(myself, now, true);
            }
            Phase::Held { sent } => {
                match step(
                    self.shared.config.lease,
                    sent,
                    self.renewal.is_some(),
                    self.shared.gate.lease_is_good(),
                    now,
                ) {
                    LeaseStep::WaitUntil(when) => self.look_again(myself, when),
                    LeaseStep::Renew(when) => {
                        self.renew(myself, now, false);
                        self.look_again(myself, when);
                    }
                    LeaseStep::KillEverything => self.lose(myself, "the lease could not be renewed in time"),
                }
            }
            Phase::Clearing => self.clear(myself),
            Phase::Released => {}
        }
    }

    fn look_again(&mut self, myself: &ActorRef<Message>, when: Instant) {
        self.timer = Some(task::timer(myself, when, Message::Tick));
    }

    fn renew(&mut self, myself: &ActorRef<Message>, sent: Instant, register: bool) {
        let shared = Arc::clone(&self.shared);
        let guard_sent = shared.ports.guard.now();
        let work = async move {
            let ttl = shared.config.lease.ttl;
            let registration = shared.registration();
            let store = &shared.ports.store;
            let answer = async {
                if register {
                    store.nodes.register(registration, ttl).await.map(Ok)
                } else {
                    store.nodes.renew(registration, ttl).await
                }
            };
            // A renewal that takes this long is too late; a new one may succeed.
            let result = tokio::time::timeout(shared.config.lease.renew_every, answer).await;
            Message::Answer {
                sent,
                guard_sent,
                result: result.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into()))),
            }
        };
        self.renewal = Some(task::answer(myself, work, Message::Panicked));
    }

    fn answered(
        &mut self,
        myself: &ActorRef<Message>,
        (sent, guard_sent): (Instant, Duration),
        result: Result<Result<NodeLease, NodeLeaseRefused>, StoreError>,
    ) {
        if matches!(self.phase, Phase::Clearing | Phase::Released) {
            return;
        }
        match result {
            Ok(Ok(lease)) => {
                let anew = self.phase == Phase::Acquiring;
                if anew {
                    info!(node.id = %self.shared.config.id, "the node holds a lease");
                }
                self.phase = Phase::Held { sent };
                self.shared.show("lease", "held");
                self.shared.gate.trust_lease(sent, guard_sent);
                let lease = if anew { self.with_own_drain(lease) } else { lease };
                // The node reports its new activity at once, not only with the next regular
                // renewal.
                self.refresh_again |= self.note_directives(&lease);
                for scan in lease.cancels {
                    // Without a supervisor there is no scan to cancel.
                    let _ = self.shared.supervisor.send(supervisor::Message::Cancel(scan));
                }
                self.tick(myself);
                if self.refresh_again {
                    self.refresh_directives(myself);
                }
            }
            Ok(Err(NodeLeaseRefused)) => self.lose(myself, "another node ended the lease"),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "could not renew the node's lease");
                self.shared.show("lease", "store not responding");
                let retry = Instant::now() + RETRY.min(self.shared.config.lease.renew_every);
                let when = match self.phase {
                    Phase::Held { sent } => retry.min(trusted_until(self.shared.config.lease, sent)),
                    _ => retry,
                };
                self.look_again(myself, when);
            }
        }
    }

    /// Renews early, to get the directives that the renewal returns. A renewal in progress may be
    /// older than the directive, so another one follows its response.
    fn refresh_directives(&mut self, myself: &ActorRef<Message>) {
        if let Phase::Held { sent } = self.phase {
            self.refresh_again = self.renewal.is_some();
            if !self.refresh_again {
                self.renew(myself, Instant::now(), false);
                self.look_again(myself, trusted_until(self.shared.config.lease, sent));
            }
        }
    }

    /// If the node's row was ended together with its lease, the row's drain order is lost. The node
    /// still obeys the order and writes it again.
    fn with_own_drain(&self, lease: NodeLease) -> NodeLease {
        let Some(by) = self.shared.gate.directives().drain.filter(|_| lease.drain.is_none()) else { return lease };
        let left = by.saturating_duration_since(Instant::now());
        let shared = Arc::clone(&self.shared);
        drop(tokio::spawn(async move {
            if let Err(error) = shared.ports.store.nodes.keep_drain(&shared.config.id, left).await {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "could not write the order to drain again; the next renewal takes it back"
                );
            }
        }));
        NodeLease { drain: Some(left), ..lease }
    }

    /// Updates the directives. Returns true if they changed.
    fn note_directives(&self, lease: &NodeLease) -> bool {
        let changed = self.shared.gate.follow(lease, Instant::now());
        if changed {
            info!(node.id = %self.shared.config.id, draining = lease.drain.is_some(), queue.paused = lease.paused, "the orders have changed");
            // A new supervisor reads the directives at its start.
            let _ = self.shared.supervisor.send(supervisor::Message::DirectivesChanged);
        }
        changed
    }

    fn lose(&mut self, myself: &ActorRef<Message>, why: &str) {
        error!(node.id = %self.shared.config.id, "lost the node's lease, killing every scan: {why}");
        self.shared.show("lease", format!("lost: {why}"));
        self.phase = Phase::Clearing;
        self.renewal = None;
        self.timer = None;
        self.shared.gate.lose_lease();
        self.clear(myself);
    }

    /// Has the supervisor kill every scan.
    fn clear(&mut self, myself: &ActorRef<Message>) {
        let shared = Arc::clone(&self.shared);
        let work = async move {
            shared.supervisor.clear(&shared.registry, supervisor::Message::KillAll).await;
            Message::Cleared
        };
        self.timer = Some(task::answer(myself, work, Message::Panicked));
    }

    fn cleared(&mut self, myself: &ActorRef<Message>) {
        if self.phase != Phase::Clearing {
            return;
        }
        // Only an empty registry is proof.
        if self.shared.registry.is_empty() {
            self.shared.ports.guard.disarm();
            self.phase = Phase::Acquiring;
            self.tick(myself);
        } else {
            self.clear(myself);
        }
    }

    async fn release(&mut self, done: ractor::RpcReplyPort<()>) {
        self.phase = Phase::Released;
        self.renewal = None;
        self.timer = None;
        self.shared.gate.lose_lease();
        self.shared.show("lease", "released");
        self.shared.ports.guard.disarm();
        let removal = self.shared.ports.store.nodes.remove(&self.shared.config.id);
        match tokio::time::timeout(Duration::from_secs(2), removal).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(
                error = &error as &dyn std::error::Error,
                "could not give the node's lease back; it expires by itself"
            ),
            Err(_) => warn!("could not give the node's lease back in time; it expires by itself"),
        }
        // The caller may have stopped waiting.
        let _ = done.send(());
    }
}
