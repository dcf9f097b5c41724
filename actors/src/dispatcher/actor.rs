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
use crate::context::Shared;
use crate::model::{Command, Failure, FailureKind, Interruption, Resolution, ScanId, ScanRecord, ScanState};
use crate::policy::placement::{Placement, place};
use crate::ports::{Applied, Delivery, QueueError, StoreError};
use crate::attempt_finisher::AttemptFinisher;
use crate::supervisor::{self, Launch};
use crate::task::{self, persistence};

/// The longest that a lease of a row may take.
const LEASE_LIMIT: Duration = Duration::from_secs(5);

/// The pause after a lease that the store refused to this node or to all.
const NOT_NOW: Duration = Duration::from_secs(1);

/// How long a node that left a scan to others does not ask for the next.
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
        until_open(&shared).await;
        shared.show("dispatcher", "waiting for a job");
        let next = tokio::select! {
            next = shared.ports.queue.next() => next,
            () = until_closed(&shared) => continue,
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
        if !is_open(&shared) {
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
                // A queue whose clock runs ahead of the store's must not make us ask in a tight
                // circle.
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
                // At once and at its old place: another node may lease it.
                log(shared.ports.queue.release(&delivery.receipt, Duration::ZERO).await);
                // The store knows of an order that this node has not heard yet. The next signal
                // would fare no better.
                tokio::time::sleep(NOT_NOW).await;
            }
            Err(error) => {
                failures += 1;
                shared.show("dispatcher", "store not responding");
                // The lease may have been granted all the same: then the reconciler finds a running
                // row of ours that nobody runs.
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
    let answer = tokio::time::timeout(LEASE_LIMIT, shared.ports.store.apply(delivery.signal.id, command)).await;
    let answer = answer.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into())))?;
    debug!(scan.id = delivery.signal.id.0, "asked for a lease");
    if let Applied::Refused(_, record) = &answer {
        // Somebody else has changed it, and perhaps nobody here was told.
        shared.ports.snapshots.publish(record.clone());
    }
    Ok(decide(answer))
}

/// Gives the attempt to the supervisor of the moment. Without one, the row goes back as it was.
fn hand_over(shared: &Arc<Shared>, launch: Launch) {
    let Err(message) = shared.tell_supervisor(supervisor::Message::Launch(Box::new(launch))) else { return };
    if let supervisor::Message::Launch(launch) = *message {
        end_unstarted(shared, *launch, Resolution::Requeue(Interruption::NeverStarted));
    }
}

/// Writes the end of an attempt of which nothing has started.
fn end_unstarted(shared: &Arc<Shared>, launch: Launch, resolution: Resolution) {
    let end = AttemptFinisher::new(launch.record.id, launch.record.token, resolution, None);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        end.write(shared, Some(3)).await;
        drop(launch);
    });
}

/// Whether this node's scanner can run a scan, before it is leased. What cannot be found out is for
/// the lease to find out.
async fn look_first(shared: &Shared, id: ScanId) -> Placement {
    let Some(offer) = shared.ports.offer.borrow().clone() else { return Placement::Here };
    // What a scan asks for never changes, so the snapshot cache is as good as the store.
    if shared.ports.snapshots.get(id).is_some_and(|known| offer.lacks(&known.record.request).is_empty()) {
        return Placement::Here;
    }
    let looked = async {
        let Some(record) = shared.ports.store.get(id).await? else { return Ok(Placement::Here) };
        let ScanState::Pending { due, .. } = record.state else { return Ok(Placement::Here) };
        if offer.lacks(&record.request).is_empty() {
            return Ok(Placement::Here);
        }
        let waited = shared.ports.clock.now().duration_since(due);
        let nodes = shared.ports.store.nodes().await?;
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

/// How long a scan must wait because its target is held back. What cannot be found out delays
/// nothing.
async fn held_target(shared: &Shared, id: ScanId) -> Option<Duration> {
    let now = Instant::now();
    let held: Vec<(String, Instant)> =
        shared.breaker.borrow().targets_held(now).map(|(target, _, until)| (target.to_owned(), until)).collect();
    if held.is_empty() {
        return None;
    }
    // What a scan asks for never changes, so the snapshot cache is as good as the store.
    let target = match shared.ports.snapshots.get(id) {
        Some(known) => known.record.request.target.to_string(),
        None => {
            tokio::time::timeout(LEASE_LIMIT, shared.ports.store.get(id)).await.ok()?.ok()??.request.target.to_string()
        }
    };
    held.into_iter().find(|(one, _)| *one == target).map(|(_, until)| until.saturating_duration_since(now))
}

/// Gives a signal back for a node whose scanner can run the scan.
///
/// At first at once, while this node stands aside: whoever waits for a signal has it before this
/// node asks again, also where the queue would give it to the same node again and again. If it
/// comes back, nobody was free who could take it, and it waits for a while, so that this node gets
/// on with what it can run.
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

/// What becomes of a row that is leased, and that this node's scanner cannot run.
fn unfit(shared: &Shared, record: &ScanRecord, placement: Placement) -> Option<Resolution> {
    if let Placement::Nowhere(why) = placement {
        return Some(Resolution::Fail(Failure::new(FailureKind::UsageError, why)));
    }
    // The only node of its database leaves the answer to its scanner, which names what it does not
    // know.
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

fn is_open(shared: &Shared) -> bool {
    let now = Instant::now();
    let is_calm = shared.breaker.borrow().node_held(now).is_none();
    is_calm && shared.lease_is_good() && shared.directives.borrow().allow_scans() && shared.health.borrow().is_well()
}

/// Waits until an order forbids new scans, or the node lacks something. A lease that is lost or too
/// many failures may come as well while a job is awaited; those are rare, and looked at when the
/// job is there.
async fn until_closed(shared: &Shared) {
    let (mut directives, mut health) = (shared.directives.subscribe(), shared.health.subscribe());
    // The senders live in `shared`.
    tokio::select! {
        _ = directives.wait_for(|directives| !directives.allow_scans()) => {}
        _ = health.wait_for(|health| !health.is_well()) => {}
    }
}

/// Waits until the lease is trusted, the node is well, no order forbids new scans and no failures
/// hold them back.
async fn until_open(shared: &Shared) {
    let mut lease = shared.lease.subscribe();
    let mut directives = shared.directives.subscribe();
    let mut health = shared.health.subscribe();
    loop {
        let ordered = *directives.borrow_and_update();
        if !ordered.allow_scans() {
            shared.show(
                "dispatcher",
                if ordered.stopping {
                    "stopping"
                } else if ordered.drain.is_some() {
                    "draining"
                } else {
                    "the queue is paused"
                },
            );
            let _ = directives.changed().await;
            continue;
        }
        let state = *lease.borrow_and_update();
        let now = Instant::now();
        if !state.is_good(now, shared.ports.guard.now()) {
            shared.show("dispatcher", "waiting for the lease");
            // The sender lives in `shared`.
            let _ = lease.changed().await;
            continue;
        }
        let wellness = health.borrow_and_update().clone();
        if !wellness.is_well() {
            let held = shared.hold().node;
            shared.show(
                "dispatcher",
                held.map_or_else(
                    || "waiting for the first check of this node".into(),
                    |held| format!("held back: {held}"),
                ),
            );
            let _ = health.changed().await;
            continue;
        }
        let held = shared.breaker.borrow().node_held(now);
        match held {
            None => return,
            Some((_, until)) => {
                shared.show("dispatcher", "held back: too many attempts of several targets failed");
                tokio::time::sleep_until(until).await;
            }
        }
    }
}

/// A queue that does not take an answer delivers again, which does no harm.
fn log(answer: Result<(), QueueError>) {
    if let Err(error) = answer {
        warn!(error = &error as &dyn std::error::Error, "could not answer the job queue");
    }
}
