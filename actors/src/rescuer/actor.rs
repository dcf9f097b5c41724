use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::message::{Looked, Message, Suspects};
use crate::context::Shared;
use crate::model::{Command, Failure, FailureKind, Interruption, Resolution};
use crate::policy::rescue::next_look;
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
    /// When the whole cluster is looked after again.
    cluster_at: Instant,
    work: Option<AbortOnDropHandle<()>>,
}

impl Actor for Rescuer {
    type Msg = Message;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, myself: ActorRef<Message>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        shared.show("rescuer", "watching");
        myself.cast(Message::Look)?;
        Ok(State { shared, suspects: Suspects::new(), cluster_at: Instant::now(), work: None })
    }

    async fn handle(&self, myself: ActorRef<Message>, message: Message, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Look => {
                let cluster_too = Instant::now() >= state.cluster_at;
                let work = look(Arc::clone(&state.shared), std::mem::take(&mut state.suspects), cluster_too);
                let limited = async move {
                    Message::Looked(tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into()))))
                };
                state.work = Some(task::answer(&myself, limited, Message::Panicked));
            }
            Message::Looked(result) => {
                match result {
                    Ok(Looked { suspects, next_cluster_look }) => {
                        state.suspects = suspects;
                        if let Some(wait) = next_cluster_look {
                            state.cluster_at = Instant::now() + wait;
                        }
                        state.shared.show("rescuer", "watching");
                    }
                    Err(error) => {
                        state.shared.show("rescuer", "store does not answer");
                        warn!(error = &error as &dyn std::error::Error, "could not look for scans without an owner");
                    }
                }
                state.work = Some(task::timer(&myself, Instant::now() + state.shared.config.rescue_every, Message::Look));
            }
            Message::Panicked(why) => return Err(why.into()),
        }
        Ok(())
    }
}

/// Looks after this node's own rows, and after those of the whole cluster when it is this node's turn.
async fn look(shared: Arc<Shared>, suspects: Suspects, cluster_too: bool) -> Result<Looked, StoreError> {
    let next_cluster_look = if cluster_too { Some(look_after_the_cluster(&shared).await?) } else { None };
    Ok(Looked { suspects: hand_back(&shared, suspects).await?, next_cluster_look })
}

/// Returns the wait until the next time.
async fn look_after_the_cluster(shared: &Shared) -> Result<Duration, StoreError> {
    for orphan in shared.ports.store.orphans().await? {
        // This node's own scans, if its lease has ended, are killed and handed back by its own actors.
        if orphan.node != shared.config.id {
            let id = orphan.id;
            match take_over(shared, orphan).await {
                // The others must not wait for a row that nobody can read.
                Err(error @ StoreError::Corrupt(_)) => error!(scan.id = id.0, error = &error as &dyn std::error::Error, "cannot take a scan over"),
                other => other?,
            }
        }
    }
    let every = shared.config.rescue_every;
    // Asked after the expired ones were ended.
    let live = if shared.config.sole_node { 1 } else { shared.ports.store.nodes().await?.len() };
    let next = next_look(every, live, rand::random());
    if !shared.config.adopts_waiting {
        return Ok(next);
    }
    // Twice the interval, so that a scan is signalled before it is due and starts on time.
    for due in shared.ports.store.due(every.saturating_mul(2), SIGNALS).await? {
        let signal = JobSignal { id: due.id, priority: due.priority, due: due.due, trace: due.trace };
        if let Err(error) = shared.ports.queue.signal(signal).await {
            warn!(error = &error as &dyn std::error::Error, "could not signal waiting scans; they wait for the queue");
            break;
        }
    }
    Ok(next)
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
