//! A store with the failures of a real one: slow, unreachable, and worst of all, committed but
//! reported as an error.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;

use crate::model::{
    Command, DayOutcomes, Deleted, DueScan, ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused, NodeRecord,
    NodeRegistration, PastRun, QueuePause, RunningScan, RunsLike, ScanId, ScanPage, ScanRecord, StoreStats, Submitted,
};
use crate::ports::{Applied, ScanStore, StoreError};

/// The fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// The call takes this long.
    Slow(Duration),
    /// The call fails and changes nothing.
    Unreachable,
    /// The call finds a row that cannot be read.
    Corrupt,
    /// The call is committed, but returns an error.
    LostAnswer,
    /// The call is committed after this time, but never returns.
    Silent(Duration),
}

type Chooser = dyn Fn() -> Fault + Send + Sync;

/// A store that injects faults into another store.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn ScanStore>,
    choose: Arc<Chooser>,
}

impl FaultyStore {
    /// Wraps `inner`; `choose` selects the fault of each call.
    pub fn new(inner: Arc<dyn ScanStore>, choose: impl Fn() -> Fault + Send + Sync + 'static) -> Self {
        Self { inner, choose: Arc::new(choose) }
    }

    async fn call<T: Send>(&self, call: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, StoreError> {
        let lost = || StoreError::Unavailable("an injected fault".into());
        match (self.choose)() {
            Fault::None => call.await,
            Fault::Slow(wait) => {
                tokio::time::sleep(wait).await;
                call.await
            }
            Fault::Unreachable => Err(lost()),
            Fault::Corrupt => Err(StoreError::Corrupt("an injected row that cannot be read".into())),
            Fault::LostAnswer => {
                call.await?;
                Err(lost())
            }
            Fault::Silent(wait) => {
                tokio::time::sleep(wait).await;
                call.await?;
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl ScanStore for FaultyStore {
    async fn submit(&self, scan: NewScan) -> Result<Submitted, StoreError> {
        self.call(self.inner.submit(scan)).await
    }

    async fn submitted(&self, key: &str) -> Result<Option<ScanRecord>, StoreError> {
        self.call(self.inner.submitted(key)).await
    }

    async fn get(&self, id: ScanId) -> Result<Option<ScanRecord>, StoreError> {
        self.call(self.inner.get(id)).await
    }

    async fn apply(&self, id: ScanId, command: Command) -> Result<Applied, StoreError> {
        self.call(self.inner.apply(id, command)).await
    }

    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError> {
        self.call(self.inner.list(query)).await
    }

    async fn delete(&self, id: ScanId) -> Result<Deleted, StoreError> {
        self.call(self.inner.delete(id)).await
    }

    async fn outcomes(&self, since: Date) -> Result<Vec<DayOutcomes>, StoreError> {
        self.call(self.inner.outcomes(since)).await
    }

    async fn past_runs(&self, like: Option<RunsLike>, limit: usize) -> Result<Vec<PastRun>, StoreError> {
        self.call(self.inner.past_runs(like, limit)).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.call(self.inner.stats()).await
    }

    async fn due(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError> {
        self.call(self.inner.due(within, limit)).await
    }

    async fn running_on(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError> {
        self.call(self.inner.running_on(node)).await
    }

    async fn orphans(&self) -> Result<Vec<RunningScan>, StoreError> {
        self.call(self.inner.orphans()).await
    }

    async fn register_node(&self, node: NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError> {
        self.call(self.inner.register_node(node, ttl)).await
    }

    async fn renew_node(
        &self,
        node: NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError> {
        self.call(self.inner.renew_node(node, ttl)).await
    }

    async fn remove_node(&self, node: &NodeId) -> Result<(), StoreError> {
        self.call(self.inner.remove_node(node)).await
    }

    async fn end_other_nodes(&self, keep: &NodeId) -> Result<(), StoreError> {
        self.call(self.inner.end_other_nodes(keep)).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.call(self.inner.nodes()).await
    }

    async fn claim_turn(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError> {
        self.call(self.inner.claim_turn(node, every)).await
    }

    async fn order_drain(&self, node: &NodeId, within: Option<Duration>) -> Result<bool, StoreError> {
        self.call(self.inner.order_drain(node, within)).await
    }

    async fn pause(&self, reason: Option<String>) -> Result<QueuePause, StoreError> {
        self.call(self.inner.pause(reason)).await
    }

    async fn resume(&self) -> Result<bool, StoreError> {
        self.call(self.inner.resume()).await
    }

    async fn paused(&self) -> Result<Option<QueuePause>, StoreError> {
        self.call(self.inner.paused()).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.call(self.inner.ping()).await
    }
}
