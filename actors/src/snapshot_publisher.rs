//! Publishes the snapshots of scans that the actors change: to the snapshot cache of this process,
//! and to other processes.
//!
//! Owns the list of scans that a client of another process watches. Only for these it sends the
//! progress of an attempt; every committed row is sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::live::{LiveAttempt, SnapshotCache};
use crate::model::{FencingToken, ScanId, ScanRecord, ScanSnapshot};
use crate::ports::{FOLLOWED_FOR, LiveFeed};

/// The publisher.
pub(crate) struct SnapshotPublisher {
    snapshots: Arc<SnapshotCache>,
    feed: Arc<dyn LiveFeed>,
    /// The scans that a client of another process watches, and until when.
    followed: Mutex<HashMap<ScanId, Instant>>,
}

impl SnapshotPublisher {
    pub(crate) fn new(snapshots: Arc<SnapshotCache>, feed: Arc<dyn LiveFeed>) -> Self {
        Self { snapshots, feed, followed: Mutex::default() }
    }

    /// Publishes a committed row, here and to other processes.
    pub(crate) fn publish(&self, record: ScanRecord) {
        let id = record.id;
        self.snapshots.publish(record);
        self.send(id);
    }

    /// Publishes the row of an attempt that this node runs from now on, here and to other
    /// processes.
    pub(crate) fn publish_own(&self, record: ScanRecord) {
        self.snapshots.publish_own(record.clone());
        self.publish(record);
    }

    /// Publishes a change of an attempt that this node runs: here, and to other processes if one of
    /// them watches the scan.
    pub(crate) fn publish_progress(&self, id: ScanId, token: FencingToken, change: impl FnOnce(&mut LiveAttempt<'_>)) {
        self.snapshots.update_attempt(id, token, change);
        if self.followed().get(&id).is_some_and(|until| *until > Instant::now()) {
            self.send(id);
        }
    }

    /// Marks a scan as watched by another process: publishes its current state, and for a while the
    /// events of its attempt.
    pub(crate) fn follow(&self, id: ScanId) {
        let now = Instant::now();
        {
            let mut followed = self.followed();
            followed.retain(|_, until| *until > now);
            followed.insert(id, now + FOLLOWED_FOR);
        }
        self.send(id);
    }

    fn send(&self, id: ScanId) {
        if let Some(snapshot) = self.snapshots.get(id) {
            self.feed.publish(ScanSnapshot::clone(&snapshot));
        }
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<ScanId, Instant>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
