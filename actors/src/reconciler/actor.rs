use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, error, info, warn};

use crate::attempt_finisher::{AttemptFinisher, retry_or_fail};
use crate::context::Shared;
use crate::messages::scan::FinishOutcome;
use crate::model::{
    Command, Failure, FailureKind, FencingToken, Interruption, NodeId, PluginResult, Resolution, RunningScan, ScanId,
    ScanState,
};
use crate::policy::adoption::{Adoption, adoption};
use crate::policy::resume;
use crate::ports::{Applied, AttemptJob, JobSignal, StoreError};
use crate::task_actor::ActorTask;

/// The timeout of one reconciliation.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a row of this node must be without an owner before it is requeued. It is longer than a
/// dispatcher waits for the response to its lease, so no owner can appear later.
const GRACE: Duration = Duration::from_secs(10);
/// The maximum number of rows that one reconciliation signals; the next one signals the rest.
const SIGNALS: usize = 1_000;

/// Rows of this node without an owner, and when each was first seen without one. When a row is
/// first seen, its owner may just be starting.
type Suspects = HashMap<(ScanId, FencingToken), Instant>;

#[derive(Clone, Copy)]
pub(crate) struct Reconciler;

impl ActorTask for Reconciler {
    const NAME: &'static str = "reconciler";
    const STATE: &'static str = "watching";

    async fn run(self, shared: Arc<Shared>) {
        let mut suspects = Suspects::new();
        // Nodes of earlier runs that are known to be dead, until their scans are taken over.
        let mut dead = shared.config.previous.clone();
        let new_lease = Arc::new(Notify::new());
        let _leases = watch_for_new_leases(&shared, Arc::clone(&new_lease));
        loop {
            let work = look(Arc::clone(&shared), std::mem::take(&mut suspects), dead.clone());
            let result = tokio::time::timeout(LIMIT, work)
                .await
                .unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into())));
            match result {
                Ok(remaining) => {
                    suspects = remaining;
                    dead.clear();
                    shared.show("reconciler", "watching");
                }
                Err(error) => {
                    shared.show("reconciler", "store not responding");
                    warn!(error = &error as &dyn std::error::Error, "could not look for scans without an owner");
                }
            }
            // A random wait, so that the nodes do not reconcile at the same time.
            let wait = shared.config.rescue_every.mul_f64(rand::random_range(0.75..1.25));
            let _ = tokio::time::timeout(wait, new_lease.notified()).await;
        }
    }
}

/// Requests a reconciliation when the node gets a lease again, also while one is in progress: it
/// must write the results of attempts that ended without a lease before other nodes take over their
/// scans.
fn watch_for_new_leases(shared: &Arc<Shared>, new_lease: Arc<Notify>) -> AbortOnDropHandle<()> {
    let shared = Arc::clone(shared);
    AbortOnDropHandle::new(tokio::spawn(async move {
        // The first lease of the node is not a new one: the reconciler starts with it.
        shared.gate.lease_held().await;
        loop {
            shared.gate.lease_lost().await;
            shared.gate.lease_held().await;
            new_lease.notify_one();
        }
    }))
}

/// Reconciles this node's own rows and those of its dead predecessors, and those of the cluster
/// when it is this node's turn.
async fn look(shared: Arc<Shared>, suspects: Suspects, dead: Vec<NodeId>) -> Result<Suspects, StoreError> {
    let own = hand_back(&shared, suspects).await;
    for node in dead {
        succeed(&shared, &node).await?;
    }
    // Less than the interval, so that a single node gets every turn.
    if shared.ports.store.turns.claim_turn(&shared.config.id, shared.config.rescue_every.mul_f64(0.7)).await? {
        look_after_the_cluster(&shared).await?;
    }
    own
}

/// Takes over the scans of a node of an earlier run without waiting for its lease to expire. The
/// application that names such a node ensures that none of its processes is left.
async fn succeed(shared: &Arc<Shared>, node: &NodeId) -> Result<(), StoreError> {
    take_all_over(shared, shared.ports.store.dispatch.running_on(node).await?).await?;
    // This also ends the node's turn to reconcile the cluster.
    shared.ports.store.nodes.remove(node).await
}

async fn look_after_the_cluster(shared: &Arc<Shared>) -> Result<(), StoreError> {
    // Signal pending rows first, so that starts do not wait for the many rows that a dead node may
    // have left.
    if shared.config.adopts_waiting {
        signal_what_waits(shared).await?;
    }
    let mut orphans = shared.ports.store.dispatch.orphans().await?;
    // If this node's lease has ended, its own actors kill and requeue its scans.
    orphans.retain(|orphan| orphan.node != shared.config.id);
    take_all_over(shared, orphans).await
}

async fn signal_what_waits(shared: &Shared) -> Result<(), StoreError> {
    // Twice the interval, so that a scan is signalled before it is due and starts on time.
    for due in shared.ports.store.dispatch.due(shared.config.rescue_every.saturating_mul(2), SIGNALS).await? {
        let signal = JobSignal { id: due.id, priority: due.priority, due: due.due, trace: due.trace };
        if let Err(error) = shared.ports.queue.remind(signal, due.wait).await {
            warn!(error = &error as &dyn std::error::Error, "could not signal waiting scans; they wait for the queue");
            break;
        }
    }
    Ok(())
}

async fn take_all_over(shared: &Arc<Shared>, orphans: Vec<RunningScan>) -> Result<(), StoreError> {
    for orphan in orphans {
        let id = orphan.id;
        match take_over(shared, orphan).await {
            // A row that cannot be read must not block the others.
            Err(error @ StoreError::Corrupt(_)) => {
                error!(scan.id = id.0, error = &error as &dyn std::error::Error, "cannot take a scan over");
            }
            other => other?,
        }
    }
    Ok(())
}

async fn take_over(shared: &Arc<Shared>, orphan: RunningScan) -> Result<(), StoreError> {
    if adopt(shared, &orphan).await? {
        return Ok(());
    }
    // If the node may only be frozen, this node cannot determine whether the other's watchdog is
    // there to end its scans.
    let is_dead = shared.config.sole_node || shared.config.previous.contains(&orphan.node);
    let hint = if is_dead { "" } else { "; if it is frozen together with its watchdog, its scanner may still run" };
    let failure = Failure::new(FailureKind::NodeLost, format!("node {} lost its lease{hint}", orphan.node));
    let resolution = retry_or_fail(shared, failure, orphan.failures);
    let command = Command::Rescue { from: orphan.node.clone(), token: orphan.token, resolution };
    match shared.ports.store.scans.apply(orphan.id, command).await? {
        Applied::Committed(record) => {
            info!(scan.id = orphan.id.0, node.id = %orphan.node, status = %record.status(), "took a scan over from a node without a lease");
            if shared.config.adopts_waiting {
                shared.announce(record).await;
            } else {
                // Publishes the current state; the scan waits for a node that runs pending scans.
                shared.publisher.publish(record);
            }
        }
        Applied::Refused(_, record) => shared.ports.snapshots.publish(record),
        Applied::Missing => {}
    }
    Ok(())
}

/// Keeps the result of an attempt whose end no process observed, if the result is complete and on
/// this machine. Returns `false` if there is no such result; the row is then unchanged.
async fn adopt(shared: &Arc<Shared>, scan: &RunningScan) -> Result<bool, StoreError> {
    let Some(record) = shared.ports.store.scans.get(scan.id).await? else { return Ok(false) };
    let is_as_seen =
        record.token == scan.token && matches!(&record.state, ScanState::Running { node, .. } if *node == scan.node);
    if !is_as_seen {
        return Ok(false);
    }
    let remains = shared.ports.runner.remains(&AttemptJob::of(&record)).await;
    let kept = if shared.config.resume { resume::adopted(&record) } else { Some(Vec::new()) };
    let decided = adoption(remains.as_ref(), record.cancel_requested.is_some(), record.request.options.dry_run);
    let decided = match kept {
        Some(kept) => decided.with_kept(&kept),
        None => Adoption::Discard("its scanner is not known, so nobody knows which kept results belong to it"),
    };
    match decided {
        Adoption::Discard(why) => {
            debug!(
                scan.id = scan.id.0,
                scan.token = scan.token.0,
                "an attempt that nobody runs any more left no result that counts: {why}"
            );
            if shared.config.resume
                && let Some(plugins) = resume::salvaged(remains.as_ref(), &record)
            {
                info!(scan.id = scan.id.0, scan.token = scan.token.0, node.id = %scan.node, "keeping the results of the plugins that an attempt had completed");
                let command = Command::Progress { token: scan.token, scanner: None, plugins };
                shared.ports.store.scans.apply(scan.id, command).await?;
            }
            Ok(false)
        }
        Adoption::Adopt(verdict) => {
            info!(scan.id = scan.id.0, scan.token = scan.token.0, node.id = %scan.node, "an attempt had come to its end unseen; keeping its result");
            let plugins = verdict.plugins.clone();
            Ok(keep(shared, scan, Resolution::Adopt(verdict), plugins).await)
        }
        Adoption::Fail { failure, plugins } => {
            warn!(scan.id = scan.id.0, scan.token = scan.token.0, node.id = %scan.node, "an attempt had come to its end unseen: {}", failure.detail);
            Ok(keep(shared, scan, Resolution::Fail(failure), plugins).await)
        }
    }
}

/// Writes the end of an attempt whose end no process observed. Returns `true` even if the write
/// failed, because the result must not be discarded; the next reconciliation tries again.
async fn keep(shared: &Arc<Shared>, scan: &RunningScan, resolution: Resolution, plugins: Vec<PluginResult>) -> bool {
    match AttemptFinisher::new(scan.id, scan.token, resolution, Some(plugins)).write(Arc::clone(shared), Some(1)).await
    {
        FinishOutcome::Done | FinishOutcome::Superseded | FinishOutcome::Abandoned => true,
    }
}

/// Requeues the rows that run on this node and have had no owner for long enough. Returns the other
/// rows without an owner.
async fn hand_back(shared: &Arc<Shared>, suspects: Suspects) -> Result<Suspects, StoreError> {
    let running = shared.ports.store.dispatch.running_on(&shared.config.id).await?;
    let now = Instant::now();
    let mut remaining = Suspects::new();
    for scan in running.into_iter().filter(|scan| !shared.registry.holds(scan.id, scan.token)) {
        // A finished attempt needs no owner. It cannot be an attempt whose owner is still to come,
        // because that one has not started.
        if adopt(shared, &scan).await? {
            continue;
        }
        let since = suspects.get(&(scan.id, scan.token)).copied().unwrap_or(now);
        if now.duration_since(since) < GRACE {
            remaining.insert((scan.id, scan.token), since);
            continue;
        }
        warn!(scan.id = scan.id.0, "a scan of this node has no actor; handing it back");
        let back = AttemptFinisher::new(scan.id, scan.token, Resolution::Requeue(Interruption::Unowned), None);
        back.write(Arc::clone(shared), Some(1)).await;
    }
    Ok(remaining)
}
