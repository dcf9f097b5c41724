//! Scans of this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::desk::{CancelOutcome, ScanDesk, SubmitError};
use kastrel_actors::model::{CancelledBy, ScanId, ScanRecord, ScanRequestDraft, ScanSnapshot, TraceContext};
use kastrel_actors::ports::ListQuery;
use tokio::sync::mpsc;

use super::{BackendError, CancelAnswer, ListAnswer, ListFilter, PluginList, ScanBackend, SubmitAnswer, Views};
use crate::cli::view::ScanView;
use crate::web::AttemptDir;

/// Waits for the scanner's plugins.
#[async_trait]
pub trait PluginSource: Send + Sync {
    /// The scanner and its plugins.
    async fn plugins(&self) -> Result<PluginList, BackendError>;
}

/// See the module.
#[derive(Clone)]
pub struct LocalBackend {
    pub(super) desk: ScanDesk,
    pub(super) drain_limit: Duration,
    attempt_dir: AttemptDir,
    plugins: Arc<dyn PluginSource>,
}

impl LocalBackend {
    /// Over a desk.
    #[must_use]
    pub fn new(desk: ScanDesk, attempt_dir: AttemptDir, plugins: Arc<dyn PluginSource>, drain_limit: Duration) -> Self {
        Self { desk, drain_limit, attempt_dir, plugins }
    }

    fn view(&self, snapshot: &ScanSnapshot) -> ScanView {
        view(snapshot, &self.attempt_dir)
    }
}

fn view(snapshot: &ScanSnapshot, attempt_dir: &AttemptDir) -> ScanView {
    let folder = snapshot.record.last_attempt().map(|attempt| attempt_dir(&snapshot.record, attempt.number));
    ScanView::of(snapshot, folder.as_deref())
}

#[async_trait]
impl ScanBackend for LocalBackend {
    async fn submit(&self, draft: &ScanRequestDraft) -> Result<SubmitAnswer, BackendError> {
        let trace = TraceContext::generate(&mut rand::rng());
        match self.desk.submit(draft, None, trace).await {
            Ok(accepted) => Ok(SubmitAnswer { id: accepted.scan.record.id, warning: accepted.warning }),
            Err(SubmitError::Invalid(errors)) => Err(BackendError::Invalid(errors)),
            Err(SubmitError::Store(error)) => Err(error.into()),
            Err(error @ SubmitError::KeyReused(_)) => Err(BackendError::Other(error.to_string())),
        }
    }

    async fn watch(&self, id: ScanId) -> Result<Option<Views>, BackendError> {
        let Some(mut snapshots) = self.desk.watch(id).await? else { return Ok(None) };
        let (sender, views) = mpsc::channel(1);
        let attempt_dir = self.attempt_dir.clone();
        tokio::spawn(async move {
            loop {
                let snapshot = snapshots.borrow_and_update().clone();
                let ended = snapshot.status().is_terminal();
                if sender.send(Ok(view(&snapshot, &attempt_dir))).await.is_err() || ended {
                    return;
                }
                tokio::select! {
                    changed = snapshots.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
            }
        });
        Ok(Some(views))
    }

    async fn cancel(&self, id: ScanId, by: CancelledBy) -> Result<CancelAnswer, BackendError> {
        let seen = |record: ScanRecord| Box::new(self.view(&ScanSnapshot::of(record)));
        Ok(match self.desk.cancel(id, by).await? {
            CancelOutcome::Cancelled(record) | CancelOutcome::Requested(record) => CancelAnswer::Accepted(seen(record)),
            CancelOutcome::AlreadyEnded(record) => CancelAnswer::AlreadyEnded(seen(record)),
            CancelOutcome::Missing => CancelAnswer::Missing,
        })
    }

    async fn get(&self, id: ScanId) -> Result<Option<ScanView>, BackendError> {
        Ok(self.desk.scan(id).await?.map(|snapshot| self.view(&snapshot)))
    }

    async fn list(&self, filter: &ListFilter) -> Result<ListAnswer, BackendError> {
        let query = ListQuery {
            statuses: filter.status.into_iter().collect(),
            target: filter.target.as_ref().map(|text| text.to_lowercase()),
            limit: filter.limit,
            count: true,
            ..ListQuery::default()
        };
        let page = self.desk.list(query).await?;
        Ok(ListAnswer { scans: page.scans.iter().map(|snapshot| self.view(snapshot)).collect(), total: page.total })
    }

    async fn plugins(&self) -> Result<PluginList, BackendError> {
        self.plugins.plugins().await
    }
}
