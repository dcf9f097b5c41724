//! The snapshot cache: the live state of scans, for readers that must never wait for an actor.
//!
//! Owns the last snapshot of each recently changed scan, and holds the parts of the live state that
//! change with them. Actors, the scan service and the replica sync publish to it; the web only
//! reads. It never decides anything, and all its content can be rebuilt from the store.

use std::collections::{HashMap, VecDeque, hash_map};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::live::node_status::scan_view;
use crate::live::{ChangeLog, Holds, LiveAttempt, NodeStatus, Offered, QueueGate, QueueState, Reads};
use crate::model::{
    ActorView, FencingToken, NodeHold, NodeId, NodeRecord, ScanId, ScanRecord, ScanSnapshot, ScanStatus,
};
use crate::policy::succession::{after_message, after_row};

/// The number of scans that are kept although they do not run: enough for the pages that clients
/// view, and bounded.
const KEPT: usize = 2_000;

/// The snapshot cache.
#[derive(Debug)]
pub struct SnapshotCache {
    scans: RwLock<Scans>,
    changes: ChangeLog,
    /// The actor tree and the restart budgets.
    pub status: NodeStatus,
    /// The reads of rows that are in progress.
    pub(crate) reads: Reads,
    /// The known state of the queue.
    pub queue: QueueState,
    /// The admission gate for submissions.
    pub(crate) gate: QueueGate,
    /// The holds of the nodes.
    pub holds: Holds,
    /// The scanner's offer.
    pub offered: Offered,
    /// The start of the millisecond counters in [`Entry`].
    began: Instant,
}

impl Default for SnapshotCache {
    fn default() -> Self {
        Self {
            scans: RwLock::default(),
            changes: ChangeLog::default(),
            status: NodeStatus::default(),
            reads: Reads::default(),
            queue: QueueState::default(),
            gate: QueueGate::default(),
            holds: Holds::default(),
            offered: Offered::default(),
            began: Instant::now(),
        }
    }
}

#[derive(Debug)]
struct Entry {
    sender: watch::Sender<Arc<ScanSnapshot>>,
    /// The last time when the snapshot matched the store or the scan's own node.
    confirmed_ms: AtomicU64,
    /// The last time when a caller claimed to refresh it.
    asked_ms: AtomicU64,
    /// The last time when the scan's own node was requested to publish it.
    followed_ms: AtomicU64,
    /// The token of the attempt that this process runs.
    own: Option<FencingToken>,
}

/// The value of a counter that was never set, so that the first claim always succeeds.
const NEVER: u64 = u64::MAX;

#[derive(Debug, Default)]
struct Scans {
    by_id: HashMap<ScanId, Entry>,
    /// The scans in the order of their insertion, for dropping the oldest.
    order: VecDeque<ScanId>,
}

impl SnapshotCache {
    /// Returns the last snapshot of a scan, if the cache has one.
    #[must_use]
    pub fn get(&self, id: ScanId) -> Option<Arc<ScanSnapshot>> {
        self.read(|scans| scans.by_id.get(&id).map(|entry| entry.sender.borrow().clone()))
    }

    /// Returns the last snapshot of a scan, and the time since it was last confirmed.
    #[must_use]
    pub fn get_with_age(&self, id: ScanId) -> Option<(Arc<ScanSnapshot>, Duration)> {
        let now = self.now_ms();
        self.read(|scans| scans.by_id.get(&id).map(|entry| (entry.sender.borrow().clone(), entry.age(now))))
    }

    /// Returns true if the caller must refresh this scan. At most one caller gets `true` every
    /// `every`, so a thousand readers of a stale snapshot cause one read of the store.
    pub fn claim_refresh(&self, id: ScanId, every: Duration) -> bool {
        let now = self.now_ms();
        self.read(|scans| scans.by_id.get(&id).is_some_and(|entry| claim(&entry.asked_ms, now, every)))
    }

    /// Returns true if the caller must request the scan's own node to publish it. At most one
    /// caller gets `true` every `every`.
    pub fn claim_follow(&self, id: ScanId, every: Duration) -> bool {
        let now = self.now_ms();
        self.read(|scans| scans.by_id.get(&id).is_some_and(|entry| claim(&entry.followed_ms, now, every)))
    }

    /// Returns the scans that have watchers and have not ended, with the time since each was last
    /// confirmed.
    #[must_use]
    pub fn watched(&self) -> Vec<(Arc<ScanSnapshot>, Duration)> {
        let now = self.now_ms();
        self.read(|scans| {
            let watched = scans.by_id.values().filter(|entry| entry.sender.receiver_count() > 0);
            let living = watched.map(|entry| (entry.sender.borrow().clone(), entry.age(now)));
            living.filter(|(snapshot, _)| !snapshot.status().is_terminal()).collect()
        })
    }

    /// Applies a snapshot from another process. Data older than the cache's own changes nothing.
    pub fn absorb(&self, other: ScanSnapshot) {
        let (id, project) = (other.record.id, other.record.project.clone());
        self.see(&other.record);
        let now = self.now_ms();
        self.write(|scans| {
            let entry = scans.put(ScanRecord::clone(&other.record), now);
            entry.sender.send_if_modified(|current| {
                let Some(next) = after_message(current, other) else { return false };
                *current = Arc::new(next);
                true
            });
        });
        self.changes.note(id, Some(&project));
    }

    /// Returns a receiver for all snapshots from now on, starting with the current one. The scan is
    /// inserted if the cache does not have it.
    pub fn watch(&self, record: ScanRecord) -> watch::Receiver<Arc<ScanSnapshot>> {
        let now = self.now_ms();
        self.write(|scans| scans.put(record, now).sender.subscribe())
    }

    /// Applies a committed row. A version older than the cached one changes nothing, so the order
    /// of publications does not matter.
    pub fn publish(&self, record: ScanRecord) {
        let (id, project) = (record.id, record.project.clone());
        self.see(&record);
        let now = self.now_ms();
        self.write(|scans| {
            scans.put(record, now);
        });
        self.changes.note(id, Some(&project));
    }

    /// Updates the admission gate if the scan no longer waits.
    fn see(&self, record: &ScanRecord) {
        if record.status() != ScanStatus::Pending {
            self.gate.left(record.id);
        }
    }

    /// Removes a deleted scan. Its watchers see that the channel is closed.
    pub fn remove(&self, id: ScanId) {
        self.gate.left(id);
        let removed = self.write(|scans| {
            scans.order.retain(|one| *one != id);
            scans.by_id.remove(&id)
        });
        let project = removed.map(|entry| entry.sender.borrow().record.project.clone());
        self.changes.note(id, project.as_ref());
    }

    /// Returns the recently changed scans.
    #[must_use]
    pub const fn changes(&self) -> &ChangeLog {
        &self.changes
    }

    /// Applies the row of an attempt that this process runs from now on.
    pub fn publish_own(&self, record: ScanRecord) {
        let (id, token) = (record.id, record.token);
        self.publish(record);
        self.write(|scans| {
            if let Some(entry) = scans.by_id.get_mut(&id) {
                entry.own = Some(token);
            }
        });
    }

    /// Records that this process does not run the attempt any more, whatever its row says.
    pub fn disown(&self, id: ScanId, token: FencingToken) {
        self.write(|scans| {
            if let Some(entry) = scans.by_id.get_mut(&id)
                && entry.own == Some(token)
            {
                entry.own = None;
            }
        });
    }

    /// Returns true if this process runs the attempt of this row.
    #[must_use]
    pub fn is_own(&self, record: &ScanRecord) -> bool {
        record.status() == ScanStatus::Running
            && self.read(|scans| scans.by_id.get(&record.id).is_some_and(|entry| entry.own == Some(record.token)))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    /// Applies a change of the running attempt under `token`. Ignored if the cached row is not
    /// running under that token.
    pub fn update_attempt(&self, id: ScanId, token: FencingToken, change: impl FnOnce(&mut LiveAttempt<'_>)) {
        self.read(|scans| {
            let Some(entry) = scans.by_id.get(&id) else { return };
            entry.sender.send_if_modified(|current| {
                if current.record.token != token || current.status() != ScanStatus::Running {
                    return false;
                }
                let snapshot = Arc::make_mut(current);
                snapshot.sequence += 1;
                change(&mut LiveAttempt(snapshot));
                true
            });
        });
        // The row of the attempt was published before, so the log knows its project.
        self.changes.note(id, None);
    }

    /// Returns all scans that this process runs now, oldest first.
    #[must_use]
    pub fn running(&self) -> Vec<Arc<ScanSnapshot>> {
        let mut running: Vec<_> = self.read(|scans| {
            scans.by_id.values().filter(|entry| entry.is_own()).map(|entry| entry.sender.borrow().clone()).collect()
        });
        running.sort_by_key(|snapshot| snapshot.record.id);
        running
    }

    /// Sets the holds of this process's own node.
    pub fn hold(&self, node: &NodeId, hold: NodeHold) {
        if self.holds.own(node, hold) {
            self.reasons_changed();
        }
    }

    /// Updates the holds of the nodes of other processes from their rows.
    pub(crate) fn see_holds(&self, nodes: &[NodeRecord]) {
        if self.holds.see(nodes) {
            self.reasons_changed();
        }
    }

    /// Notifies all readers of many scans, and the watchers of waiting scans, that the reasons for
    /// waiting have changed.
    pub(crate) fn reasons_changed(&self) {
        self.changes.note_all();
        self.places_changed();
    }

    /// Notifies the watchers of waiting scans that the positions in the queue have changed.
    pub(crate) fn places_changed(&self) {
        self.read(|scans| {
            let watched = scans.by_id.values().filter(|entry| entry.sender.receiver_count() > 0);
            for entry in watched {
                entry.sender.send_if_modified(|current| {
                    let waits = current.status() == ScanStatus::Pending;
                    if waits {
                        Arc::make_mut(current).sequence += 1;
                    }
                    waits
                });
            }
        });
    }

    /// Returns the current actor tree, with the actors of the scans that this process runs.
    #[must_use]
    pub fn supervision(&self, now: Timestamp) -> ActorView {
        let mut tree = self.status.infrastructure(now);
        if let Some(supervisor) = tree.children.iter_mut().find(|child| child.name == "supervisor") {
            supervisor.children = self.running().iter().filter_map(|snapshot| scan_view(snapshot)).collect();
        }
        tree
    }

    fn read<T>(&self, read: impl FnOnce(&Scans) -> T) -> T {
        read(&self.scans.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut Scans) -> T) -> T {
        write(&mut self.scans.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Scans {
    fn put(&mut self, record: ScanRecord, now_ms: u64) -> &Entry {
        if !self.by_id.contains_key(&record.id) {
            self.order.push_back(record.id);
            self.forget_some();
        }
        match self.by_id.entry(record.id) {
            hash_map::Entry::Vacant(vacant) => vacant.insert(Entry {
                sender: watch::Sender::new(Arc::new(ScanSnapshot::of(record))),
                confirmed_ms: AtomicU64::new(now_ms),
                asked_ms: AtomicU64::new(NEVER),
                followed_ms: AtomicU64::new(NEVER),
                own: None,
            }),
            hash_map::Entry::Occupied(occupied) => {
                let entry = occupied.into_mut();
                if record.version >= entry.sender.borrow().record.version {
                    entry.confirmed_ms.store(now_ms, Ordering::Relaxed);
                }
                entry.sender.send_if_modified(|current| {
                    // The same version is the same row.
                    if record.version <= current.record.version {
                        return false;
                    }
                    *current = Arc::new(after_row(current, record));
                    true
                });
                entry
            }
        }
    }

    fn forget_some(&mut self) {
        // Checks only a few entries, so that an insertion stays cheap even if all old entries are
        // still needed.
        for _ in 0..4 {
            if self.order.len() <= KEPT {
                break;
            }
            let Some(oldest) = self.order.pop_front() else { break };
            let needed =
                self.by_id.get(&oldest).is_some_and(|entry| entry.sender.receiver_count() > 0 || entry.is_own());
            if needed {
                self.order.push_back(oldest);
            } else {
                self.by_id.remove(&oldest);
            }
        }
    }
}

impl Entry {
    fn is_own(&self) -> bool {
        let snapshot = self.sender.borrow();
        snapshot.status() == ScanStatus::Running && self.own == Some(snapshot.record.token)
    }

    fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.confirmed_ms.load(Ordering::Relaxed)))
    }
}

/// Sets `last` to now unless it is less than `every` ago. Returns true if it was set.
fn claim(last: &AtomicU64, now_ms: u64, every: Duration) -> bool {
    let before = last.load(Ordering::Relaxed);
    let is_due = before == NEVER || u128::from(now_ms.saturating_sub(before)) >= every.as_millis();
    is_due && last.compare_exchange(before, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AttemptPhase, Command, PluginResult, PluginStatus, Resolution, Verdict};
    use crate::policy::transition::{Transition, transition};
    use crate::testing::fixtures;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn after(record: &ScanRecord, command: Command) -> ScanRecord {
        match transition(record, &command, at(5)) {
            Transition::Changed(next) => *next,
            Transition::Refused(refusal) => panic!("{refusal}"),
        }
    }

    fn leased(id: u64) -> ScanRecord {
        after(&fixtures::record(id, at(0)), Command::Lease { node: "a".parse().unwrap() })
    }

    #[test]
    fn an_older_row_never_replaces_a_newer_one() {
        let snapshots = SnapshotCache::default();
        let running = leased(1);
        let done = after(
            &running,
            Command::Finish {
                token: running.token,
                resolution: Resolution::Complete(Verdict::default()),
                plugins: None,
            },
        );
        snapshots.publish(done);
        snapshots.publish(running);
        assert_eq!(snapshots.get(ScanId(1)).unwrap().status(), ScanStatus::Completed);
    }

    #[test]
    fn live_attempt_data_stays_until_the_attempt_ends() {
        let snapshots = SnapshotCache::default();
        let running = leased(1);
        snapshots.publish(running.clone());
        snapshots.update_attempt(running.id, running.token, |live| {
            live.phase(AttemptPhase::Running).pid(7).plugins(vec![PluginResult::new("a", PluginStatus::InProgress)]);
        });
        let asked = after(
            &running,
            Command::Cancel { by: crate::model::CancelledBy::User, principal: crate::model::Principal::Anonymous },
        );
        snapshots.publish(asked.clone());
        assert_eq!(snapshots.get(ScanId(1)).unwrap().pid, Some(7));
        assert_eq!(snapshots.get(ScanId(1)).unwrap().plugins.len(), 1);
        snapshots.publish(after(
            &asked,
            Command::Finish {
                token: asked.token,
                resolution: Resolution::Requeue(crate::model::Interruption::Shutdown),
                plugins: None,
            },
        ));
        let ended = snapshots.get(ScanId(1)).unwrap();
        assert_eq!((ended.pid, ended.phase, ended.status()), (None, None, ScanStatus::Cancelled));
        snapshots.update_attempt(running.id, running.token, |live| {
            live.pid(8);
        });
        assert_eq!(snapshots.get(ScanId(1)).unwrap().pid, None, "news of an ended attempt are ignored");
    }

    #[test]
    fn snapshot_cache_drops_the_oldest_but_no_own_or_watched_scan() {
        let snapshots = SnapshotCache::default();
        snapshots.publish_own(leased(1));
        let watched = snapshots.watch(fixtures::record(2, at(0)));
        for id in 3..=(KEPT as u64 + 100) {
            snapshots.publish(fixtures::record(id, at(0)));
        }
        assert!(snapshots.get(ScanId(1)).is_some() && snapshots.get(ScanId(2)).is_some());
        assert!(snapshots.get(ScanId(3)).is_none());
        assert!(snapshots.read(|scans| scans.by_id.len()) <= KEPT);
        drop(watched);
    }

    #[test]
    fn snapshot_watcher_sees_each_change() {
        let snapshots = SnapshotCache::default();
        let mut watcher = snapshots.watch(fixtures::record(1, at(0)));
        assert!(!watcher.has_changed().unwrap());
        snapshots.publish(leased(1));
        assert!(watcher.has_changed().unwrap());
        assert_eq!(watcher.borrow_and_update().sequence, 1);
    }

    #[test]
    fn actor_tree_shows_running_scans_below_the_supervisor() {
        let snapshots = SnapshotCache::default();
        for name in ["node", "supervisor", "lease"] {
            snapshots.status.actor(name, at(0), |view| view.state = "running".into());
        }
        let running = leased(4);
        snapshots.publish_own(running.clone());
        snapshots.publish(leased(5));
        snapshots.update_attempt(running.id, running.token, |live| {
            live.phase(AttemptPhase::Stopping);
        });
        let tree = snapshots.supervision(at(9));
        assert_eq!(tree.name, "node");
        let supervisor = tree.children.iter().find(|child| child.name == "supervisor").unwrap();
        let shown: Vec<_> =
            supervisor.children.iter().map(|child| (child.name.as_str(), child.state.as_str())).collect();
        assert_eq!(shown, [("scan-4", "stopping")], "a scan that runs elsewhere is not this supervisor's");
        snapshots.disown(running.id, running.token);
        assert!(snapshots.running().is_empty() && !snapshots.is_own(&running));
    }
}
