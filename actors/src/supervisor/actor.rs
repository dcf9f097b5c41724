use std::collections::HashMap;
use std::sync::Arc;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::state::{Child, ChildPhase, Mode, State};
use crate::attempt_finisher::{AttemptFinisher, retry_or_fail};
use crate::attempt_registry::RegistryEntry;
use crate::context::Shared;
use crate::messages::scan::{self, StopReason};
use crate::messages::supervisor::{Launch, Message};
use crate::model::{Failure, FailureKind, FencingToken, Interruption, Resolution, ScanId};
use crate::policy::breaker::Trip;
use crate::policy::classify::StopCause;
use crate::ports::{AliveWatch, Control, ControlBus};
use crate::scan::{Scan, ScanArguments};
use crate::task;

/// The name of the budget for failed attempts.
const BUDGET: &str = "attempts";

pub(crate) struct ScanSupervisor;

impl Actor for ScanSupervisor {
    type Msg = Message;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, myself: ActorRef<Message>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        let bus = listen(&*shared.ports.bus, myself.clone());
        shared.ports.snapshots.status.budget(BUDGET, &shared.gate.budget());
        adopt(&shared, &myself);
        myself.cast(Message::DirectivesChanged)?;
        let mut state = State {
            shared,
            mode: Mode::Serving,
            children: HashMap::new(),
            waiting: Vec::new(),
            drain: None,
            hold: None,
            bus,
        };
        state.await_end_of_hold(&myself);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Launch(launch) => state.launch(&myself, *launch).await,
            Message::Cancel(id) => state.cancel(id),
            Message::Follow(id) => {
                if state.children.values().any(|child| child.scan == id) {
                    state.shared.publisher.follow(id);
                }
            }
            Message::DirectivesChanged => state.follow_directives(&myself),
            Message::DrainOver => state.drain_over(),
            Message::KillAll(cleared) => {
                state.mode = state.mode.max_with(Mode::Clearing);
                state.waiting.push(cleared);
                state.stop_all(StopCause::LeaseLost);
                state.settle();
            }
            Message::KillRest(cleared) => {
                state.mode = Mode::ShuttingDown;
                state.waiting.push(cleared);
                state.stop_all(StopCause::ShutdownOver);
                state.settle();
            }
            Message::Shutdown(cleared) => {
                state.mode = Mode::ShuttingDown;
                state.show();
                state.waiting.push(cleared);
                state.stop_all(StopCause::Shutdown);
                state.settle();
            }
            Message::AttemptFailed(kind, target) => state.count_failure(&myself, kind, &target),
            Message::AttemptCompleted(target) => {
                if state.shared.gate.completed(&target) {
                    state.shared.ports.snapshots.status.budget(BUDGET, &state.shared.gate.budget());
                }
            }
            Message::HoldOver => {
                state.await_end_of_hold(&myself);
                state.shared.show_hold();
            }
            Message::CleanedUp(actor) => state.forget(actor),
            Message::Panicked(why) => return Err(why.into()),
            Message::Settle => state.settle(),
        }
        if state.bus.is_finished() {
            return Err("the listener on the control bus has ended".into());
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(who, _, reason) => {
                let reason = reason.as_deref().unwrap_or("no reason");
                match StopReason::parse(reason) {
                    Some(StopReason::Recorded | StopReason::Abandoned) => state.forget(who.get_id()),
                    None => state.clean_up(&myself, &who, format!("the scan's actor ended unexpectedly: {reason}")),
                }
            }
            SupervisionEvent::ActorFailed(who, why) => {
                state.clean_up(&myself, &who, format!("the scan's actor failed: {why}"));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Mode {
    /// A node that shuts down does not return to serving.
    const fn max_with(self, other: Self) -> Self {
        if matches!(self, Self::ShuttingDown) { self } else { other }
    }
}

impl State {
    async fn launch(&mut self, myself: &ActorRef<Message>, launch: Launch) {
        let Launch { record, credit } = launch;
        let (alive_guard, alive_watch) = AliveWatch::new();
        let entry = RegistryEntry {
            token: record.token,
            attempt: record.last_attempt().map(|attempt| attempt.number).unwrap_or_default(),
            failures: record.failures,
            alive_watch: Arc::new(alive_watch),
        };
        let id = record.id;
        // The lease may have been lost since the row was leased. Nothing may start then, because
        // nothing would kill it in time.
        let now = Instant::now();
        let drained = self.shared.gate.directives().drain.is_some_and(|by| by <= now);
        if self.mode != Mode::Serving || drained || !self.shared.gate.lease_is_good() {
            // The lease of the row came too late. Nothing has started, so the row is requeued.
            let back = AttemptFinisher::new(id, entry.token, Resolution::Requeue(Interruption::NeverStarted), None);
            self.shared.registry.insert(id, entry.clone());
            let registry_guard = RegistryGuard {
                shared: Arc::clone(&self.shared),
                scan: id,
                token: entry.token,
                supervisor: myself.clone(),
            };
            tokio::spawn(async move {
                back.write(Arc::clone(&registry_guard.shared), Some(3)).await;
                drop((credit, alive_guard, registry_guard));
            });
            return;
        }
        self.shared.registry.insert(id, entry.clone());
        self.shared.publisher.publish_own(record.clone());
        let (alive_watch, target) = (Arc::clone(&entry.alive_watch), record.request.target.to_string());
        let arguments = ScanArguments {
            shared: Arc::clone(&self.shared),
            record,
            alive_guard,
            alive_watch,
            supervisor: myself.clone(),
        };
        match Actor::spawn_linked(None, Scan, arguments, myself.get_cell()).await {
            Ok((actor, _)) => {
                let child = Child {
                    scan: id,
                    target,
                    entry,
                    actor: actor.clone(),
                    phase: ChildPhase::Alive,
                    credit: Some(credit),
                };
                self.children.insert(actor.get_id(), child);
            }
            Err(error) => {
                // Its `pre_start` failed, so no process exists. The reconciler finds the row
                // without an owner.
                error!(scan.id = id.0, error = &error as &dyn std::error::Error, "could not start a scan's actor");
                self.shared.leave_registry(id, entry.token);
            }
        }
    }

    fn cancel(&self, id: ScanId) {
        for child in self.children.values().filter(|child| child.scan == id) {
            let _ = child.actor.cast(scan::Message::Stop(StopCause::Cancel));
        }
    }

    /// Sets the timer for the end of the drain time, when the scans that still run are requeued.
    fn follow_directives(&mut self, myself: &ActorRef<Message>) {
        let drain = self.shared.gate.directives().drain;
        self.drain = drain.map(|by| task::timer(myself, by, Message::DrainOver));
        self.show();
    }

    fn drain_over(&self) {
        let is_over = self.shared.gate.directives().drain.is_some_and(|by| by <= Instant::now());
        if is_over && !self.children.is_empty() {
            info!(scans = self.children.len(), "the time to drain is over; handing the rest back");
            self.stop_all(StopCause::Drain);
        }
    }

    fn count_failure(&mut self, myself: &ActorRef<Message>, kind: FailureKind, target: &str) {
        let now = Instant::now();
        let trip = self.shared.gate.failed(target, now);
        match trip {
            Trip::None => {}
            Trip::Target(until) => {
                let pause_ms = until.duration_since(now).as_millis();
                warn!(%kind, target, pause_ms, "too many attempts of one target failed; holding its scans back");
            }
            Trip::Node(until) => {
                warn!(%kind, pause_ms = until.duration_since(now).as_millis(), "too many attempts failed; holding new ones back");
            }
        }
        self.shared.ports.snapshots.status.budget(BUDGET, &self.shared.gate.budget());
        if trip != Trip::None {
            self.await_end_of_hold(myself);
            self.shared.show_hold();
        }
    }

    /// Publishes the current state, and again when the next hold ends.
    fn await_end_of_hold(&mut self, myself: &ActorRef<Message>) {
        let next = self.shared.gate.next_end_of_hold(Instant::now());
        self.hold = next.map(|end| task::timer(myself, end, Message::HoldOver));
        self.show();
    }

    /// Handles an actor that died without recording its end. Its drop has killed the process; once
    /// that is certain, the row is retried or failed.
    fn clean_up(&mut self, myself: &ActorRef<Message>, who: &ActorCell, why: String) {
        let id = who.get_id();
        let Some(child) = self.children.get_mut(&id) else { return };
        let target = child.target.clone();
        error!(scan.id = child.scan.0, scan.attempt = child.entry.attempt.0, "{why}");
        let work = recover(Arc::clone(&self.shared), child.scan, child.entry.clone(), why);
        let done = async move {
            work.await;
            Message::CleanedUp(id)
        };
        child.phase = ChildPhase::CleaningUp(task::answer(myself, done, Message::Panicked));
        self.count_failure(myself, FailureKind::ActorCrashed, &target);
    }
}

/// Removes an attempt without an actor from the registry when its task ends, for whatever reason.
struct RegistryGuard {
    shared: Arc<Shared>,
    scan: ScanId,
    token: FencingToken,
    supervisor: ActorRef<Message>,
}

impl Drop for RegistryGuard {
    fn drop(&mut self) {
        self.shared.leave_registry(self.scan, self.token);
        // A supervisor that is gone waits for nothing.
        let _ = self.supervisor.cast(Message::Settle);
    }
}

/// Waits until an attempt without an actor has no process, then records its failure.
async fn recover(shared: Arc<Shared>, scan: ScanId, entry: RegistryEntry, why: String) {
    entry.alive_watch.released().await;
    let resolution = retry_or_fail(&shared, Failure::new(FailureKind::ActorCrashed, why), entry.failures);
    let record = AttemptFinisher::new(scan, entry.token, resolution, None);
    tokio::select! {
        _ = record.write(Arc::clone(&shared), None) => {}
        // Another node handles the row now.
        () = shared.gate.lease_lost() => {}
    }
}

/// Cleans up after a failed supervisor: its children died with it, but this node still owns their
/// rows.
fn adopt(shared: &Arc<Shared>, supervisor: &ActorRef<Message>) {
    let left: Vec<(ScanId, RegistryEntry)> = shared.registry.all();
    for (id, entry) in left {
        info!(scan.id = id.0, "cleaning up after a failed supervisor");
        let registry_guard =
            RegistryGuard { shared: Arc::clone(shared), scan: id, token: entry.token, supervisor: supervisor.clone() };
        tokio::spawn(async move {
            recover(Arc::clone(&registry_guard.shared), id, entry, "the scan's supervisor failed".into()).await;
            drop(registry_guard);
        });
    }
}

/// Listens for control messages that concern running scans.
fn listen(bus: &dyn ControlBus, supervisor: ActorRef<Message>) -> AbortOnDropHandle<()> {
    let mut messages = bus.subscribe();
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            match messages.recv().await {
                Ok(Control::Cancel(id)) if supervisor.cast(Message::Cancel(id)).is_err() => return,
                Ok(Control::Follow(id)) if supervisor.cast(Message::Follow(id)).is_err() => return,
                // The lease actor handles the directives. Missed messages are repeated: a cancel by
                // the next renewal, a follow by its sender.
                Ok(Control::Cancel(_) | Control::Follow(_) | Control::RefreshDirectives(_))
                | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }))
}
