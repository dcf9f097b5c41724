//! Tells when something changes in the folders of running attempts.
//!
//! All attempts share one inotify instance, because the system allows few (128 a user). Where there
//! is none, and for whatever a notice is lost, the attempts list their folders again every now and
//! then: notices make it fast, listing makes it right.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::folder::LOG_NAME;

type Folders = Arc<Mutex<HashMap<PathBuf, Arc<Notify>>>>;

/// The shared watcher.
#[derive(Debug)]
pub(super) struct WatchHub {
    watcher: Option<Mutex<RecommendedWatcher>>,
    folders: Folders,
}

/// One attempt's part of it.
#[derive(Debug)]
pub(super) struct FolderWatch {
    hub: Arc<WatchHub>,
    path: PathBuf,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WatchHub {
    /// Starts the watcher; without `notices`, or where the system refuses one, only listing is
    /// left.
    pub(super) fn start(notices: bool) -> Arc<Self> {
        let folders: Folders = Arc::default();
        let routes = Arc::clone(&folders);
        let watcher = notices.then(|| notify::recommended_watcher(move |event| route(&routes, event)));
        let watcher = watcher.and_then(|started| {
            started
                .inspect_err(|error| tracing::warn!(%error, "file notices are unavailable; folders are listed instead"))
                .ok()
        });
        Arc::new(Self { watcher: watcher.map(Mutex::new), folders })
    }

    /// Watches a folder until the watch is dropped; `changed` is notified. Both may wait for the
    /// watcher's thread for a moment.
    pub(super) fn watch(self: &Arc<Self>, path: &Path, changed: Arc<Notify>) -> FolderWatch {
        if let Some(watcher) = &self.watcher {
            lock(&self.folders).insert(path.to_owned(), changed);
            if let Err(error) = lock(watcher).watch(path, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, "a folder is listed instead of watched");
            }
        }
        FolderWatch { hub: Arc::clone(self), path: path.to_owned() }
    }
}

impl Drop for FolderWatch {
    fn drop(&mut self) {
        if let Some(watcher) = &self.hub.watcher {
            lock(&self.hub.folders).remove(&self.path);
            // It fails only where the folder is gone, and with it the watch.
            let _gone_already = lock(watcher).unwatch(&self.path);
        }
    }
}

fn route(folders: &Mutex<HashMap<PathBuf, Arc<Notify>>>, event: notify::Result<notify::Event>) {
    let folders = lock(folders);
    match event {
        // Our own listing and reading must not look like a change.
        Ok(event) if matches!(event.kind, EventKind::Access(kind) if !matches!(kind, AccessKind::Close(notify::event::AccessMode::Write))) =>
            {}
        Ok(event) if !event.need_rescan() => {
            for path in &event.paths {
                // The log changes with the output, which counts on its own.
                if path.file_name().is_some_and(|name| name == LOG_NAME) {
                    continue;
                }
                if let Some(changed) = path.parent().and_then(|folder| folders.get(folder)) {
                    changed.notify_one();
                }
            }
        }
        // Notices were lost: everybody lists.
        Ok(_) | Err(_) => folders.values().for_each(|changed| changed.notify_one()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_reaches_only_its_own_attempt() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        std::fs::create_dir(&one).unwrap();
        std::fs::create_dir(&two).unwrap();
        let hub = WatchHub::start(true);
        let (in_one, in_two) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let _one = hub.watch(&one, Arc::clone(&in_one));
        let second = hub.watch(&two, Arc::clone(&in_two));
        std::fs::write(one.join("x.tmp"), "1").unwrap();
        std::fs::rename(one.join("x.tmp"), one.join("x.json")).unwrap();
        in_one.notified().await;
        drop(second);
        assert_eq!(lock(&hub.folders).len(), 1);
        let quiet = tokio::time::timeout(std::time::Duration::from_millis(50), in_two.notified()).await;
        assert!(quiet.is_err());
    }

    #[test]
    fn without_notices_nothing_is_watched_and_nothing_fails() {
        let hub = WatchHub::start(false);
        drop(hub.watch(Path::new("/nowhere"), Arc::default()));
        assert!(lock(&hub.folders).is_empty());
    }
}
