//! The targets, their findings and what each scan saw.

use async_trait::async_trait;
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::{ScanOrder, SlaPolicy};

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{
    DomainEvent, FindingChanges, FindingRecord, ObservedRecord, Principal, ProjectId, Put, SavedFilter, ScanId,
    ScanNotes, ScanResult, SeenAsset, TargetRecord,
};

/// Keeps targets, findings and the results of scans.
///
/// Rows of targets and findings are written only if their version is unchanged since the read
/// ([`Put`]). Each such write raises the mark of the changes by the number of its rows, in its own
/// transaction, so that marks are in the order of the commits and [`changes`](Self::changes) misses
/// nothing. A row that is stored again after its deletion continues the versions of the deleted
/// one, so that nobody who has read that one can overwrite it.
///
/// A write that is repeated after a lost response may answer [`Put::Changed`] though the first one
/// was committed, except for [`edit_finding`](Self::edit_finding) and
/// [`edit_target`](Self::edit_target), which recognize their own change.
#[async_trait]
pub trait FindingStore: Send + Sync + 'static {
    /// Returns a target.
    async fn target(&self, id: TargetId) -> Result<Option<TargetRecord>, StoreError>;

    /// Returns the assets of a target, in no particular order.
    async fn assets(&self, target: TargetId) -> Result<Vec<SeenAsset>, StoreError>;

    /// Returns a finding.
    async fn finding(&self, id: FindingId) -> Result<Option<FindingRecord>, StoreError>;

    /// Returns all findings of a target, in the order of their ids.
    async fn findings_of(&self, target: TargetId) -> Result<Vec<FindingRecord>, StoreError>;

    /// Returns what a scan checked; `None` until its result is stored.
    async fn scan_result(&self, scan: ScanId) -> Result<Option<ScanResult>, StoreError>;

    /// Returns a chunk of what a scan saw, from 0. A chunk that does not exist is empty.
    async fn observed(&self, scan: ScanId, chunk: u32) -> Result<Vec<ObservedRecord>, StoreError>;

    /// Returns the results of a target before `before`, newest first.
    async fn results_of(
        &self,
        target: TargetId,
        before: Option<ScanOrder>,
        limit: usize,
    ) -> Result<Vec<ScanResult>, StoreError>;

    /// Stores a chunk of what a scan saw, in place of an earlier one.
    async fn put_observed(&self, scan: ScanId, chunk: u32, observed: Vec<ObservedRecord>) -> Result<(), StoreError>;

    /// Stores findings, all or none.
    async fn put_findings(&self, findings: Vec<FindingRecord>) -> Result<Put, StoreError>;

    /// Stores what a scan checked, in place of an earlier result of the scan, together with its
    /// target and the target's assets. Chunks beyond those of the result are deleted. Answers
    /// [`Put::Changed`] also if there is no such scan in the project of the result: it was deleted
    /// or transferred.
    async fn put_result(
        &self,
        result: ScanResult,
        target: TargetRecord,
        assets: Vec<SeenAsset>,
    ) -> Result<Put, StoreError>;

    /// Stores a target and its assets without a result, after a scan left it.
    async fn put_target(&self, target: TargetRecord, assets: Vec<SeenAsset>) -> Result<Put, StoreError>;

    /// Deletes what a scan checked and saw. Its findings and its target stay.
    async fn forget_result(&self, scan: ScanId) -> Result<(), StoreError>;

    /// Deletes findings, all or none.
    async fn delete_findings(&self, findings: Vec<FindingRecord>) -> Result<Put, StoreError>;

    /// Deletes a target with its assets, if it has no finding and no result of a scan. Returns
    /// `false` if it has.
    async fn delete_target(&self, target: TargetId) -> Result<bool, StoreError>;

    /// Stores the change of a person, with its entry of the audit log.
    async fn edit_finding(
        &self,
        finding: FindingRecord,
        event: &DomainEvent,
        by: &Principal,
    ) -> Result<Put, StoreError>;

    /// Stores the change of a person, with its entry of the audit log.
    async fn edit_target(&self, target: TargetRecord, event: &DomainEvent, by: &Principal) -> Result<Put, StoreError>;

    /// Returns the rows that changed after the mark, at most `limit` of them. The mark 0 is before all
    /// changes.
    async fn changes(&self, after: u64, limit: usize) -> Result<FindingChanges, StoreError>;

    /// Returns the times within which the findings of a project must be fixed. Empty if it has
    /// none.
    async fn sla_policy(&self, project: &ProjectId) -> Result<SlaPolicy, StoreError>;

    /// Sets them, with an entry of the audit log.
    async fn set_sla_policy(&self, project: &ProjectId, policy: SlaPolicy, by: &Principal) -> Result<(), StoreError>;

    /// Returns the tags and notes of a scan. Empty if it has none.
    async fn scan_notes(&self, scan: ScanId) -> Result<ScanNotes, StoreError>;

    /// Sets them, with an entry of the audit log. Returns `false` if there is no such scan. The
    /// deletion of the scan deletes them.
    async fn set_scan_notes(&self, scan: ScanId, notes: ScanNotes, by: &Principal) -> Result<bool, StoreError>;

    /// Returns the saved filters of an owner, by name. The owner is the text of a principal.
    async fn saved_filters(&self, owner: &str) -> Result<Vec<SavedFilter>, StoreError>;

    /// Saves a filter in place of one with its name. Returns `false` if the owner has `most`
    /// others.
    async fn save_filter(&self, owner: &str, filter: SavedFilter, most: usize) -> Result<bool, StoreError>;

    /// Deletes a saved filter. Returns `false` if no filter has this name.
    async fn delete_filter(&self, owner: &str, name: &str) -> Result<bool, StoreError>;
}

#[async_trait]
impl<S: FindingStore + ?Sized, H: CallHook> FindingStore for Hooked<S, H> {
    async fn target(&self, id: TargetId) -> Result<Option<TargetRecord>, StoreError> {
        self.hook.around("target", self.inner.target(id)).await
    }

    async fn assets(&self, target: TargetId) -> Result<Vec<SeenAsset>, StoreError> {
        self.hook.around("target_assets", self.inner.assets(target)).await
    }

    async fn finding(&self, id: FindingId) -> Result<Option<FindingRecord>, StoreError> {
        self.hook.around("finding", self.inner.finding(id)).await
    }

    async fn findings_of(&self, target: TargetId) -> Result<Vec<FindingRecord>, StoreError> {
        self.hook.around("findings_of", self.inner.findings_of(target)).await
    }

    async fn scan_result(&self, scan: ScanId) -> Result<Option<ScanResult>, StoreError> {
        self.hook.around("scan_result", self.inner.scan_result(scan)).await
    }

    async fn observed(&self, scan: ScanId, chunk: u32) -> Result<Vec<ObservedRecord>, StoreError> {
        self.hook.around("observed_findings", self.inner.observed(scan, chunk)).await
    }

    async fn results_of(
        &self,
        target: TargetId,
        before: Option<ScanOrder>,
        limit: usize,
    ) -> Result<Vec<ScanResult>, StoreError> {
        self.hook.around("results_of", self.inner.results_of(target, before, limit)).await
    }

    async fn put_observed(&self, scan: ScanId, chunk: u32, observed: Vec<ObservedRecord>) -> Result<(), StoreError> {
        self.hook.around("put_observed", self.inner.put_observed(scan, chunk, observed)).await
    }

    async fn put_findings(&self, findings: Vec<FindingRecord>) -> Result<Put, StoreError> {
        self.hook.around("put_findings", self.inner.put_findings(findings)).await
    }

    async fn put_result(
        &self,
        result: ScanResult,
        target: TargetRecord,
        assets: Vec<SeenAsset>,
    ) -> Result<Put, StoreError> {
        self.hook.around("put_result", self.inner.put_result(result, target, assets)).await
    }

    async fn put_target(&self, target: TargetRecord, assets: Vec<SeenAsset>) -> Result<Put, StoreError> {
        self.hook.around("put_target", self.inner.put_target(target, assets)).await
    }

    async fn forget_result(&self, scan: ScanId) -> Result<(), StoreError> {
        self.hook.around("forget_result", self.inner.forget_result(scan)).await
    }

    async fn delete_findings(&self, findings: Vec<FindingRecord>) -> Result<Put, StoreError> {
        self.hook.around("delete_findings", self.inner.delete_findings(findings)).await
    }

    async fn delete_target(&self, target: TargetId) -> Result<bool, StoreError> {
        self.hook.around("delete_target", self.inner.delete_target(target)).await
    }

    async fn edit_finding(
        &self,
        finding: FindingRecord,
        event: &DomainEvent,
        by: &Principal,
    ) -> Result<Put, StoreError> {
        self.hook.around("edit_finding", self.inner.edit_finding(finding, event, by)).await
    }

    async fn edit_target(&self, target: TargetRecord, event: &DomainEvent, by: &Principal) -> Result<Put, StoreError> {
        self.hook.around("edit_target", self.inner.edit_target(target, event, by)).await
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<FindingChanges, StoreError> {
        self.hook.around("finding_changes", self.inner.changes(after, limit)).await
    }

    async fn sla_policy(&self, project: &ProjectId) -> Result<SlaPolicy, StoreError> {
        self.hook.around("sla_policy", self.inner.sla_policy(project)).await
    }

    async fn set_sla_policy(&self, project: &ProjectId, policy: SlaPolicy, by: &Principal) -> Result<(), StoreError> {
        self.hook.around("set_sla_policy", self.inner.set_sla_policy(project, policy, by)).await
    }

    async fn scan_notes(&self, scan: ScanId) -> Result<ScanNotes, StoreError> {
        self.hook.around("scan_notes", self.inner.scan_notes(scan)).await
    }

    async fn set_scan_notes(&self, scan: ScanId, notes: ScanNotes, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("set_scan_notes", self.inner.set_scan_notes(scan, notes, by)).await
    }

    async fn saved_filters(&self, owner: &str) -> Result<Vec<SavedFilter>, StoreError> {
        self.hook.around("saved_filters", self.inner.saved_filters(owner)).await
    }

    async fn save_filter(&self, owner: &str, filter: SavedFilter, most: usize) -> Result<bool, StoreError> {
        self.hook.around("save_filter", self.inner.save_filter(owner, filter, most)).await
    }

    async fn delete_filter(&self, owner: &str, name: &str) -> Result<bool, StoreError> {
        self.hook.around("delete_filter", self.inner.delete_filter(owner, name)).await
    }
}
