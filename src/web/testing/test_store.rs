//! The store of the tests: in memory, and a test can make its calls fail or bound its lists.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::civil::Date;
use kastrel_actors::model::{
    Command, DayOutcomes, ListQuery, NewScan, PastRun, ProjectFilter, RunsLike, ScanOrder, ScanPage, StoreStats,
    Submitted,
};
use kastrel_actors::policy::listing::matches;
use kastrel_actors::ports::{Applied, CallHook, ScanQueries, StoreError, Stores};
use kastrel_actors::testing::MemoryStore;

pub(crate) struct TestStore {
    inner: Arc<MemoryStore>,
    failure: Mutex<Option<String>>,
    most_looked_at: Mutex<Option<usize>>,
    refuses_order: AtomicBool,
}

impl TestStore {
    pub(crate) fn new(inner: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            failure: Mutex::default(),
            most_looked_at: Mutex::default(),
            refuses_order: AtomicBool::new(false),
        })
    }

    /// Returns the ports of the store.
    pub(crate) fn ports(self: &Arc<Self>) -> Stores {
        Stores { queries: Arc::clone(self) as _, ..Stores::of(&self.inner) }.hooked(self)
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
}

#[async_trait]
impl ScanQueries for TestStore {
    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError> {
        if query.order == ScanOrder::Target && self.refuses_order.load(Ordering::Relaxed) {
            return self.inner.list(ListQuery { order: ScanOrder::Newest, from: None, ..query }).await;
        }
        let most = *self.most_looked_at.lock().unwrap();
        let Some(most) = most else { return self.inner.list(query).await };
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
        let mut page = self.inner.list(everything).await?;
        page.scans.retain(|record| matches(record, &query));
        page.is_partial = page.next.is_some() && page.scans.len() < query.limit;
        Ok(page)
    }

    async fn stats(&self, projects: &ProjectFilter) -> Result<StoreStats, StoreError> {
        self.inner.stats(projects).await
    }

    async fn outcomes(&self, since: Date, projects: &ProjectFilter) -> Result<Vec<DayOutcomes>, StoreError> {
        self.inner.outcomes(since, projects).await
    }

    async fn past_runs(
        &self,
        like: Option<RunsLike>,
        projects: &ProjectFilter,
        limit: usize,
    ) -> Result<Vec<PastRun>, StoreError> {
        self.inner.past_runs(like, projects, limit).await
    }
}

impl CallHook for TestStore {
    type Submission = ();
    type Change = ();

    async fn around<T: Send>(
        &self,
        _operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let failure = self.failure.lock().unwrap().clone();
        match failure {
            Some(why) => Err(StoreError::Unavailable(why.into())),
            None => call.await,
        }
    }

    fn before_submit(&self, _scan: &mut NewScan) {}

    fn after_submit(&self, (): (), _answer: &Result<Submitted, StoreError>) {}

    fn before_apply(&self, _command: &Command) {}

    fn after_apply(&self, (): (), _answer: &Result<Applied, StoreError>) {}
}
