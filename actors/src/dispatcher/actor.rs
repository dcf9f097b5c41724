use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, error, warn};

use super::decide::{Dispatch, decide};
use super::message::Message;
use crate::context::Shared;
use crate::model::{Command, Interruption, Resolution};
use crate::ports::{Applied, Delivery, QueueError, StoreError};
use crate::record::Record;
use crate::supervisor::{self, Launch};
use crate::task::{self, persistence};

/// The longest that a lease of a row may take.
const LEASE_LIMIT: Duration = Duration::from_secs(5);

/// The pause after a lease that the store refused to this node or to all.
const NOT_NOW: Duration = Duration::from_secs(1);

pub(crate) struct Dispatcher;

pub(crate) struct Arguments {
    pub(crate) shared: Arc<Shared>,
    pub(crate) credits: Arc<Semaphore>,
}

impl Actor for Dispatcher {
    type Msg = Message;
    type State = AbortOnDropHandle<()>;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Message>, arguments: Arguments) -> Result<Self::State, ActorProcessingErr> {
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

    async fn handle(&self, _: ActorRef<Message>, message: Message, _: &mut Self::State) -> Result<(), ActorProcessingErr> {
        let Message::Ended(why) = message;
        Err(why.into())
    }
}

async fn pull(shared: Arc<Shared>, credits: Arc<Semaphore>) {
    let mut failures = 0;
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
                shared.show("dispatcher", "queue does not answer");
                warn!(tries = failures, error = &error as &dyn std::error::Error, "could not read the job queue");
                tokio::time::sleep(persistence(failures)).await;
                continue;
            }
        };
        if !is_open(&shared) {
            log(shared.ports.queue.release(&delivery.receipt, Duration::ZERO).await);
            continue;
        }
        match lease(&shared, &delivery).await {
            Ok(Dispatch::Launch(record)) => {
                failures = 0;
                hand_over(&shared, Launch { record: *record, credit });
                log(shared.ports.queue.acknowledge(&delivery.receipt).await);
            }
            Ok(Dispatch::Drop) => log(shared.ports.queue.acknowledge(&delivery.receipt).await),
            Ok(Dispatch::Later(wait)) => {
                // A queue whose clock runs ahead of the store's must not make us ask in a tight circle.
                log(shared.ports.queue.release(&delivery.receipt, wait.max(Duration::from_millis(100))).await);
            }
            Err(error @ StoreError::Corrupt(_)) => {
                error!(scan.id = delivery.signal.id.0, error = &error as &dyn std::error::Error, "the row of a scan cannot be read; leaving it alone");
                log(shared.ports.queue.acknowledge(&delivery.receipt).await);
            }
            Ok(Dispatch::NotNow) => {
                // At once and at its old place: another node may lease it.
                log(shared.ports.queue.release(&delivery.receipt, Duration::ZERO).await);
                // The store knows of an order that this node has not heard yet. The next signal would fare no better.
                tokio::time::sleep(NOT_NOW).await;
            }
            Err(error) => {
                failures += 1;
                shared.show("dispatcher", "store does not answer");
                // The lease may have been granted all the same: then the rescuer finds a running row of ours that nobody runs.
                warn!(scan.id = delivery.signal.id.0, tries = failures, error = &error as &dyn std::error::Error, "could not lease a scan");
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
        shared.ports.board.publish(record.clone());
    }
    Ok(decide(answer))
}

/// Gives the attempt to the supervisor of the moment. Without one, the row goes back as it was.
fn hand_over(shared: &Arc<Shared>, launch: Launch) {
    let Err(message) = shared.tell_supervisor(supervisor::Message::Launch(Box::new(launch))) else { return };
    if let supervisor::Message::Launch(launch) = *message {
        let back = Record::new(launch.record.id, launch.record.token, Resolution::Requeue(Interruption::NeverStarted), None);
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            back.write(shared, Some(3)).await;
            drop(launch);
        });
    }
}

fn is_open(shared: &Shared) -> bool {
    let now = Instant::now();
    shared.lease_is_good() && shared.orders.borrow().allow_scans() && shared.storm.borrow().is_none_or(|until| until <= now)
}

/// Waits until an order forbids new scans. A lease that is lost or a storm may come as well while a job is awaited; those are rare, and looked at when the job is there.
async fn until_closed(shared: &Shared) {
    // The sender lives in `shared`.
    let _ = shared.orders.subscribe().wait_for(|orders| !orders.allow_scans()).await;
}

/// Waits until the lease is trusted, no order forbids new scans and no storm is on.
async fn until_open(shared: &Shared) {
    let mut lease = shared.lease.subscribe();
    let mut orders = shared.orders.subscribe();
    loop {
        let ordered = *orders.borrow_and_update();
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
            let _ = orders.changed().await;
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
        let storm = *shared.storm.borrow();
        match storm.filter(|until| *until > now) {
            None => return,
            Some(until) => {
                shared.show("dispatcher", "held back: too many attempts failed");
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
