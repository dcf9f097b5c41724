use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::message::{Message, Suspects};
use crate::context::Shared;
use crate::model::{Command, Failure, FailureKind, Interruption, NodeId, Resolution};
use crate::ports::{Applied, JobSignal, RunningScan, StoreError};
use crate::record::{Record, retry_or_fail};
use crate::task;

/// The longest that one look-around may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a row of this node must be without an owner before it is handed back: longer than a dispatcher waits for the answer to its lease, so that no owner can still be on its way.
const GRACE: Duration = Duration::from_secs(10);
/// How many rows a look-around signals; the rest is for the next one.
const SIGNALS: usize = 1_000;

pub(crate) struct Rescuer;

pub(crate) struct State {
    shared: Arc<Shared>,
    /// At the first sight the owner may just be on its way.
    suspects: Suspects,
    /// Nodes of earlier runs that are known to be dead, until their scans are taken over.
    dead: Vec<NodeId>,
    work: Option<AbortOnDropHandle<()>>,
}

impl Actor for Rescuer {
    type Msg = Message;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, myself: ActorRef<Message>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        shared.show("rescuer", "watching");
        myself.cast(Message::Look)?;
        let dead = shared.config.previous.clone();
        Ok(State { shared, suspects: Suspects::new(), dead, work: None })
    }

    async fn handle(&self, myself: ActorRef<Message>, message: Message, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Look => {
                let work = look(Arc::clone(&state.shared), std::mem::take(&mut state.suspects), state.dead.clone());
                let limited = async move {
                    Message::Looked(tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into()))))
                };
                state.work = Some(task::answer(&myself, limited, Message::Panicked));
            }
            Message::Looked(result) => {
                match result {
                    Ok(suspects) => {
                        state.suspects = suspects;
                        state.dead.clear();
                        state.shared.show("rescuer", "watching");
                    }
                    Err(error) => {
                        state.shared.show("rescuer", "store does not answer");
                        warn!(error = &error as &dyn std::error::Error, "could not look for scans without an owner");
                    }
                }
                // Not in step with the other nodes.
                let wait = state.shared.config.rescue_every.mul_f64(rand::random_range(0.75..1.25));
                state.work = Some(task::timer(&myself, Instant::now() + wait, Message::Look));
            }
            Message::Panicked(why) => return Err(why.into()),
        }
        Ok(())
    }
}

/// Looks after this node's own rows and those of its dead predecessors, and after those of the whole cluster when it is this node's turn.
async fn look(shared: Arc<Shared>, suspects: Suspects, dead: Vec<NodeId>) -> Result<Suspects, StoreError> {
    let own = hand_back(&shared, suspects).await;
    for node in dead {
        succeed(&shared, &node).await?;
    }
    // Less than the pause between looks, so that a node that is alone has every turn.
    if shared.ports.store.claim_look(&shared.config.id, shared.config.rescue_every.mul_f64(0.7)).await? {
        look_after_the_cluster(&shared).await?;
    }
    own
}

/// Takes over from a node of an earlier run, without waiting for the end of its lease: whoever named it knows that nothing of it is left.
async fn succeed(shared: &Shared, node: &NodeId) -> Result<(), StoreError> {
    take_all_over(shared, shared.ports.store.running_on(node).await?).await?;
    // Its turn to look after the cluster ends with it.
    shared.ports.store.remove_node(node).await
}

async fn look_after_the_cluster(shared: &Shared) -> Result<(), StoreError> {
    // First what only waits for a signal: a start must not wait for the many rows that a dead node may have left.
    if shared.config.adopts_waiting {
        signal_what_waits(shared).await?;
    }
    let mut orphans = shared.ports.store.orphans().await?;
    // This node's own scans, if its lease has ended, are killed and handed back by its own actors.
    orphans.retain(|orphan| orphan.node != shared.config.id);
    take_all_over(shared, orphans).await
}

async fn signal_what_waits(shared: &Shared) -> Result<(), StoreError> {
    // Twice the interval, so that a scan is signalled before it is due and starts on time.
    for due in shared.ports.store.due(shared.config.rescue_every.saturating_mul(2), SIGNALS).await? {
        let signal = JobSignal { id: due.id, priority: due.priority, due: due.due, trace: due.trace };
        if let Err(error) = shared.ports.queue.remind(signal, due.wait).await {
            warn!(error = &error as &dyn std::error::Error, "could not signal waiting scans; they wait for the queue");
            break;
        }
    }
    Ok(())
}

async fn take_all_over(shared: &Shared, orphans: Vec<RunningScan>) -> Result<(), StoreError> {
    for orphan in orphans {
        let id = orphan.id;
        match take_over(shared, orphan).await {
            // The others must not wait for a row that nobody can read.
            Err(error @ StoreError::Corrupt(_)) => error!(scan.id = id.0, error = &error as &dyn std::error::Error, "cannot take a scan over"),
            other => other?,
        }
    }
    Ok(())
}

async fn take_over(shared: &Shared, orphan: RunningScan) -> Result<(), StoreError> {
    let failure = Failure::new(FailureKind::NodeLost, format!("node {} lost its lease", orphan.node));
    let resolution = retry_or_fail(shared, failure, orphan.failures);
    let command = Command::Rescue { from: orphan.node.clone(), token: orphan.token, resolution };
    match shared.ports.store.apply(orphan.id, command).await? {
        Applied::Committed(record) => {
            info!(scan.id = orphan.id.0, node.id = %orphan.node, status = %record.status(), "took a scan over from a node without a lease");
            if shared.config.adopts_waiting {
                shared.announce(record).await;
            } else {
                // It says what is true now, and waits for a node that runs what waits.
                shared.publish(record);
            }
        }
        Applied::Refused(_, record) => shared.ports.board.publish(record),
        Applied::Missing => {}
    }
    Ok(())
}

/// Hands back the rows that run on this node and have had no owner for long enough; returns the others without an owner.
async fn hand_back(shared: &Arc<Shared>, suspects: Suspects) -> Result<Suspects, StoreError> {
    let running = shared.ports.store.running_on(&shared.config.id).await?;
    let now = Instant::now();
    let mut remaining = Suspects::new();
    for scan in running.into_iter().filter(|scan| !shared.roster.holds(scan.id, scan.token)) {
        let since = suspects.get(&(scan.id, scan.token)).copied().unwrap_or(now);
        if now.duration_since(since) < GRACE {
            remaining.insert((scan.id, scan.token), since);
            continue;
        }
        warn!(scan.id = scan.id.0, "a scan of this node has no actor; handing it back");
        let back = Record::new(scan.id, scan.token, Resolution::Requeue(Interruption::Unowned), None);
        back.write(Arc::clone(shared), Some(1)).await;
    }
    Ok(remaining)
}
