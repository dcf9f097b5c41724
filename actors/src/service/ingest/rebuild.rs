//! Computes the findings of a target anew from all its scans.
//!
//! The scans are applied in the order of their ends to rows in memory. The rows are then merged
//! with the stored ones: what people did stays, and findings that no scan saw and of which no
//! person said anything are deleted. The findings are written before the results, by
//! compare-and-set, so a rebuild that ends early is repeated, and a repeated one writes nothing.
//!
//! What scans said that cannot be read any more stays as the rows have it ([`Memory`]).

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_findings::AssetKind;
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::ScanOrder;

use super::ingestion::{IngestError, Ingestion, RESULTS_AT_ONCE, TRIES};
use crate::model::{FindingRecord, OBSERVED_CHUNK, ObservedRecord, Put, ScanId, ScanResult, SeenAsset, TargetRecord};
use crate::policy::ingest::{
    IngestPlan, Left, Memory, ScanHead, ScanReading, StoredTarget, end_of_named, is_touched, plan, rebuilt,
    rebuilt_assets,
};

/// Gives the scans of a target.
#[async_trait]
pub trait ReadScan: Send + Sync {
    /// Returns the scans of a target with their places among them, in any order.
    ///
    /// # Errors
    /// The store failed.
    async fn scans(&self, target: TargetId) -> Result<Vec<(ScanOrder, ScanId)>, IngestError>;

    /// Reads a scan. `None`: it says nothing about a target any more.
    ///
    /// # Errors
    /// The store failed, or the files of the scan do not respond.
    async fn read(&self, scan: ScanId) -> Result<Option<ScanReading>, IngestError>;
}

/// What a rebuild of a target did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebuildCounts {
    /// The scans that were read.
    pub scans: u64,
    /// The findings that were written.
    pub written: u64,
    /// The findings that were deleted.
    pub deleted: u64,
}

impl RebuildCounts {
    /// Returns the sum.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            scans: self.scans + other.scans,
            written: self.written + other.written,
            deleted: self.deleted + other.deleted,
        }
    }
}

/// Gives the scans of a target from their stored results, without their files.
#[derive(Debug, Clone)]
pub struct StoredScans(pub Ingestion);

#[async_trait]
impl ReadScan for StoredScans {
    async fn scans(&self, target: TargetId) -> Result<Vec<(ScanOrder, ScanId)>, IngestError> {
        let mut scans = Vec::new();
        let mut before = None;
        loop {
            let page = self.0.findings.results_of(target, before, RESULTS_AT_ONCE).await?;
            before = page.last().map(|result| result.order);
            scans.extend(page.iter().map(|result| (result.order, result.scan)));
            if page.len() < RESULTS_AT_ONCE {
                return Ok(scans);
            }
        }
    }

    async fn read(&self, scan: ScanId) -> Result<Option<ScanReading>, IngestError> {
        let store = &self.0.findings;
        let Some(result) = store.scan_result(scan).await? else { return Ok(None) };
        let Some(target) = store.target(result.target).await? else { return Ok(None) };
        let mut observed: Vec<ObservedRecord> = Vec::new();
        for chunk in 0..result.chunks() {
            observed.extend(store.observed(scan, chunk).await?);
        }
        let head = ScanHead {
            scan,
            project: result.project,
            origin: target.origin,
            order: result.order,
            status: result.status,
            absent: result.absent,
        };
        Ok(Some(ScanReading::stored(head, result.checks, result.notes, observed)))
    }
}

/// The rows in memory.
#[derive(Default)]
struct Anew {
    target: Option<TargetRecord>,
    findings: BTreeMap<FindingId, FindingRecord>,
    assets: Vec<SeenAsset>,
    results: Vec<ScanResult>,
    moved: BTreeSet<FindingId>,
}

impl Anew {
    /// The rows before a scan whose oldest check has this order. Only a scan that kept the results
    /// of an earlier attempt has a check older than the scans before it.
    fn stored(&mut self, scan: ScanId, first: ScanOrder) -> StoredTarget {
        let is_newer = |result: &&ScanResult| result.order > first && result.scan != scan;
        StoredTarget {
            target: self.target.take(),
            findings: std::mem::take(&mut self.findings).into_values().collect(),
            assets: std::mem::take(&mut self.assets),
            newer: self.results.iter().filter(is_newer).cloned().collect(),
        }
    }

    fn take_over(&mut self, before: Vec<FindingRecord>, plan: IngestPlan) {
        self.findings = before.into_iter().map(|row| (row.id, row)).collect();
        for row in plan.gone {
            self.findings.remove(&row.id);
            self.moved.insert(row.id);
        }
        self.findings.extend(plan.findings.into_iter().map(|row| (row.id, row)));
        self.target = Some(plan.target);
        self.assets = plan.assets;
        self.results.push(plan.result);
    }
}

impl Ingestion {
    /// Computes the findings of a target anew. `source` gives its scans.
    ///
    /// # Errors
    /// The store failed, the files of a scan do not respond, or the findings of the target changed
    /// too often.
    pub async fn rebuild(&self, target: TargetId, source: &dyn ReadScan) -> Result<RebuildCounts, IngestError> {
        self.rebuild_without(target, source, None).await
    }

    /// Takes a scan out of a target which it does not belong to any more, and computes the target
    /// anew from the stored results of the others. Does nothing if the target knows nothing of the
    /// scan. An earlier call may have ended early.
    ///
    /// # Errors
    /// The store failed, or the findings of the target changed too often.
    pub async fn leave(&self, target: TargetId, scan: ScanId) -> Result<(), IngestError> {
        // The scan may have a result in its new project, which stays.
        let result = self.findings.scan_result(scan).await?.filter(|result| result.target == target);
        let left = match result {
            Some(result) => {
                self.findings.forget_result(scan).await?;
                Some(result.order.at)
            }
            None => self.end_of_named(target, scan).await?,
        };
        if let Some(at) = left {
            self.rebuild_without(target, &StoredScans(self.clone()), Some((scan, at))).await?;
        }
        Ok(())
    }

    async fn end_of_named(&self, target: TargetId, scan: ScanId) -> Result<Option<Timestamp>, IngestError> {
        let Some(row) = self.findings.target(target).await? else { return Ok(None) };
        let end = end_of_named(scan, &row, &self.findings.findings_of(target).await?);
        if end.is_some() {
            return Ok(end);
        }
        let assets = self.findings.assets(target).await?;
        Ok(assets.iter().find(|seen| seen.scan == scan).map(|seen| seen.last_seen))
    }

    async fn rebuild_without(
        &self,
        target: TargetId,
        source: &dyn ReadScan,
        left: Left,
    ) -> Result<RebuildCounts, IngestError> {
        for _ in 0..TRIES {
            if let Some(counts) = self.try_rebuild(target, source, left).await? {
                return Ok(counts);
            }
        }
        Err(IngestError::Busy)
    }

    /// `None`: somebody else was faster.
    async fn try_rebuild(
        &self,
        target: TargetId,
        source: &dyn ReadScan,
        left: Left,
    ) -> Result<Option<RebuildCounts>, IngestError> {
        // The stored rows come first, so that a scan that is ingested meanwhile is noticed.
        let stored = self.findings.target(target).await?;
        let findings = self.findings.findings_of(target).await?;
        let assets = self.findings.assets(target).await?;
        let mut scans = source.scans(target).await?;
        scans.retain(|(_, scan)| left.is_none_or(|(left, _)| left != *scan));
        scans.sort_unstable();
        let listed = scans.iter().map(|(_, scan)| scan.0).collect();
        let mut memory = Memory::of(&findings, self.rules.current.version, listed, left);
        let mut anew = self.begin(&findings, &memory);
        for (order, scan) in scans {
            memory.apply_before(order, &mut anew.findings);
            // Only one scan is in memory.
            let Some(reading) = source.read(scan).await?.filter(|reading| reading.head.target() == target) else {
                memory.apply_of(scan, &mut anew.findings);
                continue;
            };
            memory.read(scan);
            if !reading.is_stored {
                self.put_changed_chunks(scan, &reading.observed).await?;
            }
            let before = anew.stored(reading.head.scan, reading.first_order());
            let rows = before.findings.clone();
            anew.take_over(rows, plan(&reading, before, &self.rules, self.clock.now()));
        }
        memory.apply_rest(&mut anew.findings);
        let target = memory.target(stored.as_ref(), anew.target.take());
        let anew_findings = anew.findings.into_values().collect();
        let merged = rebuilt(findings.clone(), anew_findings, &anew.moved, &|scan| memory.is_gone(scan));
        let counts = RebuildCounts {
            scans: anew.results.len() as u64,
            written: merged.put.len() as u64,
            deleted: merged.gone.len() as u64,
        };
        if self.write_findings(&merged.put, &merged.gone).await? == Put::Changed {
            return Ok(None);
        }
        let target = match (target, &stored) {
            (Some(target), _) => target,
            (None, None) => return Ok(Some(counts)),
            (None, Some(stored)) => {
                if self.findings.delete_target(stored.id).await? {
                    return Ok(Some(counts));
                }
                // A person said something about a finding.
                TargetRecord { checks: BTreeMap::new(), ..stored.clone() }
            }
        };
        let assets_anew = rebuilt_assets(assets.clone(), anew.assets, left.map(|(scan, _)| scan));
        let is_same = stored.as_ref() == Some(&target) && is_same_set(&assets, &assets_anew);
        let written = self.put_results(anew.results, target, assets_anew, is_same).await?;
        Ok(written.then_some(counts))
    }

    /// The rows with which a rebuild begins: those of older rules of which people said something,
    /// or of which the scans are gone, so that the sightings carry them over.
    fn begin(&self, stored: &[FindingRecord], memory: &Memory<'_>) -> Anew {
        let is_kept =
            |row: &&FindingRecord| row.rules != self.rules.current.version && (is_touched(row) || memory.is_seed(row));
        let findings = stored.iter().filter(is_kept).map(|row| (row.id, row.clone())).collect();
        Anew { findings, ..Anew::default() }
    }

    /// Writes the chunks that differ from the stored ones.
    async fn put_changed_chunks(&self, scan: ScanId, observed: &[ObservedRecord]) -> Result<(), IngestError> {
        for (chunk, part) in (0_u32..).zip(observed.chunks(OBSERVED_CHUNK)) {
            if self.findings.observed(scan, chunk).await? != part {
                self.findings.put_observed(scan, chunk, part.to_vec()).await?;
            }
        }
        Ok(())
    }

    /// Writes the results that differ from the stored ones, and the target. Returns false if
    /// somebody else was faster.
    async fn put_results(
        &self,
        results: Vec<ScanResult>,
        mut target: TargetRecord,
        assets: Vec<SeenAsset>,
        mut is_same: bool,
    ) -> Result<bool, IngestError> {
        for result in results {
            let stored = self.findings.scan_result(result.scan).await?;
            let is_stored =
                |stored: &ScanResult| *stored == ScanResult { stored_at: stored.stored_at, ..result.clone() };
            if stored.as_ref().is_some_and(is_stored) {
                continue;
            }
            if self.findings.put_result(result, target.clone(), assets.clone()).await? == Put::Changed {
                return Ok(false);
            }
            target.version += 1;
            is_same = true;
        }
        Ok(is_same || self.findings.put_target(target, assets).await? == Put::Stored)
    }
}

fn is_same_set(stored: &[SeenAsset], anew: &[SeenAsset]) -> bool {
    let stored: BTreeMap<&AssetKind, &SeenAsset> = stored.iter().map(|seen| (&seen.asset.kind, seen)).collect();
    stored.len() == anew.len() && anew.iter().all(|seen| stored.get(&seen.asset.kind) == Some(&seen))
}
