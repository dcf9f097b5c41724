//! The service of targets.

use std::sync::Arc;

use kastrel_actors::Client;
use kastrel_actors::model::{
    DomainEvent, Operation, Put, RequestContext, ScanId, ScanResult, ScanSnapshot, TargetRecord,
};
use kastrel_actors::policy::access::decide;
use kastrel_actors::ports::StoreError;
use kastrel_actors::service::{Accepted, CommandError, SubmitError};
use kastrel_findings::identity::TargetId;
use kastrel_findings::readers::plugin_key;

use super::check_again::{draft, is_whole};
use super::fields::{MOST_NOTE_CHARS, lines, tags, wrong};
use super::query::TargetQuery;
use super::service::FindingService;
use super::views::{TargetDetail, TargetPage};

/// The most scans in the detail of a target.
const MOST_SCANS: usize = 60;
/// The most results among which the request of a new check is looked for.
const MOST_EARLIER: usize = 300;
/// How often a change is tried while others change the target.
const MOST_TRIES: usize = 8;

/// A change of a target. `None` leaves a part as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetEdit {
    /// The tags, in any order.
    pub tags: Option<Vec<String>>,
    /// The notes.
    pub notes: Option<String>,
}

/// The service of targets.
#[derive(Debug, Clone)]
pub struct TargetService {
    findings: FindingService,
}

impl TargetService {
    pub(super) const fn new(findings: FindingService) -> Self {
        Self { findings }
    }

    /// Returns a page of the targets that match and that the principal may read.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn list(&self, context: &RequestContext, query: &TargetQuery) -> Result<TargetPage, CommandError> {
        self.findings.ask(&context.grants.readable(), |table, asked| table.targets(query, asked)).await
    }

    /// Returns a target; `None` if it does not exist, or if the principal may not read it.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn get(&self, context: &RequestContext, id: TargetId) -> Result<Option<TargetDetail>, CommandError> {
        let readable = context.grants.readable();
        let row = self.findings.ask(&readable, |table, asked| table.target_row(id, asked)).await?;
        let (Some(row), Some(record)) = (row, self.visible(context, id).await?) else { return Ok(None) };
        let store = &self.findings.store;
        let mut assets = store.assets(id).await?;
        assets.sort_by(|one, other| one.asset.kind.cmp(&other.asset.kind));
        Ok(Some(TargetDetail {
            row,
            assets,
            scans: store.results_of(id, None, MOST_SCANS).await?,
            coverage: record.checks.iter().map(|(plugin, check)| (plugin.clone(), check.clone())).collect(),
            may_edit: decide(&context.grants, Operation::EditTargets, Some(&record.project)).is_ok(),
            record,
        }))
    }

    /// Changes the tags and the notes of a target. Returns `false` if it does not exist, or
    /// if the principal may not read it. The same ones again change nothing.
    ///
    /// # Errors
    /// A field is invalid (`tags`, `notes`), the principal lacks [`Operation::EditTargets`], others
    /// change the target all the time (field `target`), or a failure of the store.
    pub async fn edit(&self, context: &RequestContext, id: TargetId, edit: TargetEdit) -> Result<bool, CommandError> {
        for _ in 0..MOST_TRIES {
            let Some(record) = self.visible(context, id).await? else { return Ok(false) };
            decide(&context.grants, Operation::EditTargets, Some(&record.project))?;
            let mut changed = record.clone();
            if let Some(given) = &edit.tags {
                changed.tags = tags(given)?;
            }
            if let Some(notes) = &edit.notes {
                changed.notes = lines("notes", notes, MOST_NOTE_CHARS)?;
            }
            if changed == record {
                return Ok(true);
            }
            let event = DomainEvent::TargetChanged { project: record.project, target: id };
            match self.findings.store.edit_target(changed, &event, &context.principal).await? {
                Put::Stored => return Ok(true),
                Put::Changed => {}
            }
        }
        Err(wrong("target", "others change the target at this time: try again"))
    }

    /// Submits a scan of a target with the request of an earlier one, for the principal and against
    /// the share of `client`. Without `plugin`, it is the newest scan that ran more than one plugin
    /// and was no re-run of some. With `plugin`, it is the newest scan that had it, and only this
    /// plugin runs: a passive one in mode passive. If there is no such scan, the newest one counts.
    /// `confirm_active` is the user's confirmation that active plugins may run. The request of a
    /// scan that is deleted or that the principal may not see is not used; without any, it is a
    /// passive scan of the origin with defaults. Returns `None` if there is no such target, or if
    /// the principal may not read it.
    ///
    /// # Errors
    /// Those of [`submit`](kastrel_actors::service::ScanService::submit).
    pub async fn check_again(
        &self,
        context: &RequestContext,
        client: Client,
        id: TargetId,
        plugin: Option<&str>,
        confirm_active: bool,
    ) -> Result<Option<Accepted>, SubmitError> {
        let Some(record) = self.visible(context, id).await? else { return Ok(None) };
        let scans = &self.findings.scans;
        let earlier = self.earlier(context, &record, plugin).await?;
        let request = earlier.as_ref().map(|scan| &scan.record.request);
        let catalogue = self.findings.catalogue.borrow().clone();
        let known = catalogue.as_ref().map_or(&[][..], |catalogue| catalogue.plugins.as_slice());
        let mut draft = draft(&record, request, plugin, known, &scans.setting_rules());
        draft.confirm_active = Some(confirm_active);
        scans.submit(context, client, &draft, None).await.map(Some)
    }

    /// Returns the scan whose request a new check of a target takes over.
    async fn earlier(
        &self,
        context: &RequestContext,
        target: &TargetRecord,
        plugin: Option<&str>,
    ) -> Result<Option<Arc<ScanSnapshot>>, StoreError> {
        let scans = &self.findings.scans;
        let key = plugin.map(plugin_key);
        if let Some(check) = key.as_ref().and_then(|key| target.checks.get(key))
            && let Some(scan) = scans.scan(context, ScanId(check.newest.0.scan)).await?
        {
            return Ok(Some(scan));
        }
        let results = self.findings.store.results_of(target.id, None, MOST_EARLIER).await?;
        // What only the scan itself says is read for the results that may fit.
        let may_fit = |result: &&ScanResult| match &key {
            Some(key) => result.checks.contains_key(key),
            None => result.checks.len() != 1,
        };
        for result in results.iter().filter(may_fit) {
            if let Some(scan) = scans.scan(context, result.scan).await?
                && (key.is_some() || is_whole(&scan.record))
            {
                return Ok(Some(scan));
            }
        }
        for result in &results {
            if let Some(scan) = scans.scan(context, result.scan).await? {
                return Ok(Some(scan));
            }
        }
        Ok(None)
    }

    /// Returns a target, if the principal may read it.
    async fn visible(&self, context: &RequestContext, id: TargetId) -> Result<Option<TargetRecord>, StoreError> {
        let record = self.findings.store.target(id).await?;
        let may_read =
            |record: &TargetRecord| decide(&context.grants, Operation::ReadFindings, Some(&record.project)).is_ok();
        Ok(record.filter(may_read))
    }
}
