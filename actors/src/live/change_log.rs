//! Tracks which scans changed recently, so that a page of many scans need not watch each of them.
//!
//! Holds each scan once, with the revision of its last change, and drops the oldest beyond a bound.
//! A reader that is further behind must reload all scans.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::ScanId;

/// The maximum number of scans.
const KEPT: usize = 4_096;

/// The recently changed scans.
#[derive(Debug)]
pub struct ChangeLog {
    inner: Mutex<Inner>,
    revision: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    revision: u64,
    /// Changes up to this revision may have been dropped.
    forgotten: u64,
    by_revision: BTreeMap<u64, ScanId>,
    by_scan: HashMap<ScanId, u64>,
}

/// The changes after a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The changed scans, each once, in the order of their last change; empty if `all` is set.
    pub scans: Vec<ScanId>,
    /// True if more scans changed than are kept.
    pub all: bool,
    /// The current revision.
    pub revision: u64,
}

impl Default for ChangeLog {
    fn default() -> Self {
        Self { inner: Mutex::default(), revision: watch::Sender::new(0) }
    }
}

impl ChangeLog {
    /// Records that a scan changed.
    pub(crate) fn note(&self, id: ScanId) {
        let revision = {
            let mut inner = self.inner();
            inner.revision += 1;
            let revision = inner.revision;
            if let Some(before) = inner.by_scan.insert(id, revision) {
                inner.by_revision.remove(&before);
            }
            inner.by_revision.insert(revision, id);
            while inner.by_revision.len() > KEPT {
                let Some((oldest, id)) = inner.by_revision.pop_first() else { break };
                inner.by_scan.remove(&id);
                inner.forgotten = oldest;
            }
            revision
        };
        self.revision.send_replace(revision);
    }

    /// Records that every scan may have changed.
    pub(crate) fn note_all(&self) {
        let revision = {
            let mut inner = self.inner();
            inner.revision += 1;
            inner.forgotten = inner.revision;
            inner.by_revision.clear();
            inner.by_scan.clear();
            inner.revision
        };
        self.revision.send_replace(revision);
    }

    /// Returns a receiver for the revision.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Returns the changes after `revision`.
    #[must_use]
    pub fn since(&self, revision: u64) -> Changed {
        let inner = self.inner();
        if revision < inner.forgotten || revision > inner.revision {
            return Changed { scans: Vec::new(), all: true, revision: inner.revision };
        }
        let scans = inner.by_revision.range(revision + 1..).map(|(_, id)| *id).collect();
        Changed { scans, all: false, revision: inner.revision }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_list_each_scan_once_and_only_new_ones() {
        let changes = ChangeLog::default();
        for id in [1, 2, 1, 3] {
            changes.note(ScanId(id));
        }
        assert_eq!(changes.since(0), Changed { scans: vec![ScanId(2), ScanId(1), ScanId(3)], all: false, revision: 4 });
        assert_eq!(changes.since(3).scans, [ScanId(3)]);
        assert_eq!(changes.since(4).scans, []);
    }

    #[test]
    fn reader_too_far_behind_or_from_another_run_reloads_all() {
        let changes = ChangeLog::default();
        for id in 0..(KEPT as u64 + 10) {
            changes.note(ScanId(id));
        }
        assert!(changes.since(5).all && !changes.since(10).all && changes.since(u64::MAX).all);
        assert!(changes.inner().by_scan.len() <= KEPT);
    }

    #[tokio::test]
    async fn changes_follower_is_woken() {
        let changes = ChangeLog::default();
        let mut follower = changes.follow();
        changes.note(ScanId(1));
        follower.changed().await.unwrap();
        assert_eq!(*follower.borrow(), 1);
    }
}
