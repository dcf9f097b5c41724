//! Computes the findings of all targets anew, from the files of their scans: for scans that ended
//! before there were findings, and after a change of the readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use kastrel_actors::model::{
    ListQuery, Operation, ProjectFilter, ProjectId, RequestContext, ScanId, ScanOrder as ListOrder, ScanRecord,
    ScanStatus,
};
use kastrel_actors::policy::access::decide;
use kastrel_actors::policy::ingest::{ScanHead, ScanReading};
use kastrel_actors::ports::{Clock, ScanQueries, ScanRepository, StoreError, Stores};
use kastrel_actors::service::CommandError;
use kastrel_actors::service::ingest::{IngestError, Ingestion, ReadScan, RebuildCounts, StoredScans};
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::ScanOrder;
use kastrel_findings::place::Origin;
use kastrel_findings::registry::Registry;

use super::read::ScanFiles;
use super::registry::{self, Catalogue};
use crate::ports::ArtifactStore;

/// How many rows of scans are read at once.
const SCANS_AT_ONCE: usize = 500;

/// Which targets are computed anew. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildScope {
    /// The site of the target.
    pub origin: Option<Origin>,
    /// The project.
    pub project: Option<ProjectId>,
}

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebuildProgress {
    /// The targets that are done.
    pub done: usize,
    /// All targets of the rebuild.
    pub targets: usize,
    /// What was done to them.
    pub counts: RebuildCounts,
}

/// Why a rebuild ended early. What it did stays, and it can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The principal lacks a right, or the store failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A target could not be computed.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The scanner did not list its issues, so severities would be lost.
    #[error("the scanner did not list its issues; run `kastrel doctor` for details")]
    NoRegistry,
}

impl From<StoreError> for RebuildError {
    fn from(error: StoreError) -> Self {
        Self::Ingest(error.into())
    }
}

/// Computes findings anew. See the module documentation.
#[derive(Clone)]
pub struct FindingRebuild {
    queries: Arc<dyn ScanQueries>,
    scans: Arc<dyn ScanRepository>,
    ingestion: Ingestion,
    files: ScanFiles,
    catalogue: Catalogue,
}

impl FindingRebuild {
    /// Creates the service.
    #[must_use]
    pub fn new(
        stores: &Stores,
        artifacts: Arc<dyn ArtifactStore>,
        catalogue: Catalogue,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            queries: Arc::clone(&stores.queries),
            scans: Arc::clone(&stores.scans),
            ingestion: Ingestion::new(Arc::clone(&stores.findings), clock),
            files: ScanFiles::new(artifacts),
            catalogue,
        }
    }

    /// Takes the issues from another catalogue.
    #[must_use]
    pub fn with_catalogue(self, catalogue: Catalogue) -> Self {
        Self { catalogue, ..self }
    }

    /// Computes the findings of the targets in `scope` anew, one target after the other. `progress`
    /// is called before the first target and after each one.
    ///
    /// What people decided, confirmed, wrote and assigned stays. Findings that no scan saw, and of
    /// which no person said anything, are deleted. Of a scan whose files are gone, the stored
    /// result counts. The rebuild can be interrupted at any time and repeated.
    ///
    /// # Errors The principal may not edit the targets of a project, the store or the files do not
    /// respond, or the scanner has not listed its issues.
    pub async fn run(
        &self,
        context: &RequestContext,
        scope: &RebuildScope,
        mut progress: impl FnMut(&RebuildProgress) + Send,
    ) -> Result<RebuildProgress, RebuildError> {
        let registry =
            registry::known(&self.catalogue, registry::OF_A_REBUILD).await.ok_or(RebuildError::NoRegistry)?;
        let targets = self.targets(context, scope).await?;
        let mut now = RebuildProgress { targets: targets.len(), ..RebuildProgress::default() };
        progress(&now);
        for (target, scans) in targets {
            let source = Files { service: self, registry: &registry, scans };
            let counts = self.ingestion.rebuild(target, &source).await?;
            now = RebuildProgress { done: now.done + 1, counts: now.counts.plus(counts), ..now };
            progress(&now);
        }
        Ok(now)
    }

    /// Returns the targets with their scans.
    async fn targets(
        &self,
        context: &RequestContext,
        scope: &RebuildScope,
    ) -> Result<BTreeMap<TargetId, Vec<(ScanOrder, ScanId)>>, RebuildError> {
        let mut targets: BTreeMap<TargetId, Vec<(ScanOrder, ScanId)>> = BTreeMap::new();
        let projects = scope.project.clone().map_or(ProjectFilter::All, ProjectFilter::of);
        let ended = vec![ScanStatus::Completed, ScanStatus::Failed, ScanStatus::Cancelled];
        let mut after = None;
        loop {
            let query = ListQuery {
                projects: projects.clone(),
                statuses: ended.clone(),
                order: ListOrder::Oldest,
                after,
                limit: SCANS_AT_ONCE,
                ..ListQuery::default()
            };
            let page = self.queries.list(query).await?;
            for head in page.scans.iter().filter_map(ScanHead::of) {
                if scope.origin.as_ref().is_none_or(|origin| *origin == head.origin) {
                    decide(&context.grants, Operation::EditTargets, Some(&head.project)).map_err(CommandError::from)?;
                    targets.entry(head.target()).or_default().push((head.order, head.scan));
                }
            }
            match page.next {
                Some(next) => after = Some(next.id),
                None => return Ok(targets),
            }
        }
    }
}

impl std::fmt::Debug for FindingRebuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FindingRebuild").finish_non_exhaustive()
    }
}

/// The files of the scans of one target.
struct Files<'a> {
    service: &'a FindingRebuild,
    registry: &'a Registry,
    scans: Vec<(ScanOrder, ScanId)>,
}

#[async_trait]
impl ReadScan for Files<'_> {
    async fn scans(&self, _: TargetId) -> Result<Vec<(ScanOrder, ScanId)>, IngestError> {
        Ok(self.scans.clone())
    }

    async fn read(&self, scan: ScanId) -> Result<Option<ScanReading>, IngestError> {
        // The complete row: that of a list has no messages of plugins.
        let record: Option<ScanRecord> = self.service.scans.get(scan).await?;
        let Some(record) = record else { return Ok(None) };
        let read = self.service.files.read(&record, self.registry).await;
        let read = read.map_err(|error| IngestError::Files { scan, reason: error.to_string() })?;
        let Some(read) = read else { return Ok(None) };
        let stored = StoredScans(self.service.ingestion.clone()).read(scan).await?;
        Ok(match (read, stored) {
            // Its files may still come, and the scan is ingested then.
            (read, stored) if read.is_partial => stored,
            // Its files are gone, or there never were any.
            (read, Some(stored)) if read.is_empty => Some(stored),
            (read, Some(stored)) => Some(read.reading.completed_by(stored)),
            (read, None) => Some(read.reading),
        })
    }
}
