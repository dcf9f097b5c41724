//! Tracks which scans changed recently, so that a page of many scans need not watch each of them.
//!
//! Holds each scan once, with the revision of its last change, and drops the oldest beyond a bound.
//! A reader that is further behind must reload all scans.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::{ProjectFilter, ProjectId, ScanId};

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
    by_revision: BTreeMap<u64, Change>,
    by_scan: HashMap<ScanId, u64>,
}

/// The last change of a scan.
#[derive(Debug)]
struct Change {
    scan: ScanId,
    /// The project of the scan; `None` if it is unknown.
    project: Option<ProjectId>,
    /// The project that the scan left with this change.
    left: Option<ProjectId>,
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
    /// Records that a scan changed. The project may be unknown if the scan was deleted. If it is
    /// another one than at the last change, the readers of both projects get this change.
    pub(crate) fn note(&self, id: ScanId, project: Option<&ProjectId>) {
        let revision = {
            let mut inner = self.inner();
            inner.revision += 1;
            let revision = inner.revision;
            let before = inner.by_scan.insert(id, revision).and_then(|before| inner.by_revision.remove(&before));
            let before = before.and_then(|before| before.project);
            let left = before.clone().filter(|before| project.is_some_and(|project| project != before));
            let change = Change { scan: id, project: project.cloned().or(before), left };
            inner.by_revision.insert(revision, change);
            while inner.by_revision.len() > KEPT {
                let Some((oldest, change)) = inner.by_revision.pop_first() else { break };
                inner.by_scan.remove(&change.scan);
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

    /// Returns the changes after `revision` of the scans in these projects. A scan whose project is
    /// unknown is left out, unless the filter admits all projects.
    #[must_use]
    pub fn since(&self, revision: u64, projects: &ProjectFilter) -> Changed {
        let inner = self.inner();
        if revision < inner.forgotten || revision > inner.revision {
            return Changed { scans: Vec::new(), all: true, revision: inner.revision };
        }
        let admits = |change: &Change| match &change.project {
            Some(project) => projects.holds(project) || change.left.as_ref().is_some_and(|left| projects.holds(left)),
            None => *projects == ProjectFilter::All,
        };
        let changed = inner.by_revision.range(revision + 1..).map(|(_, changed)| changed);
        let scans = changed.filter(|change| admits(change)).map(|change| change.scan).collect();
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
            changes.note(ScanId(id), Some(&ProjectId::default()));
        }
        assert_eq!(
            changes.since(0, &ProjectFilter::All),
            Changed { scans: vec![ScanId(2), ScanId(1), ScanId(3)], all: false, revision: 4 }
        );
        assert_eq!(changes.since(3, &ProjectFilter::All).scans, [ScanId(3)]);
        assert_eq!(changes.since(4, &ProjectFilter::All).scans, []);
    }

    #[test]
    fn reader_gets_the_changes_of_its_projects_only() {
        let (changes, team): (_, ProjectId) = (ChangeLog::default(), "team".parse().unwrap());
        changes.note(ScanId(1), Some(&team));
        changes.note(ScanId(2), Some(&ProjectId::default()));
        // A deletion whose project is not known any more.
        changes.note(ScanId(1), None);
        changes.note(ScanId(3), None);
        let of = |projects: &ProjectFilter| changes.since(0, projects).scans;
        assert_eq!(of(&ProjectFilter::of(team)), [ScanId(1)]);
        assert_eq!(of(&ProjectFilter::All), [ScanId(2), ScanId(1), ScanId(3)]);
        assert_eq!(of(&ProjectFilter::Only(Default::default())), []);
    }

    #[test]
    fn readers_of_both_projects_get_a_transfer_and_no_later_change() {
        let (changes, team): (_, ProjectId) = (ChangeLog::default(), "team".parse().unwrap());
        changes.note(ScanId(1), Some(&ProjectId::default()));
        changes.note(ScanId(1), Some(&team));
        let of = |project: ProjectId| changes.since(0, &ProjectFilter::of(project)).scans;
        assert_eq!((of(ProjectId::default()), of(team.clone())), (vec![ScanId(1)], vec![ScanId(1)]));
        changes.note(ScanId(1), None);
        assert_eq!((of(ProjectId::default()), of(team.clone())), (vec![], vec![ScanId(1)]));
    }

    #[test]
    fn reader_too_far_behind_or_from_another_run_reloads_all() {
        let changes = ChangeLog::default();
        for id in 0..(KEPT as u64 + 10) {
            changes.note(ScanId(id), Some(&ProjectId::default()));
        }
        assert!(
            changes.since(5, &ProjectFilter::All).all
                && !changes.since(10, &ProjectFilter::All).all
                && changes.since(u64::MAX, &ProjectFilter::All).all
        );
        assert!(changes.inner().by_scan.len() <= KEPT);
    }

    #[tokio::test]
    async fn changes_follower_is_woken() {
        let changes = ChangeLog::default();
        let mut follower = changes.follow();
        changes.note(ScanId(1), None);
        follower.changed().await.unwrap();
        assert_eq!(*follower.borrow(), 1);
    }
}
