//! The values of gauges: counts of the store and the queue, disk space, and the state of this node.
//! They are read on request and cached for the instruments, which cannot wait.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::model::{DeliveryBacklog, DueScan, Priority, ScanStatus};
use kastrel_actors::service::{ProcessReadings, ReportingService};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// The timeout of each read.
const PATIENCE: Duration = Duration::from_secs(2);
/// The maximum number of queued scans that are counted.
const MOST_WAITING: usize = 10_000;
/// The interval between reads if metrics are pushed, because no request triggers them.
const PUSH_EVERY: Duration = Duration::from_secs(15);

/// The queued scans of one priority.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Waiting {
    pub(crate) priority: &'static str,
    pub(crate) depth: u64,
    /// How long the oldest scan has been due, in seconds.
    pub(crate) oldest: f64,
}

/// The disk space of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) folder: &'static str,
    pub(crate) free: u64,
    pub(crate) size: u64,
}

/// The permits for event streams. An open stream holds one permit.
#[derive(Debug)]
pub(crate) struct OpenStreams {
    permits: Arc<Semaphore>,
    limit: usize,
}

impl OpenStreams {
    pub(crate) fn count(&self) -> u64 {
        self.limit.saturating_sub(self.permits.available_permits()) as u64
    }
}

/// The latest values. Unknown values are omitted.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    /// Always known, so it is counted on each collection.
    pub(crate) streams: Option<OpenStreams>,
    pub(crate) signals: Option<u64>,
    pub(crate) deliveries: Option<DeliveryBacklog>,
    pub(crate) running: Option<u64>,
    pub(crate) capacity: Option<u64>,
    pub(crate) store_up: Option<bool>,
    pub(crate) kast_memory: Option<u64>,
    pub(crate) lease_granted: Option<Instant>,
    pub(crate) scans: Vec<(&'static str, u64)>,
    pub(crate) nodes: Vec<(&'static str, u64)>,
    pub(crate) budgets: Vec<(&'static str, u64)>,
    pub(crate) queues: Vec<Waiting>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) actor_restarts: Vec<(String, u64)>,
}

/// The cached values; see the module docs.
#[derive(Debug, Clone, Default)]
pub struct Readings(Arc<Mutex<Latest>>);

/// The sources of the values.
#[derive(Clone)]
pub struct Sources {
    /// The values of the store, the queue and this process's actors.
    pub reporting: ReportingService,
    /// The number of slots of this process; `None` if it runs no scans.
    pub capacity: Option<usize>,
    /// The folders whose disk space is measured.
    pub folders: Vec<(&'static str, PathBuf)>,
}

impl Readings {
    pub(crate) fn look(&self, look: impl FnOnce(&Latest)) {
        look(&self.latest());
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Latest)) {
        change(&mut self.latest());
    }

    /// Counts open event streams from now on as the permits taken out of `limit`.
    pub fn watch_streams(&self, permits: Arc<Semaphore>, limit: usize) {
        self.change(|latest| latest.streams = Some(OpenStreams { permits, limit }));
    }

    /// Reads all values.
    pub async fn refresh(&self, sources: &Sources) {
        let ProcessReadings { at, stats, due, nodes, signals, deliveries, actors, budgets, running_here } =
            sources.reporting.readings(PATIENCE, MOST_WAITING).await;
        let disks = sources.folders.iter().filter_map(|(name, path)| disk(name, path)).collect();
        let restarts = actors.children.into_iter().map(|actor| (actor.name, u64::from(actor.restarts))).collect();
        self.change(|latest| {
            latest.store_up = Some(stats.is_some());
            latest.scans = stats
                .map(|stats| ScanStatus::ALL.iter().map(|status| (status.as_str(), stats.of(*status))).collect())
                .unwrap_or_default();
            latest.queues = due.map(|due| waiting(&due, at)).unwrap_or_default();
            latest.nodes = nodes
                .map(|nodes| {
                    let good = nodes.iter().filter(|node| node.is_alive).count();
                    vec![("good", good as u64), ("ended", (nodes.len() - good) as u64)]
                })
                .unwrap_or_default();
            latest.signals = signals.map(|depth| depth as u64);
            latest.deliveries = deliveries;
            latest.running = Some(running_here as u64);
            latest.capacity = Some(sources.capacity.unwrap_or(0) as u64);
            latest.disks = disks;
            latest.actor_restarts = restarts;
            latest.budgets = budgets.into_iter().map(|(name, left)| (name, left as u64)).collect();
        });
    }

    /// Reads all values periodically, for metrics that are pushed.
    pub fn keep_fresh(&self, sources: Sources) -> AbortOnDropHandle<()> {
        let readings = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                readings.refresh(&sources).await;
                tokio::time::sleep(PUSH_EVERY).await;
            }
        }))
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of due scans of each priority at `now`, and the longest time since a due time.
fn waiting(due: &[DueScan], now: Timestamp) -> Vec<Waiting> {
    let of = |priority: &Priority| {
        let mine = || due.iter().filter(|scan| scan.priority == *priority);
        let oldest = mine().map(|scan| now.duration_since(scan.due).as_secs_f64()).fold(0.0, f64::max);
        Waiting { priority: priority.as_str(), depth: mine().count() as u64, oldest }
    };
    Priority::ALL.iter().map(of).collect()
}

/// The disk space of a folder. If the folder does not exist yet, its nearest existing parent is
/// used.
fn disk(folder: &'static str, path: &Path) -> Option<Disk> {
    let existing = std::path::absolute(path).ok()?;
    let existing = existing.ancestors().find(|path| path.exists())?;
    let space = rustix::fs::statvfs(existing).ok()?;
    Some(Disk {
        folder,
        free: space.f_bavail.saturating_mul(space.f_frsize),
        size: space.f_blocks.saturating_mul(space.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ScanId;
    use kastrel_actors::testing::fixtures;

    use super::*;

    #[test]
    fn queued_scans_are_counted_by_priority() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let scan = |id, priority, due| DueScan {
            id: ScanId(id),
            priority,
            due: at(due),
            wait: Duration::ZERO,
            trace: fixtures::trace(),
        };
        let due = [scan(1, Priority::High, 90), scan(2, Priority::Normal, 40), scan(3, Priority::Normal, 70)];
        let shown: Vec<_> =
            waiting(&due, at(100)).into_iter().map(|one| (one.priority, one.depth, one.oldest)).collect();
        assert_eq!(shown, [("high", 1, 10.0), ("normal", 2, 60.0), ("low", 0, 0.0)]);
    }

    #[test]
    fn a_missing_folder_uses_the_disk_of_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let disk = disk("data", &dir.path().join("not/yet")).unwrap();
        assert!(disk.size >= disk.free && disk.size > 0);
    }
}
