//! Putting observers around the ports.

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

/// What the observed ports of one process share.
pub struct Observed(Observer);

/// Observes the ports of this process. One call for all of them: they tell one span_rules.
#[must_use]
pub fn observe(telemetry: &Telemetry, clock: Arc<dyn Clock>) -> Observed {
    Observed(Observer::new(telemetry, clock))
}

impl Observed {
    /// The store, observed.
    #[must_use]
    pub fn store(&self, inner: Arc<dyn ScanStore>) -> Arc<dyn ScanStore> {
        Arc::new(ObservedStore::new(inner, self.0.clone()))
    }

    /// The queue, observed.
    #[must_use]
    pub fn queue(&self, inner: Arc<dyn JobQueue>, is_redis: bool) -> Arc<dyn JobQueue> {
        Arc::new(ObservedQueue::new(
            inner,
            if is_redis { QueueSystem::Redis } else { QueueSystem::Local },
            self.0.clone(),
        ))
    }

    /// The runner, observed; `offer` says which plugins there are.
    #[must_use]
    pub fn runner(
        &self,
        inner: Arc<dyn ScanRunner>,
        offer: watch::Receiver<Option<Arc<ScannerOffer>>>,
    ) -> Arc<dyn ScanRunner> {
        Arc::new(ObservedRunner::new(inner, self.0.clone(), offer))
    }

    /// Measures calls of Redis that no port shows: what they do, the kind of error, and how long
    /// they took.
    pub fn redis_calls(&self) -> impl Fn(&'static str, Option<&'static str>, Duration) + Send + Sync + use<> {
        let instruments = Arc::clone(&self.0.instruments);
        move |operation, error, took| instruments.call(QueueSystem::Redis.as_str(), operation, error, took)
    }

    /// Looks at what the scanners of this process use, as long as the handle lives.
    pub fn watch_processes(&self) -> AbortOnDropHandle<()> {
        self.0.groups.watch(Arc::clone(&self.0.instruments), self.0.readings.clone())
    }
}

impl std::fmt::Debug for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed").finish_non_exhaustive()
    }
}
