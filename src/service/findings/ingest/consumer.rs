//! The consumer of the events after which findings change.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::{DomainEvent, OutboxEntry, OutboxKey, ProjectId, ScanId, ScanRecord};
use kastrel_actors::policy::ingest::ScanHead;
use kastrel_actors::ports::{Clock, DeliveryError, EventConsumer, ScanRepository, Stores};
use kastrel_actors::service::ingest::Ingestion;
use kastrel_findings::identity::TargetId;
use kastrel_findings::place::Origin;
use kastrel_findings::registry::Registry;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, Semaphore, SemaphorePermit, watch};
use tokio::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::read::ScanFiles;
use super::registry::{self, Catalogue};
use crate::error_chain::chain;
use crate::ports::ArtifactStore;

/// The name of the consumer, which the outbox stores.
const NAME: &str = "findings";

/// How long files of a scan may still come. Afterwards the plugins without files are read in part.
const FOR_FILES: Patience = Patience { age: SignedDuration::from_mins(15), tries: 5 };

/// How long a registry may still come: from the scanner of this node, or from another node whose
/// relay gets the entry. Afterwards findings without a severity of their own have none, until a
/// later scan sees them.
const FOR_REGISTRY: Patience = Patience { age: SignedDuration::from_hours(1), tries: 6 };

/// How many scans are held in memory at once.
const AT_ONCE: usize = 2;

/// The number of locks for scans.
const LOCKS: usize = 16;

/// How long a delivery waits for a task, from its start. It is well below the limit of a delivery,
/// so that the relay can still settle the other entries.
const WAITED_FOR: Duration = Duration::from_secs(5);

/// How long the result of a task is kept for the next delivery of its entry. The relay asks for it
/// at once. Afterwards an entry that failed is handled again, and one that did not is found to be
/// done.
const KEPT: Duration = Duration::from_mins(1);

/// Ingests scans that have ended, forgets deleted ones, and moves transferred ones.
///
/// A large scan may take longer than one delivery may last, and so may many small ones. So each
/// entry is a task of its own, which continues after the delivery, and a repeated delivery
/// waits for the task of the first one.
pub struct FindingsConsumer {
    work: Arc<Work>,
    running: Mutex<BTreeMap<OutboxKey, Running>>,
}

/// The task of an entry, and its result once it has ended.
struct Running {
    started: Instant,
    ended: watch::Receiver<Option<Ended>>,
    _task: AbortOnDropHandle<()>,
}

/// How a task ended, and when.
#[derive(Debug, Clone)]
struct Ended {
    result: Result<(), DeliveryError>,
    at: Instant,
}

/// How long something that is missing is waited for: while the scan ended less than `age` ago, and
/// while its entry was delivered at most `tries` times, because a node can be down for long.
struct Patience {
    age: SignedDuration,
    tries: u32,
}

/// How long an entry has waited.
#[derive(Debug, Clone, Copy)]
struct Waited {
    /// How long ago the scan ended.
    age: SignedDuration,
    /// How often its delivery has failed.
    failures: u32,
}

struct Work {
    /// The rights to hold the results of a scan in memory.
    permits: Semaphore,
    /// The locks of the scans with the same remainder of their numbers.
    by_scan: [AsyncMutex<()>; LOCKS],
    clock: Arc<dyn Clock>,
    scans: Arc<dyn ScanRepository>,
    ingestion: Ingestion,
    files: ScanFiles,
    catalogue: Catalogue,
}

impl FindingsConsumer {
    /// Creates the consumer.
    #[must_use]
    pub fn new(
        stores: &Stores,
        artifacts: Arc<dyn ArtifactStore>,
        catalogue: Catalogue,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let work = Work {
            scans: Arc::clone(&stores.scans),
            permits: Semaphore::new(AT_ONCE),
            by_scan: Default::default(),
            ingestion: Ingestion::new(Arc::clone(&stores.findings), Arc::clone(&clock)),
            clock,
            files: ScanFiles::new(artifacts),
            catalogue,
        };
        Self { work: Arc::new(work), running: Mutex::default() }
    }

    /// Returns the end of the entry's task, which is started if it does not run and did not just
    /// end.
    fn start(&self, entry: &OutboxEntry) -> (watch::Receiver<Option<Ended>>, Instant) {
        let mut running = self.running();
        // Another relay may have settled an entry whose task was started here.
        running.retain(|_, task| task.ended.borrow().as_ref().is_none_or(|ended| ended.at.elapsed() < KEPT));
        if let Some(known) = running.get(&entry.key) {
            return (known.ended.clone(), known.started);
        }
        let (sender, ended) = watch::channel(None);
        let (work, entry) = (Arc::clone(&self.work), entry.clone());
        let key = entry.key;
        let task = tokio::spawn(async move {
            let result = work.handle(&entry).await;
            sender.send_replace(Some(Ended { result, at: Instant::now() }));
        });
        let started = Instant::now();
        running.insert(key, Running { started, ended: ended.clone(), _task: AbortOnDropHandle::new(task) });
        (ended, started)
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<OutboxKey, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the end of a task. `None`: it still runs.
async fn end_of(mut ended: watch::Receiver<Option<Ended>>, started: Instant) -> Option<Result<(), DeliveryError>> {
    match tokio::time::timeout_at(started + WAITED_FOR, ended.wait_for(Option::is_some)).await {
        Ok(Ok(ended)) => ended.as_ref().map(|ended| ended.result.clone()),
        Ok(Err(_)) => Some(Err(later("the ingestion ended early"))),
        Err(_) => None,
    }
}

#[async_trait]
impl EventConsumer for FindingsConsumer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, event: &DomainEvent) -> bool {
        matches!(
            event,
            DomainEvent::ScanEnded { .. } | DomainEvent::ScanDeleted { .. } | DomainEvent::ScanTransferred { .. }
        )
    }

    async fn consume(&self, entries: &[OutboxEntry]) -> Result<(), DeliveryError> {
        let tasks: Vec<_> = entries.iter().map(|entry| (entry.key, self.start(entry))).collect();
        let mut ended = Vec::new();
        for (key, (task, started)) in tasks {
            ended.push((key, end_of(task, started).await));
        }
        // After an error among several entries the relay asks for each of them.
        if ended.len() == 1 || ended.iter().all(|(_, result)| *result == Some(Ok(()))) {
            let mut running = self.running();
            for (key, _) in ended.iter().filter(|(_, result)| result.is_some()) {
                running.remove(key);
            }
        }
        let still_runs = || Err(later("the ingestion still runs"));
        ended.into_iter().try_for_each(|(_, result)| result.unwrap_or_else(still_runs))
    }
}

impl std::fmt::Debug for FindingsConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FindingsConsumer").finish_non_exhaustive()
    }
}

impl Work {
    async fn handle(&self, entry: &OutboxEntry) -> Result<(), DeliveryError> {
        let scan = entry.key.scan;
        match &entry.event {
            DomainEvent::ScanEnded { at, .. } => self.ingest(scan, self.waited(*at, entry)).await,
            DomainEvent::ScanTransferred { from, at, .. } => {
                let turn = self.turn(scan).await?;
                self.leave(scan, from).await?;
                drop(turn);
                self.ingest(scan, self.waited(*at, entry)).await
            }
            DomainEvent::ScanDeleted { .. } => {
                let _turn = self.turn(scan).await?;
                self.ingestion.forget(scan).await.map_err(again)
            }
            _ => Ok(()),
        }
    }

    fn waited(&self, ended_at: Timestamp, entry: &OutboxEntry) -> Waited {
        Waited { age: self.clock.now().duration_since(ended_at), failures: entry.failures }
    }

    async fn ingest(&self, scan: ScanId, waited: Waited) -> Result<(), DeliveryError> {
        let Some(record) = self.scans.get(scan).await.map_err(again)? else {
            return self.ingestion.forget(scan).await.map_err(again);
        };
        let Some(head) = ScanHead::of(&record) else {
            debug!(scan.id = scan.0, "the scan says nothing about a target: it had no attempt, or no site of the web");
            return Ok(());
        };
        if self.ingestion.knows(scan, head.target(), head.order).await.map_err(again)? {
            return Ok(());
        }
        let registry = match registry::known(&self.catalogue, registry::OF_A_DELIVERY).await {
            Some(registry) => registry,
            None if FOR_REGISTRY.lasts(waited) => return Err(later("the scanner has not listed its issues yet")),
            None => {
                warn!(
                    scan.id = scan.0,
                    "findings were read without the scanner's registry of issues, which did not come"
                );
                Registry::default()
            }
        };
        let _turn = self.turn(scan).await?;
        let Some(read) = self.files.read(&record, &registry).await.map_err(again)? else { return Ok(()) };
        if read.is_partial {
            if FOR_FILES.lasts(waited) {
                return Err(later("not all files of the scan are there yet"));
            }
            warn!(scan.id = scan.0, "findings were read without some files of the scan, which did not come");
        }
        self.ingestion.ingest(&read.reading).await.map_err(again)?;
        self.follow(&record).await
    }

    /// Returns the right to hold the results of a scan in memory and to change what is stored of
    /// it. Two entries of one scan are not handled at once.
    async fn turn(&self, scan: ScanId) -> Result<(MutexGuard<'_, ()>, SemaphorePermit<'_>), DeliveryError> {
        let at = scan.0 % self.by_scan.len() as u64;
        let Some(own) = usize::try_from(at).ok().and_then(|at| self.by_scan.get(at)) else {
            return Err(later("the scan has no turn"));
        };
        Ok((own.lock().await, self.permits.acquire().await.map_err(again)?))
    }

    /// A scan that was deleted or transferred while it was ingested is not left behind.
    async fn follow(&self, before: &ScanRecord) -> Result<(), DeliveryError> {
        match self.scans.get(before.id).await.map_err(again)? {
            None => self.ingestion.forget(before.id).await.map_err(again),
            Some(now) if now.project != before.project => {
                self.leave(before.id, &before.project).await?;
                Err(later("the scan was transferred while it was ingested"))
            }
            Some(_) => Ok(()),
        }
    }

    /// Takes a scan out of its earlier project, and computes its target there anew from the other
    /// scans.
    async fn leave(&self, scan: ScanId, from: &ProjectId) -> Result<(), DeliveryError> {
        let Some(record) = self.scans.get(scan).await.map_err(again)? else {
            return self.ingestion.forget(scan).await.map_err(again);
        };
        // It has come back.
        if record.project == *from {
            return Ok(());
        }
        let Ok(origin) = Origin::of_target(&record.request.target.to_string()) else { return Ok(()) };
        self.ingestion.leave(TargetId::of(from.as_str(), &origin), scan).await.map_err(again)
    }
}

impl Patience {
    fn lasts(&self, waited: Waited) -> bool {
        waited.age < self.age || waited.failures < self.tries
    }
}

fn later(reason: &str) -> DeliveryError {
    DeliveryError { reason: reason.to_owned(), is_permanent: false }
}

/// The delivery can be repeated. The reason has the causes of the error.
fn again(error: impl std::error::Error) -> DeliveryError {
    later(&chain(&error))
}
