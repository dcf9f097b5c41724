//! The store itself: its state, and the mapping of the port's calls to the modules.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use jiff::civil::Date;
use kastrel_actors::model::{
    Command, DayOutcomes, Deleted, DueScan, ListQuery, NewScan, NodeId, NodeLease, NodeLeaseRefused, NodeRecord,
    NodeRegistration, PastRun, Principal, ProjectFilter, QueuePause, RunningScan, RunsLike, ScanId, ScanPage,
    ScanRecord, StoreStats, Submitted,
};
use kastrel_actors::ports::{
    Applied, Coordination, DispatchStore, NodeRegistry, QueueControl, ScanQueries, ScanRepository, StoreError,
    StoreHealth,
};
use surrealdb::types::SurrealValue;

use super::calls::{self, Nothing};
use super::found::Unreadable;
use super::inner::Inner;
use super::migrate;
use super::row;
use super::steps;
use super::submit::Queue;
use super::target_index::TargetIndex;

/// Stores scans and nodes in SurrealDB. Clones share one connection.
#[derive(Debug, Clone)]
pub struct SurrealStore {
    pub(super) inner: Arc<Inner>,
    pub(super) submissions: Arc<Queue>,
    pub(super) targets: Arc<TargetIndex>,
    pub(super) unreadable: Arc<Unreadable>,
}

impl SurrealStore {
    pub(super) fn new(inner: Inner) -> Self {
        let (submissions, targets, unreadable) = Default::default();
        Self { inner: Arc::new(inner), submissions, targets, unreadable }
    }

    /// Adds `milliseconds` to the database's clock from now on, for tests that must not wait.
    ///
    /// Call it before the store is cloned or shared; it has no effect on a shared store.
    #[must_use]
    pub fn with_clock_offset(mut self, milliseconds: Arc<AtomicI64>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.clock_offset_ms = milliseconds;
        }
        self
    }
}

impl SurrealStore {
    /// The unique name of this database. It is the same for all processes that share it.
    ///
    /// # Errors
    /// The database does not respond.
    pub async fn installation(&self) -> Result<String, StoreError> {
        migrate::installation(&self.inner.db)
            .await?
            .ok_or_else(|| row::corrupt("the database does not say which installation it is"))
    }
}

#[derive(Debug, SurrealValue)]
struct Alive {
    alive: bool,
    is_newer: bool,
}

static PING: LazyLock<String> = LazyLock::new(|| {
    let is_newer = steps::is_newer();
    format!("RETURN {{ alive: (SELECT VALUE value FROM ONLY counter:scan) != -1, is_newer: {is_newer} }};")
});

#[async_trait]
impl ScanRepository for SurrealStore {
    async fn submit(&self, scan: NewScan) -> Result<Submitted, StoreError> {
        self.submissions.submit(&self.inner, scan).await
    }

    async fn submitted(&self, key: &str) -> Result<Option<ScanRecord>, StoreError> {
        self.inner.by_key(key).await
    }

    async fn get(&self, id: ScanId) -> Result<Option<ScanRecord>, StoreError> {
        Ok(self.read(id).await?.map(|read| read.record))
    }

    async fn apply(&self, id: ScanId, command: Command) -> Result<Applied, StoreError> {
        let answer = self.change(id, &command).await;
        // After an error the change may have been made all the same.
        if matches!(&answer, Ok(Applied::Committed(record)) if !record.status().is_terminal()) {
            return answer;
        }
        self.inner.writes.send_replace(());
        answer
    }

    async fn delete(&self, id: ScanId, by: &Principal) -> Result<Deleted, StoreError> {
        let answer = self.forget_scan(id, by).await;
        self.inner.writes.send_replace(());
        answer
    }
}

#[async_trait]
impl ScanQueries for SurrealStore {
    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError> {
        self.page(&query).await
    }

    async fn stats(&self, projects: &ProjectFilter) -> Result<StoreStats, StoreError> {
        self.scans_by_state(projects).await
    }

    async fn outcomes(&self, since: Date, projects: &ProjectFilter) -> Result<Vec<DayOutcomes>, StoreError> {
        self.day_outcomes(since, projects).await
    }

    async fn past_runs(
        &self,
        like: Option<RunsLike>,
        projects: &ProjectFilter,
        limit: usize,
    ) -> Result<Vec<PastRun>, StoreError> {
        self.runs(like, projects, limit).await
    }
}

#[async_trait]
impl DispatchStore for SurrealStore {
    async fn due(&self, within: Duration, limit: usize) -> Result<Vec<DueScan>, StoreError> {
        self.waiting(within, limit).await
    }

    async fn running_on(&self, node: &NodeId) -> Result<Vec<RunningScan>, StoreError> {
        self.of_node(node).await
    }

    async fn orphans(&self) -> Result<Vec<RunningScan>, StoreError> {
        self.end_expired().await
    }
}

#[async_trait]
impl NodeRegistry for SurrealStore {
    async fn register(&self, node: NodeRegistration, ttl: Duration) -> Result<NodeLease, StoreError> {
        self.grant(&node, ttl).await
    }

    async fn renew(
        &self,
        node: NodeRegistration,
        ttl: Duration,
    ) -> Result<Result<NodeLease, NodeLeaseRefused>, StoreError> {
        self.renew_row(&node, ttl).await
    }

    async fn remove(&self, node: &NodeId) -> Result<(), StoreError> {
        self.forget(node).await
    }

    async fn end_others(&self, keep: &NodeId) -> Result<(), StoreError> {
        self.end_others(keep).await
    }

    async fn all(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.all_nodes().await
    }

    async fn order_drain(&self, node: &NodeId, within: Option<Duration>, by: &Principal) -> Result<bool, StoreError> {
        self.drain(node, within, by).await
    }

    async fn keep_drain(&self, node: &NodeId, left: Duration) -> Result<(), StoreError> {
        self.keep_order(node, left).await
    }
}

#[async_trait]
impl QueueControl for SurrealStore {
    async fn pause(&self, reason: Option<String>, by: &Principal) -> Result<QueuePause, StoreError> {
        self.set_pause(reason, by).await
    }

    async fn resume(&self, by: &Principal) -> Result<bool, StoreError> {
        self.end_pause(by).await
    }

    async fn paused(&self) -> Result<Option<QueuePause>, StoreError> {
        self.current_pause().await
    }
}

#[async_trait]
impl Coordination for SurrealStore {
    async fn claim_turn(&self, node: &NodeId, every: Duration) -> Result<bool, StoreError> {
        self.claim(node, every).await
    }
}

#[async_trait]
impl StoreHealth for SurrealStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.db.check()?;
        // Reads a row, so that a hung storage engine behind a healthy connection is detected.
        let answer: Alive = calls::call(&self.inner.db, PING.as_str(), Nothing {}).await?;
        match answer {
            Alive { is_newer: true, .. } => Err(StoreError::Outdated),
            Alive { alive: false, .. } => Err(row::corrupt("the counter of scans is spoilt")),
            Alive { .. } => Ok(()),
        }
    }
}
