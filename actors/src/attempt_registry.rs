//! The attempts that this node has leased. The registry outlives the supervisor, so that a new
//! supervisor can clean up after the previous one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::{AttemptNumber, FencingToken, ScanId};
use crate::ports::AliveWatch;

/// An attempt that this node has leased, and the watch that shows when its processes are gone.
#[derive(Debug, Clone)]
pub(crate) struct RegistryEntry {
    pub(crate) token: FencingToken,
    pub(crate) attempt: AttemptNumber,
    pub(crate) failures: u32,
    pub(crate) alive_watch: Arc<AliveWatch>,
}

/// The registered attempts by scan, and their number for waiters.
#[derive(Debug)]
pub(crate) struct AttemptRegistry {
    entries: Mutex<HashMap<ScanId, RegistryEntry>>,
    count: watch::Sender<usize>,
}

impl Default for AttemptRegistry {
    fn default() -> Self {
        Self { entries: Mutex::default(), count: watch::Sender::new(0) }
    }
}

impl AttemptRegistry {
    pub(crate) fn insert(&self, id: ScanId, entry: RegistryEntry) {
        let mut entries = self.lock();
        entries.insert(id, entry);
        self.count.send_replace(entries.len());
    }

    /// Removes the attempt with this token; a newer attempt of the scan stays.
    pub(crate) fn remove(&self, id: ScanId, token: FencingToken) {
        let mut entries = self.lock();
        if entries.get(&id).is_some_and(|entry| entry.token == token) {
            entries.remove(&id);
            self.count.send_replace(entries.len());
        }
    }

    pub(crate) fn holds(&self, id: ScanId, token: FencingToken) -> bool {
        self.lock().get(&id).is_some_and(|entry| entry.token == token)
    }

    pub(crate) fn len(&self) -> usize {
        *self.count.borrow()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until no attempt is registered.
    pub(crate) async fn empty(&self) {
        // The sender lives in `self`, so that the wait ends only with an empty registry.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Returns all registered attempts.
    pub(crate) fn all(&self) -> Vec<(ScanId, RegistryEntry)> {
        self.lock().iter().map(|(id, entry)| (*id, entry.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ScanId, RegistryEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    fn entry(token: u64) -> RegistryEntry {
        let (_, alive_watch) = AliveWatch::new();
        RegistryEntry {
            token: FencingToken(token),
            attempt: AttemptNumber(1),
            failures: 0,
            alive_watch: Arc::new(alive_watch),
        }
    }

    #[tokio::test]
    async fn registry_wait_ends_with_the_last_attempt_only() {
        let registry = AttemptRegistry::default();
        registry.empty().await;
        registry.insert(ScanId(1), entry(1));
        registry.insert(ScanId(2), entry(1));
        let mut wait = pin!(registry.empty());
        let mut is_over = async || poll_fn(|context| Poll::Ready(wait.as_mut().poll(context).is_ready())).await;
        assert!(!is_over().await);
        registry.remove(ScanId(1), FencingToken(1));
        // The token of an earlier attempt removes nothing.
        registry.remove(ScanId(2), FencingToken(7));
        assert!(!is_over().await);
        assert_eq!((registry.len(), registry.all().len(), registry.holds(ScanId(2), FencingToken(1))), (1, 1, true));
        registry.remove(ScanId(2), FencingToken(1));
        assert!(is_over().await && registry.is_empty());
    }
}
