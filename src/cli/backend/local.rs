//! The backend of the scans in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use kastrel_actors::Client;
use kastrel_actors::model::{
    CancelledBy, FieldError, ListQuery, ReportFiles, RequestContext, ScanId, ScanRecord, ScanRequestDraft, ScanSnapshot,
};
use kastrel_actors::policy::listing::search_text;
use kastrel_actors::policy::reports::missing_of;
use kastrel_actors::service::{Accepted, CancelOutcome, Services, SubmitError};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::error::BackendError;
use super::scans::{CancelAnswer, ListAnswer, ListFilter, PluginList, ScanBackend, SubmitAnswer, Views};
use crate::cli::view::ScanView;
use crate::ports::{ArtifactError, ArtifactStore, AttemptKey, HTML_REPORT_NAME, PDF_REPORT_NAME};
use crate::service::access::AccessService;
use crate::service::findings::{FindingService, FindingServices, TargetService};
use crate::{telemetry, terminal_text};

/// How long to search for a report.
const REPORT_PATIENCE: Duration = Duration::from_secs(3);
/// How many bytes of a log are read.
const MOST_LOG: u64 = 64 << 10;
/// How many reports of a list are searched for in parallel.
const REPORTS_AT_ONCE: usize = 16;

/// A source of the scanner's plugins, which waits until they are known.
#[async_trait]
pub trait PluginSource: Send + Sync {
    /// Returns the scanner and its plugins.
    async fn plugins(&self) -> Result<PluginList, BackendError>;
}

/// The backend of this process. See the module documentation.
#[derive(Clone)]
pub struct LocalBackend {
    pub(super) services: Services,
    pub(super) access: AccessService,
    pub(super) findings: FindingService,
    pub(super) targets: TargetService,
    artifacts: Arc<dyn ArtifactStore>,
    plugins: Arc<dyn PluginSource>,
}

impl LocalBackend {
    /// Creates a backend from the services of this process.
    #[must_use]
    pub fn new(
        services: Services,
        access: AccessService,
        findings: FindingServices,
        artifacts: Arc<dyn ArtifactStore>,
        plugins: Arc<dyn PluginSource>,
    ) -> Self {
        let FindingServices { findings, targets } = findings;
        Self { services, access, findings, targets, artifacts, plugins }
    }

    /// Returns the services of this process.
    pub(crate) const fn services(&self) -> &Services {
        &self.services
    }

    async fn view(&self, snapshot: &ScanSnapshot) -> ScanView {
        let waiting = self.services.scans.waiting(&snapshot.record).await;
        let record = &snapshot.record;
        let found = reports(record, self.artifacts.as_ref()).await;
        let missing = found.as_ref().and_then(|found| missing_of(record, found.files())).map(str::to_owned);
        ScanView { missing_report: missing, ..ScanView::of(snapshot, waiting.as_ref(), found.and_then(Places::first)) }
    }
}

/// Returns the context of an operation of the command line on its own data folder.
pub(crate) fn context() -> RequestContext {
    RequestContext::system(telemetry::current_or_new())
}

/// The locations of a scan's reports: paths or URLs.
struct Places {
    html: Option<String>,
    pdf: Option<String>,
}

impl Places {
    const fn files(&self) -> ReportFiles {
        ReportFiles { html: self.html.is_some(), pdf: self.pdf.is_some() }
    }

    fn first(self) -> Option<String> {
        self.html.or(self.pdf)
    }
}

/// Searches for the reports of a scan that has ended. Returns `None` if it has not ended, or if the
/// artifact store does not respond in time: a command does not wait for it.
async fn reports(record: &ScanRecord, artifacts: &dyn ArtifactStore) -> Option<Places> {
    let attempt = record.last_attempt().filter(|_| record.status().is_terminal())?;
    let key = AttemptKey::of(record, attempt.number);
    let look = async |name| match artifacts.locate(&key, name).await {
        Ok(place) => Ok(Some(place)),
        Err(ArtifactError::NotFound) => Ok(None),
        Err(error) => Err(error),
    };
    let both =
        async { Some(Places { html: look(HTML_REPORT_NAME).await.ok()?, pdf: look(PDF_REPORT_NAME).await.ok()? }) };
    tokio::time::timeout(REPORT_PATIENCE, both).await.ok().flatten()
}

fn answer(accepted: Accepted) -> SubmitAnswer {
    SubmitAnswer { id: accepted.scan.record.id, warning: accepted.warning() }
}

fn refusal(error: SubmitError) -> BackendError {
    match error {
        SubmitError::Invalid(errors) => BackendError::Invalid(errors),
        SubmitError::Store(error) => error.into(),
        SubmitError::KeyReused(_) | SubmitError::NotEnded(..) | SubmitError::Denied(_) | SubmitError::Queue(_) => {
            BackendError::Other(error.to_string())
        }
    }
}

#[async_trait]
impl ScanBackend for LocalBackend {
    async fn submit(&self, draft: &ScanRequestDraft) -> Result<SubmitAnswer, BackendError> {
        let submit = async { self.services.scans.submit(&context(), Client::Local, draft, None).await };
        submit.instrument(telemetry::cli_span()).await.map(answer).map_err(refusal)
    }

    async fn submit_all(
        &self,
        drafts: &[ScanRequestDraft],
    ) -> Result<Vec<Result<SubmitAnswer, BackendError>>, BackendError> {
        let submit = async { self.services.scans.submit_all(&context(), Client::Local, drafts, None).await };
        match submit.instrument(telemetry::cli_span()).await {
            Ok(results) => Ok(results.into_iter().map(|result| result.map(answer).map_err(refusal)).collect()),
            Err(refused) => {
                let (mut errors, mut other) = (Vec::new(), None);
                for (place, error) in refused {
                    match refusal(error) {
                        BackendError::Invalid(of_scan) => errors.extend(
                            of_scan
                                .into_iter()
                                .map(|error| FieldError::new(format!("scans[{place}].{}", error.field), error.message)),
                        ),
                        error => {
                            other.get_or_insert(error);
                        }
                    }
                }
                Err(other.filter(|_| errors.is_empty()).unwrap_or(BackendError::Invalid(errors)))
            }
        }
    }

    async fn watch(&self, id: ScanId) -> Result<Option<Views>, BackendError> {
        let Some(mut snapshots) = self.services.scans.watch(&context(), id).await? else { return Ok(None) };
        let (sender, views) = mpsc::channel(1);
        let backend = self.clone();
        tokio::spawn(async move {
            loop {
                let snapshot = snapshots.borrow_and_update().clone();
                let ended = snapshot.status().is_terminal();
                if sender.send(Ok(backend.view(&snapshot).await)).await.is_err() || ended {
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
        let seen = async |record: ScanRecord| Box::new(self.view(&ScanSnapshot::of(record)).await);
        Ok(match self.services.scans.cancel(&context(), id, by).await? {
            CancelOutcome::Cancelled(record) | CancelOutcome::Requested(record) => {
                CancelAnswer::Accepted(seen(record).await)
            }
            CancelOutcome::AlreadyEnded(record) => CancelAnswer::AlreadyEnded(seen(record).await),
            CancelOutcome::Missing => CancelAnswer::Missing,
        })
    }

    async fn get(&self, id: ScanId) -> Result<Option<ScanView>, BackendError> {
        Ok(match self.services.scans.scan(&context(), id).await? {
            Some(snapshot) => Some(self.view(&snapshot).await),
            None => None,
        })
    }

    async fn log(&self, id: ScanId) -> Result<Vec<String>, BackendError> {
        let Some(scan) = self.services.scans.scan(&context(), id).await? else { return Ok(Vec::new()) };
        let Some(attempt) = scan.record.last_attempt() else { return Ok(Vec::new()) };
        let key = AttemptKey::of(&scan.record, attempt.number);
        let tail = tokio::time::timeout(REPORT_PATIENCE, self.artifacts.log_tail(&key, MOST_LOG)).await;
        let bytes = tail.ok().and_then(Result::ok).map(|tail| tail.bytes).unwrap_or_default();
        Ok(terminal_text::lines(&String::from_utf8_lossy(&bytes)).collect())
    }

    async fn list(&self, filter: &ListFilter) -> Result<ListAnswer, BackendError> {
        let query = ListQuery {
            statuses: filter.status.into_iter().collect(),
            target: filter.target.as_deref().map(search_text),
            tag: filter.tag.clone().filter(|tag| !tag.is_empty()),
            limit: filter.limit,
            count: true,
            ..ListQuery::default()
        };
        let page = self.services.scans.list(&context(), query).await?;
        let views = futures_util::stream::iter(page.scans).map(async |listed| {
            // A view has the issues and messages of plugins, a list has not.
            let complete = self.services.scans.scan(&context(), listed.record.id).await.ok().flatten();
            self.view(&complete.unwrap_or(listed)).await
        });
        let scans = views.buffered(REPORTS_AT_ONCE).collect().await;
        Ok(ListAnswer { scans, total: page.total, total_is_floor: page.total_is_floor })
    }

    async fn plugins(&self) -> Result<PluginList, BackendError> {
        self.plugins.plugins().await
    }
}
