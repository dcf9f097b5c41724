//! Targets, findings and the results of scans in memory.

use std::collections::{BTreeMap, BTreeSet};

use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::{ScanOrder as Order, SlaPolicy};

use super::*;
use crate::model::{
    FindingChanges, FindingRecord, ObservedRecord, Put, SavedFilter, ScanNotes, ScanResult, SeenAsset, TargetRecord,
};
use crate::ports::FindingStore;

/// A row of a target or a finding. A deleted one stays without its record, so that a later row with
/// its key continues the versions.
struct Row<T> {
    record: Option<T>,
    version: u64,
    change: u64,
}

/// The key of a row that changed.
#[derive(Clone, Copy)]
enum Changed {
    Finding(FindingId),
    Target(TargetId),
}

/// The rows of findings and what belongs to them.
#[derive(Default)]
pub(super) struct FindingRows {
    findings: BTreeMap<FindingId, Row<FindingRecord>>,
    targets: BTreeMap<TargetId, Row<TargetRecord>>,
    of_target: BTreeMap<TargetId, BTreeSet<FindingId>>,
    /// The rows by their last changes.
    changes: BTreeMap<u64, Changed>,
    mark: u64,
    results: BTreeMap<ScanId, ScanResult>,
    /// Scans that a test supposes, with their projects.
    supposed: BTreeMap<ScanId, ProjectId>,
    observed: BTreeMap<(ScanId, u32), Vec<ObservedRecord>>,
    assets: BTreeMap<TargetId, Vec<SeenAsset>>,
    policies: BTreeMap<ProjectId, SlaPolicy>,
    notes: BTreeMap<ScanId, ScanNotes>,
    filters: BTreeMap<(String, String), String>,
}

/// Returns whether the row has the version; a row that is not there has version 0.
fn is_at<K: Ord, T>(rows: &BTreeMap<K, Row<T>>, key: &K, version: u64) -> bool {
    rows.get(key).filter(|row| row.record.is_some()).map_or(0, |row| row.version) == version
}

impl FindingRows {
    pub(super) fn has_tag(&self, scan: ScanId, tag: &str) -> bool {
        self.notes.get(&scan).is_some_and(|notes| notes.tags.iter().any(|one| one == tag))
    }

    fn next_mark(&mut self, row: Changed) -> u64 {
        self.mark += 1;
        self.changes.insert(self.mark, row);
        self.mark
    }

    fn write_finding(&mut self, id: FindingId, target: TargetId, record: Option<FindingRecord>) {
        let change = self.next_mark(Changed::Finding(id));
        let of_target = self.of_target.entry(target).or_default();
        if record.is_some() {
            of_target.insert(id)
        } else {
            of_target.remove(&id)
        };
        let row = self.findings.entry(id).or_insert(Row { record: None, version: 0, change: 0 });
        self.changes.remove(&row.change);
        row.version += 1;
        row.change = change;
        row.record = record.map(|record| FindingRecord { version: row.version, ..record });
    }

    fn write_target(&mut self, id: TargetId, record: Option<TargetRecord>) {
        let change = self.next_mark(Changed::Target(id));
        let row = self.targets.entry(id).or_insert(Row { record: None, version: 0, change: 0 });
        self.changes.remove(&row.change);
        row.version += 1;
        row.change = change;
        row.record = record.map(|record| TargetRecord { version: row.version, ..record });
    }

    /// Writes the findings if all have the version that the caller read.
    fn put(&mut self, findings: Vec<FindingRecord>, is_deletion: bool) -> Put {
        if !findings.iter().all(|finding| is_at(&self.findings, &finding.id, finding.version)) {
            return Put::Changed;
        }
        for finding in findings {
            self.write_finding(finding.id, finding.target, Some(finding).filter(|_| !is_deletion));
        }
        Put::Stored
    }

    pub(super) fn forget_notes(&mut self, scan: ScanId) {
        self.notes.remove(&scan);
    }
}

impl MemoryStore {
    /// Lets results of a scan be stored as if it were in this project, whether it has a row or not.
    /// `None`: its row counts again.
    pub fn suppose_scan(&self, scan: ScanId, project: Option<&ProjectId>) {
        let supposed = &mut self.state().findings.supposed;
        match project {
            Some(project) => supposed.insert(scan, project.clone()),
            None => supposed.remove(&scan),
        };
    }
}

#[async_trait]
impl FindingStore for MemoryStore {
    async fn target(&self, id: TargetId) -> Result<Option<TargetRecord>, StoreError> {
        Ok(self.state().findings.targets.get(&id).and_then(|row| row.record.clone()))
    }

    async fn assets(&self, target: TargetId) -> Result<Vec<SeenAsset>, StoreError> {
        Ok(self.state().findings.assets.get(&target).cloned().unwrap_or_default())
    }

    async fn finding(&self, id: FindingId) -> Result<Option<FindingRecord>, StoreError> {
        Ok(self.state().findings.findings.get(&id).and_then(|row| row.record.clone()))
    }

    async fn findings_of(&self, target: TargetId) -> Result<Vec<FindingRecord>, StoreError> {
        let mut state = self.state();
        state.count("findings_of");
        let rows = &state.findings;
        let ids = rows.of_target.get(&target).into_iter().flatten();
        Ok(ids.filter_map(|id| rows.findings.get(id)?.record.clone()).collect())
    }

    async fn scan_result(&self, scan: ScanId) -> Result<Option<ScanResult>, StoreError> {
        Ok(self.state().findings.results.get(&scan).cloned())
    }

    async fn observed(&self, scan: ScanId, chunk: u32) -> Result<Vec<ObservedRecord>, StoreError> {
        let mut state = self.state();
        state.count("observed_findings");
        Ok(state.findings.observed.get(&(scan, chunk)).cloned().unwrap_or_default())
    }

    async fn results_of(
        &self,
        target: TargetId,
        before: Option<Order>,
        limit: usize,
    ) -> Result<Vec<ScanResult>, StoreError> {
        let state = self.state();
        let is_wanted =
            |result: &&ScanResult| result.target == target && before.is_none_or(|before| result.order < before);
        let mut all: Vec<ScanResult> = state.findings.results.values().filter(is_wanted).cloned().collect();
        all.sort_by_key(|result| std::cmp::Reverse(result.order));
        all.truncate(limit);
        Ok(all)
    }

    async fn put_observed(&self, scan: ScanId, chunk: u32, observed: Vec<ObservedRecord>) -> Result<(), StoreError> {
        let mut state = self.state();
        state.count("put_observed");
        state.findings.observed.insert((scan, chunk), observed);
        Ok(())
    }

    async fn put_findings(&self, findings: Vec<FindingRecord>) -> Result<Put, StoreError> {
        let mut state = self.state();
        state.count("put_findings");
        Ok(state.findings.put(findings, false))
    }

    async fn put_result(
        &self,
        result: ScanResult,
        target: TargetRecord,
        assets: Vec<SeenAsset>,
    ) -> Result<Put, StoreError> {
        let mut state = self.state();
        state.count("put_result");
        let project = state.scans.get(&result.scan).map(|scan| &scan.project);
        let has_scan = state.findings.supposed.get(&result.scan).or(project) == Some(&result.project);
        let rows = &mut state.findings;
        if !has_scan || !is_at(&rows.targets, &target.id, target.version) {
            return Ok(Put::Changed);
        }
        let (scan, chunks) = (result.scan, result.chunks());
        rows.observed.retain(|(of, chunk), _| *of != scan || *chunk < chunks);
        rows.results.insert(scan, result);
        rows.assets.insert(target.id, assets);
        rows.write_target(target.id, Some(target));
        Ok(Put::Stored)
    }

    async fn put_target(&self, target: TargetRecord, assets: Vec<SeenAsset>) -> Result<Put, StoreError> {
        let mut state = self.state();
        state.count("put_target");
        let rows = &mut state.findings;
        if !is_at(&rows.targets, &target.id, target.version) {
            return Ok(Put::Changed);
        }
        rows.assets.insert(target.id, assets);
        rows.write_target(target.id, Some(target));
        Ok(Put::Stored)
    }

    async fn forget_result(&self, scan: ScanId) -> Result<(), StoreError> {
        let mut state = self.state();
        state.findings.results.remove(&scan);
        state.findings.observed.retain(|(of, _), _| *of != scan);
        Ok(())
    }

    async fn delete_findings(&self, findings: Vec<FindingRecord>) -> Result<Put, StoreError> {
        Ok(self.state().findings.put(findings, true))
    }

    async fn delete_target(&self, target: TargetId) -> Result<bool, StoreError> {
        let mut state = self.state();
        let rows = &mut state.findings;
        let has_findings = rows.of_target.get(&target).is_some_and(|ids| !ids.is_empty());
        if has_findings || rows.results.values().any(|result| result.target == target) {
            return Ok(false);
        }
        rows.assets.remove(&target);
        if rows.targets.get(&target).is_some_and(|row| row.record.is_some()) {
            rows.write_target(target, None);
        }
        Ok(true)
    }

    async fn edit_finding(
        &self,
        finding: FindingRecord,
        event: &DomainEvent,
        by: &Principal,
    ) -> Result<Put, StoreError> {
        let mut state = self.state();
        let put = state.findings.put(vec![finding], false);
        if put == Put::Stored {
            state.note(self.clock.now(), by.clone(), None, event.clone());
        }
        Ok(put)
    }

    async fn edit_target(&self, target: TargetRecord, event: &DomainEvent, by: &Principal) -> Result<Put, StoreError> {
        let mut state = self.state();
        if !is_at(&state.findings.targets, &target.id, target.version) {
            return Ok(Put::Changed);
        }
        state.findings.write_target(target.id, Some(target));
        state.note(self.clock.now(), by.clone(), None, event.clone());
        Ok(Put::Stored)
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<FindingChanges, StoreError> {
        let mut state = self.state();
        state.count("finding_changes");
        let rows = &state.findings;
        let mut changes = FindingChanges { mark: after, ..FindingChanges::default() };
        let mut next = rows.changes.range(after.saturating_add(1)..);
        for (mark, row) in next.by_ref().take(limit) {
            changes.mark = *mark;
            match *row {
                Changed::Finding(id) => match rows.findings.get(&id).and_then(|row| row.record.clone()) {
                    Some(finding) => changes.findings.push(finding),
                    None => changes.gone.push(id),
                },
                Changed::Target(id) => match rows.targets.get(&id).and_then(|row| row.record.clone()) {
                    Some(target) => changes.targets.push(target),
                    None => changes.gone_targets.push(id),
                },
            }
        }
        changes.has_more = next.next().is_some();
        Ok(changes)
    }

    async fn sla_policy(&self, project: &ProjectId) -> Result<SlaPolicy, StoreError> {
        Ok(self.state().findings.policies.get(project).cloned().unwrap_or_default())
    }

    async fn set_sla_policy(&self, project: &ProjectId, policy: SlaPolicy, by: &Principal) -> Result<(), StoreError> {
        let mut state = self.state();
        state.findings.policies.insert(project.clone(), policy);
        let event = DomainEvent::SlaPolicySet { project: project.clone() };
        state.note(self.clock.now(), by.clone(), None, event);
        Ok(())
    }

    async fn scan_notes(&self, scan: ScanId) -> Result<ScanNotes, StoreError> {
        Ok(self.state().findings.notes.get(&scan).cloned().unwrap_or_default())
    }

    async fn set_scan_notes(&self, scan: ScanId, notes: ScanNotes, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        if !state.scans.contains_key(&scan) {
            return Ok(false);
        }
        state.findings.notes.insert(scan, notes);
        state.note_about(self.clock.now(), by.clone(), scan, DomainEvent::ScanNotesChanged);
        Ok(true)
    }

    async fn saved_filters(&self, owner: &str) -> Result<Vec<SavedFilter>, StoreError> {
        let state = self.state();
        let of_owner = state.findings.filters.iter().filter(|((of, _), _)| of == owner);
        let filters = of_owner.map(|((_, name), filter)| SavedFilter { name: name.clone(), filter: filter.clone() });
        Ok(filters.collect())
    }

    async fn save_filter(&self, owner: &str, filter: SavedFilter, most: usize) -> Result<bool, StoreError> {
        let mut state = self.state();
        let filters = &mut state.findings.filters;
        if filters.keys().filter(|(of, name)| of == owner && *name != filter.name).count() >= most {
            return Ok(false);
        }
        filters.insert((owner.to_owned(), filter.name), filter.filter);
        Ok(true)
    }

    async fn delete_filter(&self, owner: &str, name: &str) -> Result<bool, StoreError> {
        Ok(self.state().findings.filters.remove(&(owner.to_owned(), name.to_owned())).is_some())
    }
}
