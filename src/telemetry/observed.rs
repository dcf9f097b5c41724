//! Wraps the ports with observers.

use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::ScannerOffer;
use kastrel_actors::ports::{Clock, JobQueue, ScanRunner, ScanStore};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::Telemetry;
use super::observer::Observer;
use super::queue::{ObservedQueue, QueueSystem};
use super::runner::ObservedRunner;
use super::store::ObservedStore;

/// The shared observer of the ports of one process.
pub struct Observed(Observer);

/// Creates the observer for the ports of this process. Call it once, because the ports share its
/// state.
#[must_use]
pub fn observe(telemetry: &Telemetry, clock: Arc<dyn Clock>) -> Observed {
    Observed(Observer::new(telemetry, clock))
}

impl Observed {
    /// Wraps the store.
    #[must_use]
    pub fn store(&self, inner: Arc<dyn ScanStore>) -> Arc<dyn ScanStore> {
        Arc::new(ObservedStore::new(inner, self.0.clone()))
    }

    /// Wraps the queue.
    #[must_use]
    pub fn queue(&self, inner: Arc<dyn JobQueue>, is_redis: bool) -> Arc<dyn JobQueue> {
        Arc::new(ObservedQueue::new(
            inner,
            if is_redis { QueueSystem::Redis } else { QueueSystem::Local },
            self.0.clone(),
        ))
    }

    /// Wraps the runner; `offer` lists the available plugins.
    #[must_use]
    pub fn runner(
        &self,
        inner: Arc<dyn ScanRunner>,
        offer: watch::Receiver<Option<Arc<ScannerOffer>>>,
    ) -> Arc<dyn ScanRunner> {
        Arc::new(ObservedRunner::new(inner, self.0.clone(), offer))
    }

    /// Returns an observer for Redis calls that no port exposes. Its arguments are the operation,
    /// the kind of error, and the duration.
    pub fn redis_calls(&self) -> impl Fn(&'static str, Option<&'static str>, Duration) + Send + Sync + use<> {
        let instruments = Arc::clone(&self.0.instruments);
        move |operation, error, took| instruments.call(QueueSystem::Redis.as_str(), operation, error, took)
    }

    /// Measures the resource usage of the scanners of this process, as long as the handle lives.
    pub fn watch_processes(&self) -> AbortOnDropHandle<()> {
        self.0.groups.watch(Arc::clone(&self.0.instruments), self.0.readings.clone())
    }
}

impl std::fmt::Debug for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed").finish_non_exhaustive()
    }
}
