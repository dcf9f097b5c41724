//! Notifies attempts of changes in their folders.
//!
//! All attempts share one inotify instance, because the system allows only few (128 per user).
//! Without an instance, and for lost events, the attempts also list their folders at a fixed
//! interval. The events make the detection fast; the listing makes it reliable.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

type Folders = Arc<Mutex<HashMap<PathBuf, Arc<Notify>>>>;

/// The shared watcher.
#[derive(Debug)]
pub(super) struct WatchHub {
    watcher: Option<Mutex<RecommendedWatcher>>,
    folders: Folders,
}

/// The watch of one attempt's folder.
#[derive(Debug)]
pub(super) struct FolderWatch {
    hub: Arc<WatchHub>,
    path: PathBuf,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WatchHub {
    /// Starts the watcher. Without `notices`, or if the system refuses an instance, the attempts
    /// only list their folders.
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

    /// Watches a folder until the watch is dropped, and notifies `changed`. Both this call and the
    /// drop may block briefly on the watcher's thread.
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
            // Fails only if the folder is gone, and the watch with it.
            let _gone_already = lock(watcher).unwatch(&self.path);
        }
    }
}

fn route(folders: &Mutex<HashMap<PathBuf, Arc<Notify>>>, event: notify::Result<notify::Event>) {
    let folders = lock(folders);
    match event {
        // Skips read accesses, because Kastrel's own reads must not look like changes.
        Ok(event) if matches!(event.kind, EventKind::Access(kind) if !matches!(kind, AccessKind::Close(notify::event::AccessMode::Write))) =>
            {}
        Ok(event) if !event.need_rescan() => {
            for path in &event.paths {
                // The log changes with the output, which is a separate sign of life.
                if path.file_name().is_some_and(|name| name == LOG_NAME) {
                    continue;
                }
                if let Some(changed) = path.parent().and_then(|folder| folders.get(folder)) {
                    changed.notify_one();
                }
            }
        }
        // Events were lost: all attempts list their folders.
        Ok(_) | Err(_) => folders.values().for_each(|changed| changed.notify_one()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn folder_change_notifies_only_its_own_attempt() {
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
    fn hub_without_notices_watches_nothing_and_does_not_fail() {
        let hub = WatchHub::start(false);
        drop(hub.watch(Path::new("/nowhere"), Arc::default()));
        assert!(lock(&hub.folders).is_empty());
    }
}
