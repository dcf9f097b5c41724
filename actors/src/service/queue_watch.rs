//! The known state of the queue, from which the reasons for waiting are derived: the pause, the
//! nodes, a fault of the job queue, and the order of the due scans.
//!
//! - **Owns** the state of the last refresh. Concurrent callers share one refresh, and each refresh
//!   has a timeout: if the store does not respond, the known state remains.
//! - **A refresh is triggered** by a command of this process, by a page or a response that needs
//!   the current state, and by one task every few seconds while there are such readers.
//! - **A change is published**: when the reason for waiting changes, all watchers of waiting scans
//!   are notified.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::live::{Known, places};
use crate::model::{HeldBack, NodeRecord, ScanRecord, ScanRequest, ScanStatus};
use crate::policy::waiting::{QueueFacts, StartBlocker, Waiting, reasons, start_blockers};
use crate::ports::{Control, StoreError};
use crate::service::{Consistency, ScanService};

/// The timeout of a refresh.
const PATIENCE: Duration = Duration::from_secs(1);

/// The age from which the state is refreshed before it is used in a response.
const OLD: Duration = Duration::from_secs(3);

/// The refresh interval of the task while there are readers.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The refresh interval of the task without readers, if other processes change the queue: every
/// page shows the holds of the nodes.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);

/// The number of due scans with a known position. Scans behind them have none.
const PLACES: usize = 1_000;

impl ScanService {
    /// Returns all reasons why a scan does not start now, the decisive one first; empty if it is
    /// not pending.
    pub async fn reasons(&self, record: &ScanRecord) -> Vec<Waiting> {
        if record.status() != ScanStatus::Pending {
            return Vec::new();
        }
        self.look().await;
        self.reasons_seen(record)
    }

    /// Returns why a scan waits now.
    pub async fn waiting(&self, record: &ScanRecord) -> Option<Waiting> {
        self.reasons(record).await.into_iter().next()
    }

    /// Like [`waiting`](Self::waiting), but from the last refresh, which is at most a few seconds
    /// old while there are readers. For responses that must not wait.
    #[must_use]
    pub fn waiting_seen(&self, record: &ScanRecord) -> Option<Waiting> {
        if record.status() != ScanStatus::Pending {
            return None;
        }
        self.snapshots.queue.is_wanted.store(true, Ordering::Relaxed);
        self.reasons_seen(record).into_iter().next()
    }

    /// Like [`waiting_seen`](Self::waiting_seen), but refreshes first if there was no refresh in
    /// the last three seconds: the queue may have been paused or become unavailable since.
    pub async fn waiting_soon(&self, record: &ScanRecord) -> Option<Waiting> {
        if record.status() == ScanStatus::Pending && self.snapshots.queue.known().at.is_none_or(|at| at.elapsed() > OLD)
        {
            self.look().await;
        }
        self.waiting_seen(record)
    }

    /// Returns the conditions that keep every scan from starting now, the most important first.
    pub async fn start_blockers(&self) -> Vec<StartBlocker> {
        self.look().await;
        self.start_blockers_seen()
    }

    /// Like [`start_blockers`](Self::start_blockers), but from the last refresh.
    #[must_use]
    pub fn start_blockers_seen(&self) -> Vec<StartBlocker> {
        self.snapshots.queue.is_wanted.store(true, Ordering::Relaxed);
        let (nodes, others) = self.snapshots.holds.nodes();
        let held = nodes.iter().map(|node| &node.held).min_by_key(|held| held.until).filter(|_| !others);
        let known = self.snapshots.queue.known();
        start_blockers(self.facts(&known), held)
    }

    /// Returns why no node starts a scan of this request, without reading the store.
    #[must_use]
    pub fn held_back(&self, request: &ScanRequest) -> Option<HeldBack> {
        self.snapshots.holds.of(&request.target.to_string())
    }

    fn reasons_seen(&self, record: &ScanRecord) -> Vec<Waiting> {
        let known = self.snapshots.queue.known();
        reasons(
            record,
            self.facts(&known),
            self.held_back(&record.request).as_ref(),
            known.places.get(&record.id).copied(),
        )
    }

    fn facts<'a>(&self, known: &'a Known) -> QueueFacts<'a> {
        let runs = || {
            self.consistency == Consistency::SingleWriter
                || self.snapshots.status.infrastructure(self.clock.now()).state == "running"
        };
        QueueFacts {
            now: self.clock.now(),
            paused: known.paused.as_ref(),
            trouble: known.trouble.as_deref(),
            nodes: known.nodes.as_deref(),
            own_node: !self.snapshots.queue.has_no_node.load(Ordering::Relaxed) && runs(),
        }
    }

    /// Refreshes the state, unless it is current.
    async fn look(&self) {
        if !self.snapshots.queue.is_fresh() {
            self.look_now().await;
        }
    }

    /// Refreshes the state even if it is current, for changes that this process has just made.
    pub(crate) async fn look_now(&self) {
        let asked = Instant::now();
        let look = async {
            let _turn = self.snapshots.queue.looking.lock().await;
            // Another task's refresh began after this one was requested.
            if self.snapshots.queue.known().at.is_some_and(|at| at > asked) {
                return Ok(());
            }
            self.see(Instant::now()).await
        };
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(error = &error as &dyn std::error::Error, "could not look at the queue"),
            Err(_) => debug!("the look at the queue took too long"),
        }
    }

    async fn see(&self, at: Instant) -> Result<(), StoreError> {
        // Update this before the store is read, because it is also valid if the store does not
        // respond.
        let trouble = self.queue.trouble();
        if self.snapshots.queue.known().trouble != trouble {
            self.know(Known { trouble: trouble.clone(), ..Known::clone(&self.snapshots.queue.known()) });
        }
        let paused = self.store.queue.paused().await?;
        let nodes: Arc<[NodeRecord]> = self.store.nodes.all().await?.into();
        let due = self.store.dispatch.due(Duration::ZERO, PLACES).await?;
        self.snapshots.see_holds(&nodes);
        self.know(Known { at: Some(at), paused, trouble, nodes: Some(nodes), places: places(due) });
        Ok(())
    }

    fn know(&self, known: Known) {
        let before = self.snapshots.queue.known();
        // Before the first refresh every waiting scan is shown as queued, so a state that blocks
        // none of them is not a change.
        let is_news = if before.at.is_none() {
            !start_blockers(self.facts(&known), None).is_empty()
        } else {
            known.differs(&before)
        };
        let are_places_news = before.at.is_none() || known.places != before.places;
        self.snapshots.queue.learn(known);
        if is_news {
            self.snapshots.reasons_changed();
        } else if are_places_news {
            self.snapshots.places_changed();
        }
    }
}

/// Starts the task that refreshes the scan service's state of the queue. The task ends when the
/// handle is dropped.
#[must_use = "the task ends when its handle is dropped"]
pub fn start(service: ScanService) -> AbortOnDropHandle<()> {
    let mut directives = service.bus.subscribe();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked: Option<Instant> = None;
        let mut is_deaf = false;
        loop {
            let is_ordered = tokio::select! {
                _ = ticks.tick() => false,
                order = directives.recv(), if !is_deaf => match order {
                    // A pause, its end, or a drain, by any process.
                    Ok(Control::RefreshDirectives(_)) => true,
                    Ok(_) | Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => {
                        is_deaf = true;
                        continue;
                    }
                },
            };
            let is_watched =
                || service.snapshots.watched().iter().any(|(scan, _)| scan.status() == ScanStatus::Pending);
            let is_wanted = service.snapshots.queue.is_wanted.swap(false, Ordering::Relaxed) || is_watched();
            let is_due =
                looked.is_none_or(|at| service.consistency == Consistency::MultiWriter && at.elapsed() >= LOOK_ANYWAY);
            if is_ordered || is_wanted || is_due {
                service.look_now().await;
                looked = Some(Instant::now());
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{DueScan, Priority, ScanId, TargetHold};
    use crate::node;
    use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

    #[test]
    fn queue_positions_follow_priority_then_due_time_then_number() {
        let due = |id, priority, second| DueScan {
            id: ScanId(id),
            priority,
            due: Timestamp::from_second(second).unwrap(),
            wait: Duration::ZERO,
            trace: fixtures::trace(),
        };
        let places = places(vec![
            due(1, Priority::Low, 1),
            due(2, Priority::Normal, 9),
            due(4, Priority::Normal, 5),
            due(3, Priority::Normal, 5),
            due(5, Priority::High, 99),
        ]);
        let mut order: Vec<_> = places.into_iter().map(|(id, place)| (place, id.0)).collect();
        order.sort_unstable();
        assert_eq!(order, [(1, 5), (2, 3), (3, 4), (4, 2), (5, 1)]);
    }

    fn name(waiting: Option<&Waiting>) -> &'static str {
        waiting.map_or("none", Waiting::name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_sees_each_change_of_the_reason() {
        let second = Duration::from_secs(1);
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let mut web = cluster.service_elsewhere();
        web.consistency = Consistency::MultiWriter;
        web.snapshots.queue.expect_no_node();
        let _watch = start(web.clone());
        let id = cluster.submit().await;
        let mut watched = web.watch(id).await.unwrap().unwrap();
        let mut until = async |wanted: &str| {
            let found = watched.wait_for(|now| name(web.waiting_seen(&now.record).as_ref()) == wanted);
            tokio::time::timeout(10 * second, found).await.unwrap_or_else(|_| panic!("never {wanted}")).unwrap();
        };
        until("no_worker").await;
        web.pause(Some("an upgrade".into())).await.unwrap();
        until("paused").await;
        let _node =
            node::start(crate::NodeConfig::new("a".parse().unwrap(), 1), cluster.ports_elsewhere()).await.unwrap();
        web.resume().await.unwrap();
        // The one slot goes to the first scan; the second one has a position in the queue.
        let second_scan = cluster.submit().await;
        cluster.until_status(id, ScanStatus::Running).await;
        let record = cluster.row(second_scan).await;
        tokio::time::sleep(second).await;
        assert_eq!(web.waiting(&record).await, Some(Waiting::Queued { position: Some(1), interrupted: None }));
        let blockers = web.start_blockers().await;
        assert!(blockers.is_empty(), "{blockers:?}");
        let hold = TargetHold {
            target: "example.com".into(),
            held: HeldBack { since: Timestamp::UNIX_EPOCH, until: Timestamp::MAX, faults: Vec::new() },
        };
        web.snapshots.hold(&"own".parse().unwrap(), crate::model::NodeHold { node: None, targets: vec![hold] });
        assert!(web.start_blockers_seen().is_empty(), "a target that is held back blocks no other");
    }
}
