//! Observes the store: derives spans and counts from each commit, and measures each call. The inner
//! store does all other work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use kastrel_actors::model::{
    Command, DayOutcomes, Deleted, DueScan, ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused, NodeRecord,
    NodeRegistration, PastRun, QueuePause, RunningScan, RunsLike, ScanId, ScanPage, StoreStats, Submitted,
};
use kastrel_actors::ports::{Applied, ScanStore, StoreError};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use tokio::time::Instant;

use super::catalog::{attribute, span};
use super::observer::Observer;
use super::span_rules::Asked;

const SYSTEM: &str = "surrealdb";

/// The observed store; see the module docs.
pub(crate) struct ObservedStore {
    inner: Arc<dyn ScanStore>,
    observer: Observer,
    /// True while this process's node holds a lease, as far as this observer has seen. A node that
    /// registers again has lost its lease.
    has_lease: AtomicBool,
}

fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unavailable(_) => "unavailable",
        StoreError::Corrupt(_) => "corrupt",
    }
}

impl ObservedStore {
    pub(crate) fn new(inner: Arc<dyn ScanStore>, observer: Observer) -> Self {
        Self { inner, observer, has_lease: AtomicBool::new(false) }
    }

    async fn timed<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.observer.timed(SYSTEM, operation, call, kind).await
    }

    fn granted(&self) {
        self.has_lease.store(true, Ordering::Relaxed);
        self.observer.instruments.renewed("granted");
        self.observer.readings.change(|latest| latest.lease_granted = Some(Instant::now()));
    }

    fn lost(&self) {
        if self.has_lease.swap(false, Ordering::Relaxed) {
            self.observer.instruments.lease_lost();
        }
    }
}

#[async_trait]
impl ScanStore for ObservedStore {
    /// Opens the span first, because the row stores its context.
    async fn submit(&self, mut scan: NewScan) -> Result<Submitted, StoreError> {
        let request = &scan.request;
        let attributes = vec![
            KeyValue::new(attribute::SCAN_MODE, request.mode.as_str()),
            KeyValue::new(attribute::SCAN_PRIORITY, request.priority.as_str()),
            KeyValue::new(attribute::SERVER_ADDRESS, request.target.host().to_string()),
        ];
        let priority = request.priority.as_str();
        let mut open = self.observer.spans.open(
            span::SCAN_SUBMIT,
            SpanKind::Internal,
            scan.trace,
            self.observer.clock.now(),
            attributes,
        );
        if let Some(open) = &open {
            scan.trace = open.context;
        }
        let answer = self.timed("submit", self.inner.submit(scan)).await;
        match &answer {
            Ok(submitted) => {
                let (row, created) = match submitted {
                    Submitted::Created(row) => (row, true),
                    Submitted::Existing(row) => (row, false),
                };
                if created {
                    self.observer.note(row);
                    self.observer.instruments.submitted(priority);
                }
                if let Some(open) = &mut open {
                    open.set(KeyValue::new(attribute::SCAN_ID, i64::try_from(row.id.0).unwrap_or(i64::MAX)));
                    open.set(KeyValue::new(attribute::SCAN_CREATED, created));
                }
            }
            Err(error) => {
                if let Some(open) = &mut open {
                    open.fail(kind(error));
                }
            }
        }
        if let Some(open) = open {
            open.end(self.observer.clock.now());
        }
        answer
    }

    async fn submitted(&self, key: &str) -> Result<Option<kastrel_actors::model::ScanRecord>, StoreError> {
        self.timed("submitted", self.inner.submitted(key)).await
    }

    async fn get(&self, id: ScanId) -> Result<Option<kastrel_actors::model::ScanRecord>, StoreError> {
        self.timed("get", self.inner.get(id)).await
    }

    async fn apply(&self, id: ScanId, command: Command) -> Result<Applied, StoreError> {
        let asked = Asked::of(&command);
        let start = self.observer.clock.now();
        let answer = self.timed(asked.operation(), self.inner.apply(id, command)).await;
        if let Ok(Applied::Committed(row)) = &answer {
            self.observer.committed(&asked, row, start);
        }
        answer
    }

    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError> {
        self.timed("list", self.inner.list(query)).await
    }

    async fn delete(&self, id: ScanId) -> Result<Deleted, StoreError> {
        self.timed("delete", self.inner.delete(id)).await
    }

    async fn outcomes(&self, since: Date) -> Result<Vec<DayOutcomes>, StoreError> {
        self.timed("outcomes", self.inner.outcomes(since)).await
    }

    async fn past_runs(&self, like: Option<RunsLike>, limit: usize) -> Result<Vec<PastRun>, StoreError> {
        self.timed("past_runs", self.inner.past_runs(like, limit)).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.timed("stats", self.inner.stats()).await
    }

    async fn due(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError> {
        self.timed("due", self.inner.due(within, limit)).await
    }

    async fn running_on(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError> {
        self.timed("running_on", self.inner.running_on(node)).await
    }

    async fn orphans(&self) -> Result<Vec<RunningScan>, StoreError> {
        self.timed("orphans", self.inner.orphans()).await
    }

    async fn register_node(&self, node: NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError> {
        // A node that registers has killed the scans of its earlier lease. The loss is counted
        // before the call, because the database may not respond for long.
        self.lost();
        let answer = self.timed("register_node", self.inner.register_node(node, ttl)).await;
        match &answer {
            Ok(_) => self.granted(),
            Err(_) => self.observer.instruments.renewed("error"),
        }
        answer
    }

    async fn renew_node(
        &self,
        node: NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError> {
        let answer = self.timed("renew_node", self.inner.renew_node(node, ttl)).await;
        match &answer {
            Ok(Ok(_)) => self.granted(),
            Ok(Err(NodeLeaseRefused)) => {
                self.observer.instruments.renewed("refused");
                self.lost();
            }
            Err(_) => self.observer.instruments.renewed("error"),
        }
        answer
    }

    async fn remove_node(&self, node: &NodeId) -> Result<(), StoreError> {
        let answer = self.timed("remove_node", self.inner.remove_node(node)).await;
        self.has_lease.store(false, Ordering::Relaxed);
        self.observer.readings.change(|latest| latest.lease_granted = None);
        answer
    }

    async fn end_other_nodes(&self, keep: &NodeId) -> Result<(), StoreError> {
        self.timed("end_other_nodes", self.inner.end_other_nodes(keep)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.timed("nodes", self.inner.nodes()).await
    }

    async fn claim_turn(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError> {
        self.timed("claim_turn", self.inner.claim_turn(node, every)).await
    }

    async fn order_drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, StoreError> {
        self.timed("order_drain", self.inner.order_drain(node, within)).await
    }

    async fn pause(&self, reason: Option<String>) -> Result<QueuePause, StoreError> {
        self.timed("pause", self.inner.pause(reason)).await
    }

    async fn resume(&self) -> Result<bool, StoreError> {
        self.timed("resume", self.inner.resume()).await
    }

    async fn paused(&self) -> Result<Option<QueuePause>, StoreError> {
        self.timed("paused", self.inner.paused()).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.timed("ping", self.inner.ping()).await
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::ports::Clock;
    use kastrel_actors::testing::{MemoryStore, PausedClock, fixtures};

    use super::super::Telemetry;
    use super::*;
    use crate::web::testing::FaultyStore;

    const TTL: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_lost_lease_is_counted_once() {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::default());
        let memory = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new(Arc::clone(&clock)))));
        let telemetry = Telemetry::without_exporters();
        let store = ObservedStore::new(memory.clone(), Observer::new(&telemetry, clock));
        let node = || fixtures::registration("node-a");
        let losses = || {
            let text = telemetry.metrics_text();
            text.lines().find_map(|line| line.strip_prefix("kastrel_lease_losses_total ").map(str::to_owned)).unwrap()
        };
        store.register_node(node(), TTL).await.unwrap();
        assert_eq!(losses(), "0", "the first lease follows no loss");
        // Another node ends the lease.
        memory.remove_node(&node().id).await.unwrap();
        assert!(store.renew_node(node(), TTL).await.unwrap().is_err());
        assert_eq!(losses(), "1");
        store.register_node(node(), TTL).await.unwrap();
        assert_eq!(losses(), "1", "it has been counted");
        // The lease expires: the node kills its scans, and its registration fails.
        memory.fail_with("down");
        assert!(store.register_node(node(), TTL).await.is_err());
        assert!(store.register_node(node(), TTL).await.is_err());
        assert_eq!(losses(), "2");
    }

    #[tokio::test]
    async fn a_lease_that_is_given_back_is_not_lost() {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::default());
        let telemetry = Telemetry::without_exporters();
        let store =
            ObservedStore::new(Arc::new(MemoryStore::new(Arc::clone(&clock))), Observer::new(&telemetry, clock));
        let node = fixtures::registration("node-a");
        store.register_node(node.clone(), TTL).await.unwrap();
        store.remove_node(&node.id).await.unwrap();
        store.register_node(node, TTL).await.unwrap();
        assert!(telemetry.metrics_text().contains("\nkastrel_lease_losses_total 0\n"));
    }
}
