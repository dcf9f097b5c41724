//! The service of findings: lists, groups and single findings. What people do to findings is in
//! `triage`.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use kastrel_actors::model::{
    FindingRecord, ObservedRecord, Operation, ProjectFilter, RequestContext, ScanId, ScanResult, TargetRecord,
};
use kastrel_actors::policy::access::decide;
use kastrel_actors::ports::{AccessStore, Clock, FindingStore, StoreError};
use kastrel_actors::service::{CommandError, ScanService};
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::SlaPolicy;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::index::{Asked, FindingIndex, Policies, Table};
use super::query::{FindingFilter, FindingQuery};
use super::views::{FindingDetail, FindingPage, FindingRow, GroupPage};
use crate::ports::{IssueText, ScannerCatalog};

/// The findings of one item of [`FindingService::records`] at most.
const RECORDS_AT_ONCE: usize = 200;

/// The service of findings.
#[derive(Clone)]
pub struct FindingService {
    pub(super) store: Arc<dyn FindingStore>,
    pub(super) access: Arc<dyn AccessStore>,
    pub(super) scans: ScanService,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) index: Arc<FindingIndex>,
    pub(super) catalogue: watch::Receiver<Option<Arc<ScannerCatalog>>>,
}

impl FindingService {
    /// Reads all findings into the index of the lists, in the background. A list that is needed
    /// meanwhile waits for it. After a failure the next list reads the rest. Dropping the handle
    /// ends it.
    pub fn preload(&self) -> AbortOnDropHandle<()> {
        let index = Arc::clone(&self.index);
        AbortOnDropHandle::new(tokio::spawn(async move {
            match index.refresh().await {
                Ok(()) => debug!("the findings were read for the lists"),
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "could not read the findings for the lists; the first list reads them"
                ),
            }
        }))
    }

    /// Returns a page of the findings that match and that the principal may read.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn list(&self, context: &RequestContext, query: &FindingQuery) -> Result<FindingPage, CommandError> {
        self.ask(&context.grants.readable(), |table, asked| table.list(query, asked)).await
    }

    /// Returns a page of the issues of the findings that match and that the principal may read.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn groups(
        &self,
        context: &RequestContext,
        filter: &FindingFilter,
        skip: usize,
        limit: usize,
    ) -> Result<GroupPage, CommandError> {
        self.ask(&context.grants.readable(), |table, asked| table.grouped(filter, skip, limit, asked)).await
    }

    /// Returns the first `most` findings that match and that the principal may read, worst first.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn matching(
        &self,
        context: &RequestContext,
        filter: &FindingFilter,
        most: usize,
    ) -> Result<Vec<FindingId>, CommandError> {
        self.ask(&context.grants.readable(), |table, asked| table.matching(filter, most, asked)).await
    }

    /// Returns a finding; `None` if it does not exist, or if the principal may not read it.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn get(&self, context: &RequestContext, id: FindingId) -> Result<Option<FindingDetail>, CommandError> {
        let Some((record, target)) = self.visible(context, id).await? else { return Ok(None) };
        let policy = self.store.sla_policy(&record.project).await?;
        let catalogue = self.catalogue.borrow().clone();
        let issue = catalogue.as_ref().and_then(|catalogue| issue_of(catalogue, &record));
        let text = |part: fn(&IssueText) -> &String| issue.map(part).filter(|text| !text.is_empty()).cloned();
        Ok(Some(FindingDetail {
            row: self.row_of(&record, &target, &policy),
            description: text(|issue| &issue.description),
            remediation: text(|issue| &issue.remediation),
            fix: issue.map(|issue| issue.fix.clone()),
            may_triage: decide(&context.grants, Operation::TriageFindings, Some(&record.project)).is_ok(),
            record,
        }))
    }

    /// Returns what a scan checked; `None` until its result is stored, or if the principal may not
    /// read the scan.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn result_of(&self, context: &RequestContext, scan: ScanId) -> Result<Option<ScanResult>, CommandError> {
        if self.scans.scan(context, scan).await?.is_none() {
            return Ok(None);
        }
        Ok(self.store.scan_result(scan).await?)
    }

    /// Returns what a scan saw, chunk by chunk. The stream ends after its first error.
    #[must_use]
    pub fn observed(&self, result: &ScanResult) -> BoxStream<'static, Result<Vec<ObservedRecord>, StoreError>> {
        let (store, scan, chunks) = (Arc::clone(&self.store), result.scan, result.chunks());
        stream::try_unfold(0, move |chunk| {
            let store = Arc::clone(&store);
            async move {
                if chunk >= chunks {
                    return Ok(None);
                }
                Ok(Some((store.observed(scan, chunk).await?, chunk + 1)))
            }
        })
        .boxed()
    }

    /// Returns the stored findings that match and that the principal may read, in the order of
    /// their targets, at most 200 in an item. It keeps the ids of all and the findings of one
    /// target in memory. A finding that is deleted meanwhile is left out. The stream ends after its
    /// first error.
    #[must_use]
    pub fn records(
        &self,
        context: &RequestContext,
        filter: &FindingFilter,
    ) -> BoxStream<'static, Result<Vec<FindingRecord>, CommandError>> {
        let (service, readable, filter) = (self.clone(), context.grants.readable(), filter.clone());
        let targets = async move {
            let targets = service.ask(&readable, |table, asked| table.by_target(&filter, asked)).await?;
            let records = move |(target, ids)| {
                let (service, readable) = (service.clone(), readable.clone());
                async move { service.records_of(target, ids, &readable).await }
            };
            Ok::<_, CommandError>(stream::iter(targets).then(records))
        };
        let chunks = |chunks: Vec<Vec<FindingRecord>>| stream::iter(chunks.into_iter().map(Ok::<_, CommandError>));
        stream::once(targets).try_flatten().map_ok(chunks).try_flatten().boxed()
    }

    /// Returns the findings of a target that have these ids, in chunks. The ids are sorted.
    async fn records_of(
        &self,
        target: TargetId,
        ids: Vec<FindingId>,
        readable: &ProjectFilter,
    ) -> Result<Vec<Vec<FindingRecord>>, CommandError> {
        let mut rest = self.store.findings_of(target).await?;
        rest.retain(|record| ids.binary_search(&record.id).is_ok() && readable.holds(&record.project));
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let after = rest.split_off(rest.len().min(RECORDS_AT_ONCE));
            chunks.push(std::mem::replace(&mut rest, after));
        }
        Ok(chunks)
    }

    /// Answers a question from the index, with the projects that may be read.
    pub(super) async fn ask<T>(
        &self,
        readable: &ProjectFilter,
        question: impl FnOnce(&Table, Asked<'_>) -> T,
    ) -> Result<T, CommandError> {
        let now = self.clock.now();
        let answer = |table: &Table, policies: &Policies| question(table, Asked { readable, policies, now });
        Ok(self.index.ask(answer).await?)
    }

    /// Returns a finding with its target, if the principal may read them.
    pub(super) async fn visible(
        &self,
        context: &RequestContext,
        id: FindingId,
    ) -> Result<Option<(FindingRecord, TargetRecord)>, StoreError> {
        let Some(record) = self.store.finding(id).await? else { return Ok(None) };
        if decide(&context.grants, Operation::ReadFindings, Some(&record.project)).is_err() {
            return Ok(None);
        }
        // The first scan of a target stores it last.
        let target = self.store.target(record.target).await?;
        Ok(target.map(|target| (record, target)))
    }

    fn row_of(&self, record: &FindingRecord, target: &TargetRecord, policy: &SlaPolicy) -> FindingRow {
        let now = self.clock.now();
        FindingRow {
            id: record.id,
            target: target.id,
            origin: target.origin.clone(),
            project: record.project.clone(),
            plugin: record.plugin.clone(),
            issue: record.issue.clone(),
            title: record.title.clone(),
            place: record.place.to_string(),
            severity: record.severity,
            category: record.category.clone(),
            status: record.status(now),
            regressed: record.life.regressed,
            first_seen: record.life.first_seen.order,
            last_seen: record.life.last_seen.order,
            open_since: record.life.open_since,
            not_checked_since: record.life.not_checked_since(),
            sla: record.sla(policy, now),
            owner: record.owner.clone(),
            members_count: record.members_count,
            tags: target.tags.clone(),
        }
    }
}

/// Returns the issue of a finding in the scanner's registry: the first of its ids that is there.
fn issue_of<'a>(catalogue: &'a ScannerCatalog, record: &FindingRecord) -> Option<&'a IssueText> {
    let ids = record.sighting.registry_ids.iter().map(String::as_str).chain([record.issue.as_str()]);
    ids.into_iter().find_map(|id| catalogue.issues.get(id))
}

impl std::fmt::Debug for FindingService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FindingService").finish_non_exhaustive()
    }
}
