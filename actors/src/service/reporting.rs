//! The reporting service: counts, trends, past durations and estimates of scans, and the readings
//! of this process for its metrics.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use tokio::time::Instant;

use super::ServicePorts;
use crate::model::{
    ActorView, DayOutcomes, DeliveryBacklog, DueScan, NodeRecord, PastRun, ProjectFilter, RequestContext, RunsLike,
    ScanSnapshot, StoreStats,
};
use crate::policy::estimate::{Running, TimeLeft, time_left};
use crate::policy::listing::target_text;
use crate::ports::StoreError;

/// How many earlier scans an estimate uses.
const LIKE_IT: usize = 7;

/// The reporting service.
#[derive(Debug, Clone)]
pub struct ReportingService {
    ports: Arc<ServicePorts>,
}

/// The readings of a process for its metrics. A value that could not be read in time is `None`.
#[derive(Debug, Clone)]
pub struct ProcessReadings {
    /// The time of the readings.
    pub at: Timestamp,
    /// How many scans are in each state.
    pub stats: Option<StoreStats>,
    /// The scans that are due.
    pub due: Option<Vec<DueScan>>,
    /// All nodes.
    pub nodes: Option<Vec<NodeRecord>>,
    /// How many wake-up signals the queue holds.
    pub signals: Option<usize>,
    /// The events that wait for their consumers, and those that were given up.
    pub deliveries: Option<DeliveryBacklog>,
    /// The actors of this process, without those of single scans.
    pub actors: ActorView,
    /// How many restarts each budget has left.
    pub budgets: Vec<(&'static str, usize)>,
    /// How many scans run in this process.
    pub running_here: usize,
}

impl ReportingService {
    pub(super) const fn new(ports: Arc<ServicePorts>) -> Self {
        Self { ports }
    }

    /// Returns the number of the scans that the principal may see, in each state.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn stats(&self, context: &RequestContext) -> Result<StoreStats, StoreError> {
        self.stats_of(context, &ProjectFilter::All).await
    }

    /// Returns the number of the scans of these projects that the principal may see, in each state.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn stats_of(&self, context: &RequestContext, projects: &ProjectFilter) -> Result<StoreStats, StoreError> {
        self.ports.store.queries.stats(&context.grants.readable().and(projects)).await
    }

    /// Returns how the scans of these projects that the principal may see ended on each day since
    /// `since`, oldest first.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn outcomes(
        &self,
        context: &RequestContext,
        since: Date,
        projects: &ProjectFilter,
    ) -> Result<Vec<DayOutcomes>, StoreError> {
        self.ports.store.queries.outcomes(since, &context.grants.readable().and(projects)).await
    }

    /// Returns the newest completed scans of these projects that the principal may see, at most
    /// `limit`, newest first, without dry runs. With `like`, only those of one target and mode.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn past_runs(
        &self,
        context: &RequestContext,
        like: Option<RunsLike>,
        limit: usize,
        projects: &ProjectFilter,
    ) -> Result<Vec<PastRun>, StoreError> {
        self.ports.store.queries.past_runs(like, &context.grants.readable().and(projects), limit).await
    }

    /// Estimates the remaining time of a running scan. If the store does not respond, only the
    /// scan's own progress counts.
    pub async fn time_left(&self, context: &RequestContext, scan: &ScanSnapshot) -> TimeLeft {
        let record = &scan.record;
        if record.last_attempt().is_none_or(|attempt| attempt.end.is_some()) {
            return TimeLeft::Unknown;
        }
        let like = RunsLike { target: target_text(record), mode: record.request.options.mode };
        // Scans with a selection of plugins have other durations.
        let runs = if record.request.options.plugins.is_empty() {
            self.past_runs(context, Some(like), LIKE_IT, &ProjectFilter::All).await.unwrap_or_default()
        } else {
            Vec::new()
        };
        let before: Vec<Duration> = runs.into_iter().map(|run| run.took).collect();
        let overview = scan.overview();
        time_left(&Running {
            elapsed: Duration::try_from(overview.elapsed(self.ports.clock.now())).unwrap_or_default(),
            ended: overview.ended,
            plugins: overview.total,
            before: &before,
        })
    }

    /// Checks that the store responds.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.ports.store.health.ping().await
    }

    /// Reads the values of this process's metrics, each at most for `patience`, and at most
    /// `most_due` due scans of each priority.
    pub async fn readings(&self, patience: Duration, most_due: usize) -> ProcessReadings {
        let (at, store) = (self.ports.clock.now(), &self.ports.store);
        let (stats, due, nodes, signals, deliveries) = tokio::join!(
            tokio::time::timeout(patience, store.queries.stats(&ProjectFilter::All)),
            tokio::time::timeout(patience, store.dispatch.due(Duration::ZERO, most_due)),
            tokio::time::timeout(patience, store.nodes.all()),
            tokio::time::timeout(patience, self.ports.queue.depth()),
            tokio::time::timeout(patience, store.outbox.backlog()),
        );
        ProcessReadings {
            at,
            stats: stats.ok().and_then(Result::ok),
            due: due.ok().and_then(Result::ok),
            nodes: nodes.ok().and_then(Result::ok),
            signals: signals.ok().and_then(Result::ok),
            deliveries: deliveries.ok().and_then(Result::ok),
            actors: self.ports.snapshots.status.infrastructure(at),
            budgets: self.ports.snapshots.status.budgets(Instant::now()),
            running_here: self.ports.snapshots.running().len(),
        }
    }
}
