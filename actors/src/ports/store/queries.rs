//! Read-only queries of pages: lists, counts and trends.

use async_trait::async_trait;
use jiff::civil::Date;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{DayOutcomes, ListQuery, PastRun, ProjectFilter, RunsLike, ScanPage, StoreStats};

/// Answers the queries of pages. They change nothing, and no decision about a scan depends on them.
///
/// Each query is about the scans of some projects, and no answer depends on those of others. With
/// an empty set of projects the answer is empty.
#[async_trait]
pub trait ScanQueries: Send + Sync + 'static {
    /// Reads a page of rows, as [`ScanRecord::listed`](crate::model::ScanRecord::listed) returns
    /// them. A row that cannot be read is left out alone.
    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError>;

    /// Counts the scans by state. Within some of several projects, the counts of ended states are
    /// bounded (see [`StoreStats::floors`]).
    async fn stats(&self, projects: &ProjectFilter) -> Result<StoreStats, StoreError>;

    /// Returns the outcomes of each day since `since`, oldest first. Days on which no scan ended
    /// are left out. Deleted scans do not count.
    async fn outcomes(&self, since: Date, projects: &ProjectFilter) -> Result<Vec<DayOutcomes>, StoreError>;

    /// Returns the newest completed scans, at most `limit`, newest first, without dry runs. With
    /// `like`, only those of one target and mode.
    async fn past_runs(
        &self,
        like: Option<RunsLike>,
        projects: &ProjectFilter,
        limit: usize,
    ) -> Result<Vec<PastRun>, StoreError>;
}

#[async_trait]
impl<S: ScanQueries + ?Sized, H: CallHook> ScanQueries for Hooked<S, H> {
    async fn list(&self, query: ListQuery) -> Result<ScanPage, StoreError> {
        self.hook.around("list", self.inner.list(query)).await
    }

    async fn stats(&self, projects: &ProjectFilter) -> Result<StoreStats, StoreError> {
        self.hook.around("stats", self.inner.stats(projects)).await
    }

    async fn outcomes(&self, since: Date, projects: &ProjectFilter) -> Result<Vec<DayOutcomes>, StoreError> {
        self.hook.around("outcomes", self.inner.outcomes(since, projects)).await
    }

    async fn past_runs(
        &self,
        like: Option<RunsLike>,
        projects: &ProjectFilter,
        limit: usize,
    ) -> Result<Vec<PastRun>, StoreError> {
        self.hook.around("past_runs", self.inner.past_runs(like, projects, limit)).await
    }
}
