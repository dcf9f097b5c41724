use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, error, info, warn};

use super::decide::{Dispatch, decide};
use super::message::Message;
use crate::attempt_finisher::AttemptFinisher;
use crate::context::Shared;
use crate::messages::supervisor::{self, Launch};
use crate::model::{Command, Failure, FailureKind, Interruption, Resolution, ScanId, ScanRecord, ScanState};
use crate::policy::placement::{Placement, place};
use crate::policy::starts::Starts;
use crate::ports::{Applied, Delivery, QueueError, StoreError};
use crate::task::{self, persistence};

/// The timeout of a row's lease.
const LEASE_LIMIT: Duration = Duration::from_secs(5);

/// The pause after the store refused a lease to this node or to all nodes.
const NOT_NOW: Duration = Duration::from_secs(1);

/// How long a node that released a scan for others waits before it takes the next signal.
const STAND_ASIDE: Duration = Duration::from_millis(25);

pub(crate) struct Dispatcher;

pub(crate) struct Arguments {
    pub(crate) shared: Arc<Shared>,
    pub(crate) credits: Arc<Semaphore>,
}

impl Actor for Dispatcher {
    type Msg = Message;
    type State = AbortOnDropHandle<()>;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let pull = pull(arguments.shared, arguments.credits);
        Ok(task::answer(
            &myself,
            async move {
                pull.await;
                Message::Ended("the pull task ended".into())
            },
            Message::Ended,
        ))
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let Message::Ended(why) = message;
        Err(why.into())
    }
}

async fn pull(shared: Arc<Shared>, credits: Arc<Semaphore>) {
    let mut failures = 0;
    let mut left = HashMap::new();
    loop {
        // The semaphore is never closed while its owner lives.
        let Ok(credit) = Arc::clone(&credits).acquire_owned().await else { return };
        shared.gate.allowed(|starts| show_wait(&shared, starts)).await;
        shared.show("dispatcher", "waiting for a job");
        let next = tokio::select! {
            next = shared.ports.queue.next() => next,
            () = shared.gate.forbidden() => continue,
        };
        let delivery = match next {
            Ok(delivery) => delivery,
            Err(error) => {
                failures += 1;
                shared.show("dispatcher", "queue not responding");
                warn!(tries = failures, error = &error as &dyn std::error::Error, "could not read the job queue");
                tokio::time::sleep(persistence(failures)).await;
                continue;
            }
        };
        if shared.gate.starts() != Starts::Allowed {
            log(shared.ports.queue.release(&delivery.receipt, Duration::ZERO).await);
            continue;
        }
        if let Some(wait) = held_target(&shared, delivery.signal.id).await {
            log(shared.ports.queue.release(&delivery.receipt, wait).await);
            continue;
        }
        let placement = if shared.must_check_capabilities() {
            look_first(&shared, delivery.signal.id).await
        } else {
            Placement::Here
        };
        if placement == Placement::Elsewhere {
            shared.show("dispatcher", "leaving a scan to a node whose scanner can run it");
            leave(&shared, &delivery, &mut left).await;
            continue;
        }
        match lease(&shared, &delivery).await {
            Ok(Dispatch::Launch(record)) => {
                failures = 0;
                match unfit(&shared, &record, placement) {
                    None => hand_over(&shared, Launch { record: *record, credit }),
                    Some(resolution) => end_unstarted(&shared, Launch { record: *record, credit }, resolution),
                }
                log(shared.ports.queue.acknowledge(&delivery.receipt).await);
            }
            Ok(Dispatch::Drop) => log(shared.ports.queue.acknowledge(&delivery.receipt).await),
            Ok(Dispatch::Later(wait)) => {
                // If the queue's clock is ahead of the store's, the minimum wait prevents a tight
                // loop.
                log(shared.ports.queue.release(&delivery.receipt, wait.max(Duration::from_millis(100))).await);
            }
            Err(error @ StoreError::Corrupt(_)) => {
                error!(
                    scan.id = delivery.signal.id.0,
                    error = &error as &dyn std::error::Error,
                    "the row of a scan cannot be read; leaving it alone"
                );
                log(shared.ports.queue.acknowledge(&delivery.receipt).await);
            }
            Ok(Dispatch::NotNow) => {
                // Release it at once and at its old position, because another node may lease it.
                log(shared.ports.queue.release(&delivery.receipt, Duration::ZERO).await);
                // The store has a directive that this node has not received yet, so the next lease
                // would be refused too.
                tokio::time::sleep(NOT_NOW).await;
            }
            Err(error) => {
                failures += 1;
                shared.show("dispatcher", "store not responding");
                // The lease may have been granted anyway. The reconciler then finds a running row
                // of this node without an owner.
                warn!(
                    scan.id = delivery.signal.id.0,
                    tries = failures,
                    error = &error as &dyn std::error::Error,
                    "could not lease a scan"
                );
                log(shared.ports.queue.release(&delivery.receipt, persistence(failures)).await);
                tokio::time::sleep(persistence(failures)).await;
            }
        }
    }
}

async fn lease(shared: &Shared, delivery: &Delivery) -> Result<Dispatch, StoreError> {
    let command = Command::Lease { node: shared.config.id.clone() };
    let answer = tokio::time::timeout(LEASE_LIMIT, shared.ports.store.scans.apply(delivery.signal.id, command)).await;
    let answer = answer.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into())))?;
    debug!(scan.id = delivery.signal.id.0, "requested a lease");
    if let Applied::Refused(_, record) = &answer {
        // Another process has changed the row, and this process may have missed the change.
        shared.ports.snapshots.publish(record.clone());
    }
    Ok(decide(answer))
}

/// Passes the attempt to the current supervisor. Without a supervisor, the row is requeued.
fn hand_over(shared: &Arc<Shared>, launch: Launch) {
    let Err(message) = shared.supervisor.send(supervisor::Message::Launch(Box::new(launch))) else { return };
    if let supervisor::Message::Launch(launch) = *message {
        end_unstarted(shared, *launch, Resolution::Requeue(Interruption::NeverStarted));
    }
}

/// Writes the end of an attempt that has not started.
fn end_unstarted(shared: &Arc<Shared>, launch: Launch, resolution: Resolution) {
    let end = AttemptFinisher::new(launch.record.id, launch.record.token, resolution, None);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        end.write(shared, Some(3)).await;
        drop(launch);
    });
}

/// Returns whether this node's scanner can run a scan, before it is leased. If that cannot be
/// determined, the lease decides.
async fn look_first(shared: &Shared, id: ScanId) -> Placement {
    let Some(offer) = shared.ports.offer.borrow().clone() else { return Placement::Here };
    // The request of a scan never changes, so the cached row is as good as the stored one.
    if shared.ports.snapshots.get(id).is_some_and(|known| offer.lacks(&known.record.request).is_empty()) {
        return Placement::Here;
    }
    let looked = async {
        let Some(record) = shared.ports.store.scans.get(id).await? else { return Ok(Placement::Here) };
        let ScanState::Pending { due, .. } = record.state else { return Ok(Placement::Here) };
        if offer.lacks(&record.request).is_empty() {
            return Ok(Placement::Here);
        }
        let waited = shared.ports.clock.now().duration_since(due);
        let nodes = shared.ports.store.nodes.all().await?;
        Ok::<Placement, StoreError>(place(
            &shared.config.id,
            &offer,
            &record.request,
            &nodes,
            Duration::try_from(waited).unwrap_or_default(),
        ))
    };
    match tokio::time::timeout(LEASE_LIMIT, looked).await {
        Ok(Ok(placement)) => placement,
        Ok(Err(_)) | Err(_) => Placement::Here,
    }
}

/// Returns how long a scan must wait because its target is held back. If that cannot be determined,
/// there is no wait.
async fn held_target(shared: &Shared, id: ScanId) -> Option<Duration> {
    let now = Instant::now();
    let held = shared.gate.targets_held(now);
    if held.is_empty() {
        return None;
    }
    // The request of a scan never changes, so the cached row is as good as the stored one.
    let target = match shared.ports.snapshots.get(id) {
        Some(known) => known.record.request.target.to_string(),
        None => tokio::time::timeout(LEASE_LIMIT, shared.ports.store.scans.get(id))
            .await
            .ok()?
            .ok()??
            .request
            .target
            .to_string(),
    };
    held.into_iter().find(|(one, _)| *one == target).map(|(_, until)| until.saturating_duration_since(now))
}

/// Releases a signal for a node whose scanner can run the scan.
///
/// First release: immediately, then wait [`STAND_ASIDE`] so that another node can take it, even if
/// the queue would deliver it to this node again and again. Second release of the same scan: no
/// capable node was free, so delay it by [`NOT_NOW`], so that this node makes progress with the
/// scans that it can run.
async fn leave(shared: &Shared, delivery: &Delivery, left: &mut HashMap<ScanId, Instant>) {
    let now = Instant::now();
    left.retain(|_, at| now.duration_since(*at) < 2 * NOT_NOW);
    if left.remove(&delivery.signal.id).is_some() {
        log(shared.ports.queue.release(&delivery.receipt, NOT_NOW).await);
    } else {
        left.insert(delivery.signal.id, now);
        log(shared.ports.queue.release(&delivery.receipt, Duration::ZERO).await);
        tokio::time::sleep(STAND_ASIDE).await;
    }
}

/// Returns the effect on a leased row that this node's scanner cannot run.
fn unfit(shared: &Shared, record: &ScanRecord, placement: Placement) -> Option<Resolution> {
    if let Placement::Nowhere(why) = placement {
        return Some(Resolution::Fail(Failure::new(FailureKind::UsageError, why)));
    }
    // The only node of its database leaves this to its scanner, which reports the plugins that it
    // does not have.
    let offer = shared.ports.offer.borrow().clone().filter(|_| !shared.config.sole_node)?;
    let lacking = offer.lacks(&record.request);
    if lacking.is_empty() {
        return None;
    }
    info!(
        scan.id = record.id.0,
        scan.plugins = lacking.join(","),
        "this node's scanner does not have all plugins of a scan; it goes back for another node"
    );
    shared.note_heterogeneous_cluster();
    Some(Resolution::Requeue(Interruption::NeverStarted))
}

/// Shows why the dispatcher takes no signal.
fn show_wait(shared: &Shared, starts: Starts) {
    let state = match starts {
        Starts::Stopping => "stopping".into(),
        Starts::Draining => "draining".into(),
        Starts::Paused => "the queue is paused".into(),
        Starts::NoLease => "waiting for the lease".into(),
        Starts::Unwell => match shared.gate.hold(shared.ports.clock.now()).node {
            Some(held) => format!("held back: {held}"),
            None => "waiting for the first check of this node".into(),
        },
        Starts::HeldBack { .. } => "held back: too many attempts of several targets failed".into(),
        // There is nothing to wait for.
        Starts::Allowed => return,
    };
    shared.show("dispatcher", state);
}

/// Logs a failed response to the queue. The queue then delivers the signal again, which does no
/// harm.
fn log(answer: Result<(), QueueError>) {
    if let Err(error) = answer {
        warn!(error = &error as &dyn std::error::Error, "could not answer the job queue");
    }
}
