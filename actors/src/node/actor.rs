use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::exit::NodeExit;
use super::message::Message;
use crate::attempt_finisher::AttemptFinisher;
use crate::context::Shared;
use crate::dispatcher::{self, Dispatcher};
use crate::health::Health;
use crate::lease::{self, Lease};
use crate::messages::supervisor::{self, OnCleared};
use crate::model::{ActorFailure, Interruption, Resolution};
use crate::policy::restart::{Budget, RestartBudget};
use crate::ports::StoreError;
use crate::reconciler::Reconciler;
use crate::relay::Relay;
use crate::supervisor::ScanSupervisor;
use crate::task;
use crate::task_actor::TaskActor;

/// How long killed scans may take until their processes are gone and their ends are recorded.
const KILL_GRACE: Duration = Duration::from_secs(8);

/// The name of the budget for actor failures.
const BUDGET: &str = "actors";

pub(crate) struct Node;

pub(crate) struct Arguments {
    pub(crate) shared: Arc<Shared>,
    pub(crate) exit: watch::Sender<Option<NodeExit>>,
}

/// The child actors of the node, in the order of their start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Supervisor,
    Lease,
    Health,
    Dispatcher,
    Reconciler,
    Relay,
}

impl Role {
    const ALL: [Self; 6] =
        [Self::Supervisor, Self::Lease, Self::Health, Self::Dispatcher, Self::Reconciler, Self::Relay];

    const fn name(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Lease => "lease",
            Self::Health => "health",
            Self::Dispatcher => "dispatcher",
            Self::Reconciler => "reconciler",
            Self::Relay => "relay",
        }
    }
}

struct Child {
    role: Role,
    cell: ActorCell,
}

pub(crate) struct State {
    shared: Arc<Shared>,
    exit: watch::Sender<Option<NodeExit>>,
    credits: Arc<Semaphore>,
    children: Vec<Child>,
    lease: Option<ActorRef<lease::Message>>,
    budget: RestartBudget,
    shutdown: Option<AbortOnDropHandle<()>>,
}

impl Drop for State {
    /// Sets the exit even if the root is killed, so that tasks that wait for the node's end are
    /// woken.
    fn drop(&mut self) {
        self.exit.send_if_modified(|exit| match exit {
            Some(_) => false,
            None => {
                *exit = Some(NodeExit::Failed("the node's root actor was killed".into()));
                true
            }
        });
    }
}

impl Actor for Node {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Message>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { shared, exit } = arguments;
        shared.show("node", "running");
        let credits = Arc::new(Semaphore::new(shared.config.capacity));
        let budget = RestartBudget::new(shared.config.actor_intensity);
        shared.ports.snapshots.status.budget(BUDGET, &budget);
        let mut state = State { shared, exit, credits, children: Vec::new(), lease: None, budget, shutdown: None };
        for role in Role::ALL {
            state.start(&myself, role).await?;
        }
        info!(node.id = %state.shared.config.id, capacity = state.shared.config.capacity, "the node runs");
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Shutdown { finish, grace, done } => {
                if state.shutdown.is_none() {
                    state.shut_down(&myself, finish, grace, done);
                }
            }
            Message::Down => {
                info!(node.id = %state.shared.config.id, "the node has stopped");
                state.exit.send_replace(Some(NodeExit::Stopped));
                myself.stop(None);
            }
            Message::Panicked(why) => return Err(why.into()),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (who, why) = match event {
            SupervisionEvent::ActorFailed(who, why) => (who, why.to_string()),
            SupervisionEvent::ActorTerminated(who, _, why) => (who, why.unwrap_or_else(|| "stopped".into())),
            _ => return Ok(()),
        };
        state.child_ended(&myself, &who, why).await;
        Ok(())
    }
}

impl State {
    async fn start(&mut self, myself: &ActorRef<Message>, role: Role) -> Result<(), SpawnErr> {
        let (shared, parent) = (Arc::clone(&self.shared), myself.get_cell());
        let cell = match role {
            Role::Supervisor => {
                let (actor, _) = Actor::spawn_linked(None, ScanSupervisor, shared, parent).await?;
                self.shared.supervisor.replace(Some(actor.clone()));
                actor.get_cell()
            }
            Role::Lease => {
                let (actor, _) = Actor::spawn_linked(None, Lease, shared, parent).await?;
                self.lease = Some(actor.clone());
                actor.get_cell()
            }
            Role::Health => Actor::spawn_linked(None, TaskActor(Health), shared, parent).await?.0.get_cell(),
            Role::Dispatcher => {
                let arguments = dispatcher::Arguments { shared, credits: Arc::clone(&self.credits) };
                Actor::spawn_linked(None, Dispatcher, arguments, parent).await?.0.get_cell()
            }
            Role::Relay => Actor::spawn_linked(None, TaskActor(Relay), shared, parent).await?.0.get_cell(),
            Role::Reconciler => Actor::spawn_linked(None, TaskActor(Reconciler), shared, parent).await?.0.get_cell(),
        };
        self.children.push(Child { role, cell });
        Ok(())
    }

    async fn child_ended(&mut self, myself: &ActorRef<Message>, who: &ActorCell, why: String) {
        let Some(at) = self.children.iter().position(|child| child.cell.get_id() == who.get_id()) else { return };
        let role = self.children.remove(at).role;
        if role == Role::Supervisor {
            self.shared.supervisor.replace(None);
        }
        // During a shutdown the supervisor is still needed, because a new one cleans up after it,
        // and so is the lease, because scans may still finish.
        if self.shutdown.is_some() && !matches!(role, Role::Supervisor | Role::Lease) {
            return;
        }
        error!(actor = role.name(), "an actor of the node failed: {why}");
        let now = self.shared.ports.clock.now();
        self.shared.ports.snapshots.status.actor(role.name(), now, |view| {
            view.state = "restarting".into();
            view.restarts += 1;
            view.last_failure = Some(ActorFailure { at: now, reason: why.clone() });
        });
        let budget = self.budget.spend(Instant::now());
        self.shared.ports.snapshots.status.budget(BUDGET, &self.budget);
        let result = match budget {
            Budget::Left(_) => self.start(myself, role).await.map_err(|error| error.to_string()),
            Budget::Spent => Err(format!(
                "more than {} failures within {:?}",
                self.shared.config.actor_intensity.max, self.shared.config.actor_intensity.within
            )),
        };
        if let Err(last) = result {
            let reason = format!("the {} failed ({why}) and is not restarted: {last}", role.name());
            error!(node.id = %self.shared.config.id, "the node gives up: {reason}");
            self.shared.show("node", "failed");
            self.exit.send_replace(Some(NodeExit::Failed(reason.clone())));
            myself.stop(Some(reason));
        }
    }

    /// Stops the dispatcher first, then the scans, then the lease.
    fn shut_down(
        &mut self,
        myself: &ActorRef<Message>,
        finish: Duration,
        grace: Duration,
        done: ractor::RpcReplyPort<()>,
    ) {
        info!(node.id = %self.shared.config.id, finish_ms = finish.as_millis(), grace_ms = grace.as_millis(), "the node shuts down");
        self.shared.show("node", "shutting down");
        // The dispatcher finishes its current scan and takes no more.
        self.shared.gate.stop();
        let pullers: Vec<ActorCell> = self
            .children
            .iter()
            .filter(|child| matches!(child.role, Role::Dispatcher | Role::Reconciler))
            .map(|child| child.cell.clone())
            .collect();
        let shared = Arc::clone(&self.shared);
        let lease = self.lease.clone();
        let work = async move {
            if !finished(&shared, finish).await {
                info!(scans = shared.registry.len(), "interrupting the scans that still run");
            }
            for puller in pullers {
                // A child that does not stop in time is stopped with the node.
                let _ = puller.stop_and_wait(Some("shutdown".into()), Some(Duration::from_secs(1))).await;
            }
            let mut clear = cleared(&shared, supervisor::Message::Shutdown, grace).await;
            if !clear {
                warn!("not every scan ended in time; killing the rest");
                clear = cleared(&shared, supervisor::Message::KillRest, KILL_GRACE).await;
            }
            if clear {
                hand_back_the_rest(&shared).await;
                if let Some(lease) = lease {
                    let _ = lease.call(lease::Message::Release, Some(Duration::from_secs(3))).await;
                }
            } else {
                // Other nodes must wait until the lease expires, because a process of this node may
                // still run.
                warn!("not every scan ended; the lease is not given back and runs out by itself");
            }
            shared.gate.lose_lease();
            let _ = done.send(());
            Message::Down
        };
        self.shutdown = Some(task::answer(myself, work, Message::Panicked));
    }
}

/// Waits until every scan has ended by itself. Returns `false` if that takes longer than `limit`.
async fn finished(shared: &Shared, limit: Duration) -> bool {
    tokio::time::timeout(limit, shared.registry.empty()).await.is_ok()
}

/// Has the supervisor end every scan. Returns `false` if that takes longer than `limit`.
async fn cleared(shared: &Shared, message: fn(OnCleared) -> supervisor::Message, limit: Duration) -> bool {
    tokio::time::timeout(limit, shared.supervisor.clear(&shared.registry, message)).await.is_ok()
}

/// Requeues the rows of leases that were granted while the dispatcher was stopping. No process of
/// this node is left, so none runs under them.
async fn hand_back_the_rest(shared: &Arc<Shared>) {
    let work = async {
        for scan in shared.ports.store.dispatch.running_on(&shared.config.id).await? {
            AttemptFinisher::new(scan.id, scan.token, Resolution::Requeue(Interruption::Shutdown), None)
                .write(Arc::clone(shared), Some(1))
                .await;
        }
        Ok::<(), StoreError>(())
    };
    match tokio::time::timeout(Duration::from_secs(5), work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(
            error = &error as &dyn std::error::Error,
            "could not look for rows to hand back; the next start finds them"
        ),
        Err(_) => warn!("could not look for rows to hand back in time; the next start finds them"),
    }
}
