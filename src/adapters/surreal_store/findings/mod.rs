//! Targets, their findings and the results of scans: the port [`FindingStore`].
//!
//! - **Rows** are JSON texts with the few columns that queries need.
//! - **Conditional writes** compare the versions of all rows first, and then write all or none, in
//!   one transaction and one call ([`rows`], [`results`], [`edits`]).
//! - **Marks**: `counter:findings` has the mark of the last change. Each transaction that changes
//!   rows reads it FOR UPDATE and raises it by the number of its rows, so that two of them that run
//!   at one time conflict, and the later one gets the higher marks. A reader that has seen a mark
//!   has therefore seen all lower ones, and needs only the rows with higher marks ([`changes`]).
//! - **A deleted row** stays without its content, with the mark of its deletion: other servers see
//!   that it is gone, and a later row with its key continues its versions.

mod changes;
mod edits;
mod results;
mod rows;

use async_trait::async_trait;
use kastrel_actors::model::{
    DomainEvent, FindingChanges, FindingRecord, ObservedRecord, Principal, ProjectId, Put, SavedFilter, ScanId,
    ScanNotes, ScanResult, SeenAsset, TargetRecord,
};
use kastrel_actors::ports::{FindingStore, StoreError};
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::{ScanOrder, SlaPolicy};

pub(super) use self::edits::{notes_key, tag_key};
use super::store::SurrealStore;

#[async_trait]
impl FindingStore for SurrealStore {
    async fn target(&self, id: TargetId) -> Result<Option<TargetRecord>, StoreError> {
        self.read_target(id).await
    }

    async fn assets(&self, target: TargetId) -> Result<Vec<SeenAsset>, StoreError> {
        self.read_assets(target).await
    }

    async fn finding(&self, id: FindingId) -> Result<Option<FindingRecord>, StoreError> {
        self.read_finding(id).await
    }

    async fn findings_of(&self, target: TargetId) -> Result<Vec<FindingRecord>, StoreError> {
        self.read_findings(target).await
    }

    async fn scan_result(&self, scan: ScanId) -> Result<Option<ScanResult>, StoreError> {
        self.read_result(scan).await
    }

    async fn observed(&self, scan: ScanId, chunk: u32) -> Result<Vec<ObservedRecord>, StoreError> {
        self.read_observed(scan, chunk).await
    }

    async fn results_of(
        &self,
        target: TargetId,
        before: Option<ScanOrder>,
        limit: usize,
    ) -> Result<Vec<ScanResult>, StoreError> {
        self.read_results(target, before, limit).await
    }

    async fn put_observed(&self, scan: ScanId, chunk: u32, observed: Vec<ObservedRecord>) -> Result<(), StoreError> {
        self.write_observed(scan, chunk, &observed).await
    }

    async fn put_findings(&self, findings: Vec<FindingRecord>) -> Result<Put, StoreError> {
        self.write_findings(&findings, rows::Write::Put).await
    }

    async fn put_result(
        &self,
        result: ScanResult,
        target: TargetRecord,
        assets: Vec<SeenAsset>,
    ) -> Result<Put, StoreError> {
        self.write_result(&result, &target, &assets).await
    }

    async fn put_target(&self, target: TargetRecord, assets: Vec<SeenAsset>) -> Result<Put, StoreError> {
        self.write_target_alone(&target, &assets).await
    }

    async fn forget_result(&self, scan: ScanId) -> Result<(), StoreError> {
        self.delete_result(scan).await
    }

    async fn delete_findings(&self, findings: Vec<FindingRecord>) -> Result<Put, StoreError> {
        self.write_findings(&findings, rows::Write::Delete).await
    }

    async fn delete_target(&self, target: TargetId) -> Result<bool, StoreError> {
        self.remove_target(target).await
    }

    async fn edit_finding(
        &self,
        finding: FindingRecord,
        event: &DomainEvent,
        by: &Principal,
    ) -> Result<Put, StoreError> {
        self.write_edited_finding(&finding, event, by).await
    }

    async fn edit_target(&self, target: TargetRecord, event: &DomainEvent, by: &Principal) -> Result<Put, StoreError> {
        self.write_edited_target(&target, event, by).await
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<FindingChanges, StoreError> {
        self.changed_findings(after, limit).await
    }

    async fn sla_policy(&self, project: &ProjectId) -> Result<SlaPolicy, StoreError> {
        self.read_sla_policy(project).await
    }

    async fn set_sla_policy(&self, project: &ProjectId, policy: SlaPolicy, by: &Principal) -> Result<(), StoreError> {
        self.write_sla_policy(project, &policy, by).await
    }

    async fn scan_notes(&self, scan: ScanId) -> Result<ScanNotes, StoreError> {
        self.read_scan_notes(scan).await
    }

    async fn set_scan_notes(&self, scan: ScanId, notes: ScanNotes, by: &Principal) -> Result<bool, StoreError> {
        self.write_scan_notes(scan, &notes, by).await
    }

    async fn saved_filters(&self, owner: &str) -> Result<Vec<SavedFilter>, StoreError> {
        self.read_filters(owner).await
    }

    async fn save_filter(&self, owner: &str, filter: SavedFilter, most: usize) -> Result<bool, StoreError> {
        self.write_filter(owner, &filter, most).await
    }

    async fn delete_filter(&self, owner: &str, name: &str) -> Result<bool, StoreError> {
        self.remove_filter(owner, name).await
    }
}
