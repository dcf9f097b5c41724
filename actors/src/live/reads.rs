//! Single-flight reads: concurrent `get`s of the same scan share one store call, so a thousand
//! clients that begin to watch one scan at the same time cost the store one read.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::model::{ScanId, ScanRecord};
use crate::ports::{ScanRepository, StoreError};

type Read = BoxFuture<'static, Result<Option<ScanRecord>, Arc<StoreError>>>;

/// The reads in progress.
#[derive(Default)]
pub(crate) struct Reads(Mutex<HashMap<ScanId, WeakShared<Read>>>);

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").finish_non_exhaustive()
    }
}

impl Reads {
    /// Returns a row. The read may have started before this call, but it ends after it.
    pub(crate) async fn get(
        &self,
        store: &Arc<dyn ScanRepository>,
        id: ScanId,
    ) -> Result<Option<ScanRecord>, StoreError> {
        self.join(store, id).await.map_err(StoreError::shared)
    }

    /// Returns the read in progress, or starts a new one. It continues while any caller waits for
    /// it, even if the caller that started it is gone.
    fn join(&self, store: &Arc<dyn ScanRepository>, id: ScanId) -> Shared<Read> {
        let mut reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = reads.get(&id).and_then(WeakShared::upgrade).filter(|read| read.peek().is_none()) {
            return read;
        }
        reads.retain(|_, read| read.upgrade().is_some());
        let store = Arc::clone(store);
        let read = async move { store.get(id).await.map_err(Arc::new) }.boxed().shared();
        reads.extend(read.downgrade().map(|read| (id, read)));
        read
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::service::Services;
    use crate::testing::{Cluster, Fault, Faults, Script, ScriptedRunner, fixtures};

    #[tokio::test(start_paused = true)]
    async fn concurrent_gets_of_an_uncached_scan_cost_one_read() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let id = cluster.submit().await;
        let reads = Arc::new(AtomicU32::new(0));
        let failing = Arc::new(AtomicU32::new(0));
        let (counted, fails) = (Arc::clone(&reads), Arc::clone(&failing));
        let slow = Faults::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            if fails.load(Ordering::Relaxed) > 0 { Fault::Unreachable } else { Fault::Slow(Duration::from_secs(1)) }
        });
        let mut ports = cluster.service_ports_elsewhere();
        ports.store = ports.store.hooked(&slow);
        let (service, context) = (Services::new(ports).scans, fixtures::context());
        let ask = |id| futures_util::future::join_all((0..100).map(|_| service.scan(&context, id)).collect::<Vec<_>>());
        for answer in ask(id).await {
            assert_eq!(answer.unwrap().unwrap().record.id, id);
        }
        assert_eq!(reads.swap(0, Ordering::Relaxed), 1);

        // Concurrent gets of a scan that does not exist share one read too.
        assert!(ask(ScanId(99)).await.into_iter().all(|answer| answer.unwrap().is_none()));
        assert_eq!(reads.swap(0, Ordering::Relaxed), 1);

        // All callers get a failure with its cause, and it is not kept.
        failing.store(1, Ordering::Relaxed);
        for answer in ask(ScanId(99)).await {
            let error = answer.unwrap_err();
            assert_eq!(error.source().unwrap().to_string(), "an injected fault");
        }
        failing.store(0, Ordering::Relaxed);
        assert!(service.scan(&context, ScanId(99)).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn shared_read_survives_the_caller_that_started_it() {
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let id = cluster.submit().await;
        let slow = Faults::new(|| Fault::Slow(Duration::from_secs(1)));
        let mut ports = cluster.service_ports_elsewhere();
        ports.store = ports.store.hooked(&slow);
        let (service, context) = (Services::new(ports).scans, fixtures::context());
        let (first, second) =
            (tokio::time::timeout(Duration::from_millis(500), service.scan(&context, id)), service.scan(&context, id));
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_err());
        assert_eq!(second.unwrap().unwrap().record.id, id);
    }
}
