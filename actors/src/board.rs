//! The live board: what is true right now, for readers that must never wait for an actor.
//!
//! Owns the last snapshot of each scan that changed recently and the state of each actor. Actors and the desk publish to it; the web only reads. It never decides anything, and everything
//! on it can be rebuilt from the store.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::changes::Changes;
use crate::model::{ActorFailure, ActorView, AttemptPhase, FencingToken, PluginResult, ScanId, ScanRecord, ScanSnapshot, ScanStatus};

/// How many scans that do not run are kept: enough for every page that people look at, bounded for those that nobody does.
const KEPT: usize = 2_000;

/// See the module.
#[derive(Debug, Default)]
pub struct LiveBoard {
    scans: RwLock<Scans>,
    actors: Mutex<BTreeMap<&'static str, ActorView>>,
    changes: Changes,
}

#[derive(Debug, Default)]
struct Scans {
    by_id: HashMap<ScanId, watch::Sender<Arc<ScanSnapshot>>>,
    /// In the order in which they came, for forgetting the oldest.
    order: VecDeque<ScanId>,
}

impl LiveBoard {
    /// The last snapshot of a scan, if it is on the board.
    #[must_use]
    pub fn get(&self, id: ScanId) -> Option<Arc<ScanSnapshot>> {
        self.read(|scans| scans.by_id.get(&id).map(|sender| sender.borrow().clone()))
    }

    /// Every snapshot from now on, beginning with the present one; the scan is put on the board if it is not there.
    pub fn watch(&self, record: ScanRecord) -> watch::Receiver<Arc<ScanSnapshot>> {
        self.write(|scans| scans.put(record).subscribe())
    }

    /// Shows a row as it was committed. An older version than the one on the board changes nothing, so the order of publications does not matter.
    pub fn publish(&self, record: ScanRecord) {
        let id = record.id;
        self.write(|scans| {
            scans.put(record);
        });
        self.changes.note(id);
    }

    /// Takes a scan that was deleted off the board; whoever watches it sees that there is nothing more to come.
    pub fn remove(&self, id: ScanId) {
        self.write(|scans| {
            scans.by_id.remove(&id);
            scans.order.retain(|one| *one != id);
        });
        self.changes.note(id);
    }

    /// Which scans changed lately.
    #[must_use]
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Shows what the attempt under `token` tells of itself; ignored if the row on the board is not running under that token.
    pub fn update_attempt(&self, id: ScanId, token: FencingToken, change: impl FnOnce(&mut LiveAttempt<'_>)) {
        self.read(|scans| {
            let Some(sender) = scans.by_id.get(&id) else { return };
            sender.send_if_modified(|current| {
                if current.record.token != token || current.status() != ScanStatus::Running {
                    return false;
                }
                let snapshot = Arc::make_mut(current);
                snapshot.sequence += 1;
                change(&mut LiveAttempt(snapshot));
                true
            });
        });
        self.changes.note(id);
    }

    /// All scans that run now, oldest first.
    #[must_use]
    pub fn running(&self) -> Vec<Arc<ScanSnapshot>> {
        let mut running: Vec<_> =
            self.read(|scans| scans.by_id.values().map(|sender| sender.borrow().clone()).filter(|snapshot| snapshot.status() == ScanStatus::Running).collect());
        running.sort_by_key(|snapshot| snapshot.record.id);
        running
    }

    /// Changes what is shown of an infrastructure actor.
    pub fn actor(&self, name: &'static str, now: Timestamp, change: impl FnOnce(&mut ActorView)) {
        let mut actors = self.actors();
        let view = actors.entry(name).or_insert_with(|| ActorView {
            name: name.into(),
            state: "starting".into(),
            since: now,
            restarts: 0,
            last_failure: None,
            children: Vec::new(),
        });
        let before = view.state.clone();
        change(view);
        if view.state != before {
            view.since = now;
        }
    }

    /// The actor tree as it is now.
    #[must_use]
    pub fn supervision(&self, now: Timestamp) -> ActorView {
        let mut actors = self.actors().clone();
        if let Some(supervisor) = actors.get_mut("supervisor") {
            supervisor.children = self.running().iter().filter_map(|snapshot| scan_view(snapshot)).collect();
        }
        let mut root = actors.remove("node").unwrap_or_else(|| ActorView {
            name: "node".into(),
            state: "not running".into(),
            since: now,
            restarts: 0,
            last_failure: None,
            children: Vec::new(),
        });
        root.children = actors.into_values().collect();
        root
    }

    fn actors(&self) -> MutexGuard<'_, BTreeMap<&'static str, ActorView>> {
        self.actors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, read: impl FnOnce(&Scans) -> T) -> T {
        read(&self.scans.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, write: impl FnOnce(&mut Scans) -> T) -> T {
        write(&mut self.scans.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Scans {
    fn put(&mut self, record: ScanRecord) -> &watch::Sender<Arc<ScanSnapshot>> {
        if !self.by_id.contains_key(&record.id) {
            self.order.push_back(record.id);
            self.forget_some();
        }
        match self.by_id.entry(record.id) {
            Entry::Vacant(vacant) => vacant.insert(watch::Sender::new(Arc::new(ScanSnapshot::of(record)))),
            Entry::Occupied(occupied) => {
                let sender = occupied.into_mut();
                sender.send_if_modified(|current| {
                    // A row of the same version is the same row.
                    if record.version <= current.record.version {
                        return false;
                    }
                    *current = Arc::new(succeed(current, record));
                    true
                });
                sender
            }
        }
    }

    fn forget_some(&mut self) {
        // Looks at a few only, so that an insertion stays cheap even when everything old is still needed.
        for _ in 0..4 {
            if self.order.len() <= KEPT {
                break;
            }
            let Some(oldest) = self.order.pop_front() else { break };
            let needed = self.by_id.get(&oldest).is_some_and(|sender| sender.receiver_count() > 0 || sender.borrow().status() == ScanStatus::Running);
            if needed {
                self.order.push_back(oldest);
            } else {
                self.by_id.remove(&oldest);
            }
        }
    }
}

/// The snapshot that follows `current` when its row becomes `record`.
fn succeed(current: &ScanSnapshot, record: ScanRecord) -> ScanSnapshot {
    let sequence = current.sequence + 1;
    let same_attempt = record.status() == ScanStatus::Running && record.token == current.record.token;
    if same_attempt { ScanSnapshot { record, sequence, ..current.clone() } } else { ScanSnapshot { sequence, ..ScanSnapshot::of(record) } }
}

fn scan_view(snapshot: &ScanSnapshot) -> Option<ActorView> {
    let phase = snapshot.phase?;
    let attempt = snapshot.record.last_attempt()?;
    let failure = snapshot.record.attempts.iter().rev().find_map(|attempt| match (&attempt.end, attempt.ended_at) {
        (Some(crate::model::AttemptEnd::Failed(failure)), Some(at)) => Some(ActorFailure { at, reason: format!("{}: {}", failure.kind, failure.detail) }),
        _ => None,
    });
    Some(ActorView {
        name: format!("scan-{}", snapshot.record.id),
        state: phase.to_string(),
        since: attempt.started_at,
        restarts: snapshot.record.failures,
        last_failure: failure,
        children: Vec::new(),
    })
}

/// What an attempt may change of its snapshot.
#[derive(Debug)]
pub struct LiveAttempt<'a>(&'a mut ScanSnapshot);

impl LiveAttempt<'_> {
    /// What the actor is doing.
    pub fn phase(&mut self, phase: AttemptPhase) -> &mut Self {
        self.0.phase = Some(phase);
        self
    }

    /// The process.
    pub fn pid(&mut self, pid: u32) -> &mut Self {
        self.0.pid = Some(pid);
        self
    }

    /// The plugins.
    pub fn plugins(&mut self, plugins: Vec<PluginResult>) -> &mut Self {
        self.0.plugins = plugins;
        self
    }

    /// A sign of life.
    pub fn alive(&mut self, at: Timestamp) -> &mut Self {
        self.0.last_progress_at = Some(at);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Command, PluginStatus, Resolution, Verdict};
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
        let board = LiveBoard::default();
        let running = leased(1);
        let done = after(&running, Command::Finish { token: running.token, resolution: Resolution::Complete(Verdict::default()), plugins: None });
        board.publish(done);
        board.publish(running);
        assert_eq!(board.get(ScanId(1)).unwrap().status(), ScanStatus::Completed);
    }

    #[test]
    fn an_attempts_news_stay_until_the_attempt_ends() {
        let board = LiveBoard::default();
        let running = leased(1);
        board.publish(running.clone());
        board.update_attempt(running.id, running.token, |live| {
            live.phase(AttemptPhase::Running).pid(7).plugins(vec![PluginResult::new("a", PluginStatus::InProgress)]);
        });
        let asked = after(&running, Command::Cancel { by: crate::model::CancelledBy::User });
        board.publish(asked.clone());
        assert_eq!(board.get(ScanId(1)).unwrap().pid, Some(7));
        assert_eq!(board.get(ScanId(1)).unwrap().plugins.len(), 1);
        board.publish(after(
            &asked,
            Command::Finish { token: asked.token, resolution: Resolution::Requeue(crate::model::Interruption::Shutdown), plugins: None },
        ));
        let ended = board.get(ScanId(1)).unwrap();
        assert_eq!((ended.pid, ended.phase, ended.status()), (None, None, ScanStatus::Cancelled));
        board.update_attempt(running.id, running.token, |live| {
            live.pid(8);
        });
        assert_eq!(board.get(ScanId(1)).unwrap().pid, None, "news of an ended attempt are ignored");
    }

    #[test]
    fn forgets_the_oldest_but_nothing_that_runs_or_is_watched() {
        let board = LiveBoard::default();
        board.publish(leased(1));
        let watched = board.watch(fixtures::record(2, at(0)));
        for id in 3..=(KEPT as u64 + 100) {
            board.publish(fixtures::record(id, at(0)));
        }
        assert!(board.get(ScanId(1)).is_some() && board.get(ScanId(2)).is_some());
        assert!(board.get(ScanId(3)).is_none());
        assert!(board.read(|scans| scans.by_id.len()) <= KEPT);
        drop(watched);
    }

    #[test]
    fn a_watcher_sees_each_change() {
        let board = LiveBoard::default();
        let mut watcher = board.watch(fixtures::record(1, at(0)));
        assert!(!watcher.has_changed().unwrap());
        board.publish(leased(1));
        assert!(watcher.has_changed().unwrap());
        assert_eq!(watcher.borrow_and_update().sequence, 1);
    }

    #[test]
    fn the_tree_shows_running_scans_below_the_supervisor() {
        let board = LiveBoard::default();
        for name in ["node", "supervisor", "lease"] {
            board.actor(name, at(0), |view| view.state = "running".into());
        }
        let running = leased(4);
        board.publish(running.clone());
        board.update_attempt(running.id, running.token, |live| {
            live.phase(AttemptPhase::Stopping);
        });
        let tree = board.supervision(at(9));
        assert_eq!(tree.name, "node");
        let supervisor = tree.children.iter().find(|child| child.name == "supervisor").unwrap();
        assert_eq!((supervisor.children[0].name.as_str(), supervisor.children[0].state.as_str()), ("scan-4", "stopping"));
    }
}
