//! The known state of the queue, from which the reasons for waiting are derived: the pause, the
//! nodes, a fault of the job queue, and the order of the due scans.
//!
//! Concurrent callers share one refresh, and each refresh has a timeout: if the store does not
//! respond, the known state remains. When a reason for waiting changes, all watchers of waiting
//! scans are notified.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use super::ports::{Consistency, ServicePorts};
use crate::live::{Known, places};
use crate::model::{HeldBack, NodeRecord, ScanRecord, ScanRequest, ScanStatus};
use crate::policy::waiting::{QueueFacts, StartBlocker, Waiting, reasons, start_blockers};
use crate::ports::StoreError;

/// The timeout of a refresh.
const PATIENCE: Duration = Duration::from_secs(1);

/// The age from which the state is refreshed before it is used in a response.
const OLD: Duration = Duration::from_secs(3);

/// The number of due scans with a known position. Scans behind them have none.
const PLACES: usize = 1_000;

/// The state of the queue as this process knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct KnownQueue<'a>(pub(super) &'a ServicePorts);

impl KnownQueue<'_> {
    /// Returns all reasons why a scan does not start now, the decisive one first; empty if it is
    /// not pending.
    pub(super) async fn reasons(&self, record: &ScanRecord) -> Vec<Waiting> {
        if record.status() != ScanStatus::Pending {
            return Vec::new();
        }
        self.look().await;
        self.reasons_seen(record)
    }

    /// Returns why a scan waits, from the last refresh, which is at most a few seconds old while
    /// there are readers.
    pub(super) fn waiting_seen(&self, record: &ScanRecord) -> Option<Waiting> {
        if record.status() != ScanStatus::Pending {
            return None;
        }
        self.0.snapshots.queue.is_wanted.store(true, Ordering::Relaxed);
        self.reasons_seen(record).into_iter().next()
    }

    /// Like [`waiting_seen`](Self::waiting_seen), but refreshes first if there was no refresh in
    /// the last three seconds: the queue may have been paused or become unavailable since.
    pub(super) async fn waiting_soon(&self, record: &ScanRecord) -> Option<Waiting> {
        if record.status() == ScanStatus::Pending
            && self.0.snapshots.queue.known().at.is_none_or(|at| at.elapsed() > OLD)
        {
            self.look().await;
        }
        self.waiting_seen(record)
    }

    /// Returns the conditions that keep every scan from starting now, the most important first.
    pub(super) async fn start_blockers(&self) -> Vec<StartBlocker> {
        self.look().await;
        self.start_blockers_seen()
    }

    /// Like [`start_blockers`](Self::start_blockers), but from the last refresh.
    pub(super) fn start_blockers_seen(&self) -> Vec<StartBlocker> {
        self.0.snapshots.queue.is_wanted.store(true, Ordering::Relaxed);
        let (nodes, others) = self.0.snapshots.holds.nodes();
        let held = nodes.iter().map(|node| &node.held).min_by_key(|held| held.until).filter(|_| !others);
        let known = self.0.snapshots.queue.known();
        start_blockers(self.facts(&known), held)
    }

    /// Returns why no node starts a scan of this request, without reading the store.
    pub(super) fn held_back(&self, request: &ScanRequest) -> Option<HeldBack> {
        self.0.snapshots.holds.of(&request.target.to_string())
    }

    fn reasons_seen(&self, record: &ScanRecord) -> Vec<Waiting> {
        let known = self.0.snapshots.queue.known();
        reasons(
            record,
            self.facts(&known),
            self.held_back(&record.request).as_ref(),
            known.places.get(&record.id).copied(),
        )
    }

    fn facts<'k>(&self, known: &'k Known) -> QueueFacts<'k> {
        let runs = || {
            self.0.consistency == Consistency::SingleWriter
                || self.0.snapshots.status.infrastructure(self.0.clock.now()).state == "running"
        };
        QueueFacts {
            now: self.0.clock.now(),
            paused: known.paused.as_ref(),
            trouble: known.trouble.as_deref(),
            nodes: known.nodes.as_deref(),
            own_node: !self.0.snapshots.queue.has_no_node.load(Ordering::Relaxed) && runs(),
        }
    }

    /// Refreshes the state, unless it is current.
    async fn look(&self) {
        if !self.0.snapshots.queue.is_fresh() {
            self.look_now().await;
        }
    }

    /// Refreshes the state even if it is current, for changes that this process has just made.
    pub(super) async fn look_now(&self) {
        let asked = Instant::now();
        let look = async {
            let _turn = self.0.snapshots.queue.looking.lock().await;
            // Another task's refresh began after this one was requested.
            if self.0.snapshots.queue.known().at.is_some_and(|at| at > asked) {
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
        let trouble = self.0.queue.trouble();
        if self.0.snapshots.queue.known().trouble != trouble {
            self.know(Known { trouble: trouble.clone(), ..Known::clone(&self.0.snapshots.queue.known()) });
        }
        let paused = self.0.store.queue.paused().await?;
        let nodes: Arc<[NodeRecord]> = self.0.store.nodes.all().await?.into();
        let due = self.0.store.dispatch.due(Duration::ZERO, PLACES).await?;
        self.0.snapshots.see_holds(&nodes);
        self.know(Known { at: Some(at), paused, trouble, nodes: Some(nodes), places: places(due) });
        Ok(())
    }

    fn know(&self, known: Known) {
        let before = self.0.snapshots.queue.known();
        // Before the first refresh every waiting scan is shown as queued, so a state that blocks
        // none of them is not a change.
        let is_news = if before.at.is_none() {
            !start_blockers(self.facts(&known), None).is_empty()
        } else {
            known.differs(&before)
        };
        let are_places_news = before.at.is_none() || known.places != before.places;
        self.0.snapshots.queue.learn(known);
        if is_news {
            self.0.snapshots.reasons_changed();
        } else if are_places_news {
            self.0.snapshots.places_changed();
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{DueScan, Priority, ScanId};
    use crate::testing::fixtures;

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
}
