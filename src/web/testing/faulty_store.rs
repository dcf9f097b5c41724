//! A store that can be made to fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use kastrel_actors::model::{
    Command, DayOutcomes, Deleted, DueScan, ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused, NodeRecord,
    NodeRegistration, PastRun, QueuePause, RunningScan, RunsLike, ScanId, ScanOrder, ScanPage, ScanRecord, StoreStats,
    Submitted,
};
use kastrel_actors::policy::listing::matches;
use kastrel_actors::ports::{Applied, ScanStore, StoreError};
use kastrel_actors::testing::MemoryStore;

/// An in-memory store whose failures a test controls.
pub(crate) struct FaultyStore {
    inner: Arc<MemoryStore>,
    failure: Mutex<Option<String>>,
    most_looked_at: Mutex<Option<usize>>,
    refuses_order: AtomicBool,
}

impl FaultyStore {
    pub(crate) fn new(inner: Arc<MemoryStore>) -> Self {
        Self {
            inner,
            failure: Mutex::default(),
            most_looked_at: Mutex::default(),
            refuses_order: AtomicBool::new(false),
        }
    }

    /// Makes every call fail.
    pub(crate) fn fail_with(&self, why: &str) {
        *self.failure.lock().unwrap() = Some(why.into());
    }

    /// Makes every call work again.
    pub(crate) fn recover(&self) {
        *self.failure.lock().unwrap() = None;
    }

    /// Limits how many scans a page examines, whatever it finds among them.
    pub(crate) fn look_at_most(&self, scans: usize) {
        *self.most_looked_at.lock().unwrap() = Some(scans);
    }

    /// Makes the store refuse an order by target, as if there were too many targets.
    pub(crate) fn refuse_order(&self) {
        self.refuses_order.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<&MemoryStore, StoreError> {
        match self.failure.lock().unwrap().clone() {
            Some(why) => Err(StoreError::Unavailable(why.into())),
            None => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl ScanStore for FaultyStore {
    async fn submit(&self, scan: NewScan) -> Result<Submitted, StoreError> {
        self.check()?.submit(scan).await
    }

    async fn submitted(&self, key: &str) -> Result<Option<ScanRecord>, StoreError> {
        self.check()?.submitted(key).await
    }

    async fn get(&self, id: ScanId) -> Result<Option<ScanRecord>, StoreError> {
        self.check()?.get(id).await
    }

    async fn apply(&self, id: ScanId, command: Command) -> Result<Applied, StoreError> {
        self.check()?.apply(id, command).await
    }

    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError> {
        let store = self.check()?;
        if query.order == ScanOrder::Target && self.refuses_order.load(Ordering::Relaxed) {
            return store.list(ListQuery { order: ScanOrder::Newest, from: None, ..query }).await;
        }
        let most = *self.most_looked_at.lock().unwrap();
        let Some(most) = most else { return store.list(query).await };
        let everything = ListQuery {
            statuses: Vec::new(),
            target: None,
            mode: None,
            plugin: None,
            created_from: None,
            created_until: None,
            limit: most,
            ..query.clone()
        };
        let mut page = store.list(everything).await?;
        page.scans.retain(|record| matches(record, &query));
        page.is_partial = page.next.is_some() && page.scans.len() < query.limit;
        Ok(page)
    }

    async fn delete(&self, id: ScanId) -> Result<Deleted, StoreError> {
        self.check()?.delete(id).await
    }

    async fn outcomes(&self, since: Date) -> Result<Vec<DayOutcomes>, StoreError> {
        self.check()?.outcomes(since).await
    }

    async fn past_runs(&self, like: Option<RunsLike>, limit: usize) -> Result<Vec<PastRun>, StoreError> {
        self.check()?.past_runs(like, limit).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.check()?.stats().await
    }

    async fn due(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError> {
        self.check()?.due(within, limit).await
    }

    async fn running_on(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError> {
        self.check()?.running_on(node).await
    }

    async fn orphans(&self) -> Result<Vec<RunningScan>, StoreError> {
        self.check()?.orphans().await
    }

    async fn register_node(&self, node: NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError> {
        self.check()?.register_node(node, ttl).await
    }

    async fn renew_node(
        &self,
        node: NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError> {
        self.check()?.renew_node(node, ttl).await
    }

    async fn remove_node(&self, node: &NodeId) -> Result<(), StoreError> {
        self.check()?.remove_node(node).await
    }

    async fn end_other_nodes(&self, keep: &NodeId) -> Result<(), StoreError> {
        self.check()?.end_other_nodes(keep).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.check()?.nodes().await
    }

    async fn claim_turn(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError> {
        self.check()?.claim_turn(node, every).await
    }

    async fn order_drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, StoreError> {
        self.check()?.order_drain(node, within).await
    }

    async fn pause(&self, reason: Option<String>) -> Result<QueuePause, StoreError> {
        self.check()?.pause(reason).await
    }

    async fn resume(&self) -> Result<bool, StoreError> {
        self.check()?.resume().await
    }

    async fn paused(&self) -> Result<Option<QueuePause>, StoreError> {
        self.check()?.paused().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check()?.ping().await
    }
}
