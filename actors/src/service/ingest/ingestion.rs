//! One scan: its reading becomes rows.

use std::sync::Arc;

use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::ScanOrder;

use crate::model::{FindingRecord, OBSERVED_CHUNK, ObservedRecord, Put, ScanId, ScanResult};
use crate::policy::ingest::{IngestPlan, Rules, ScanReading, StoredTarget, plan};
use crate::ports::{Clock, FindingStore, StoreError};

/// The most findings of one write.
const FINDINGS_AT_ONCE: usize = 500;

/// How often an ingestion plans again because somebody else was faster.
pub(super) const TRIES: usize = 10;

/// The most results of newer scans that a late scan is compared with. The newest count, so a
/// finding may stay open that older ones prove fixed.
const MOST_NEWER: usize = 200;

/// How many results are read at once.
pub(super) const RESULTS_AT_ONCE: usize = 50;

/// Why an ingestion failed. It can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The findings of the target changed each time while the ingestion planned.
    #[error("the findings of the target change too often")]
    Busy,
    /// The files of a scan could not be read.
    #[error("failed to read the files of scan {scan}: {reason}")]
    Files {
        /// The scan.
        scan: ScanId,
        /// The reason.
        reason: String,
    },
}

/// What an ingestion did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ingested {
    /// The scan is ingested now.
    Stored(Box<ScanResult>),
    /// It was ingested before.
    Known,
}

/// Stores what scans say about their targets. See the module documentation.
#[derive(Clone)]
pub struct Ingestion {
    pub(super) findings: Arc<dyn FindingStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rules: Rules<'static>,
}

impl Ingestion {
    /// Creates an ingestion by the rules of this version.
    #[must_use]
    pub fn new(findings: Arc<dyn FindingStore>, clock: Arc<dyn Clock>) -> Self {
        Self { findings, clock, rules: Rules::known() }
    }

    /// Returns the rules by which scans are ingested.
    #[must_use]
    pub const fn rules(&self) -> &Rules<'static> {
        &self.rules
    }

    /// Returns true if this scan was ingested, for its present project and by the present rules.
    ///
    /// # Errors
    /// The store failed.
    pub async fn knows(&self, scan: ScanId, target: TargetId, order: ScanOrder) -> Result<bool, StoreError> {
        let stored = self.findings.scan_result(scan).await?;
        let is_same = |stored: &ScanResult| {
            stored.target == target && stored.order == order && stored.rules == self.rules.current.version
        };
        Ok(stored.as_ref().is_some_and(is_same))
    }

    /// Stores what a scan says about its target. Repeated, it changes nothing.
    ///
    /// # Errors
    /// The store failed, or the findings of the target changed too often.
    pub async fn ingest(&self, reading: &ScanReading) -> Result<Ingested, IngestError> {
        let head = &reading.head;
        if self.knows(head.scan, head.target(), head.order).await? {
            return Ok(Ingested::Known);
        }
        self.put_chunks(head.scan, &reading.observed).await?;
        for _ in 0..TRIES {
            let stored = self.read(head.target(), head.scan, reading.first_order()).await?;
            let plan = plan(reading, stored, &self.rules, self.clock.now());
            let result = plan.result.clone();
            if self.write(plan).await? == Put::Stored {
                return Ok(Ingested::Stored(Box::new(result)));
            }
        }
        Err(IngestError::Busy)
    }

    /// Removes what a scan checked and saw. Its findings and its target stay.
    ///
    /// # Errors
    /// The store failed.
    pub async fn forget(&self, scan: ScanId) -> Result<(), StoreError> {
        self.findings.forget_result(scan).await
    }

    pub(super) async fn put_chunks(&self, scan: ScanId, observed: &[ObservedRecord]) -> Result<(), StoreError> {
        for (chunk, part) in (0_u32..).zip(observed.chunks(OBSERVED_CHUNK)) {
            self.findings.put_observed(scan, chunk, part.to_vec()).await?;
        }
        Ok(())
    }

    /// Reads the rows of a target. The target comes first: its version shows whether another scan
    /// was ingested after it was read. Results after `order` are read too.
    async fn read(&self, target: TargetId, scan: ScanId, order: ScanOrder) -> Result<StoredTarget, StoreError> {
        let row = self.findings.target(target).await?;
        let newer = match &row {
            Some(row) if row.last_scan > order => self.newer(target, scan, order).await?,
            _ => Vec::new(),
        };
        Ok(StoredTarget {
            findings: self.findings.findings_of(target).await?,
            assets: self.findings.assets(target).await?,
            target: row,
            newer,
        })
    }

    async fn newer(&self, target: TargetId, scan: ScanId, order: ScanOrder) -> Result<Vec<ScanResult>, StoreError> {
        let mut newer: Vec<ScanResult> = Vec::new();
        loop {
            let before = newer.last().map(|result| result.order);
            let page = self.findings.results_of(target, before, RESULTS_AT_ONCE).await?;
            let is_last = page.len() < RESULTS_AT_ONCE || newer.len() + page.len() >= MOST_NEWER;
            let has_older = page.last().is_some_and(|result| result.order <= order);
            newer.extend(page);
            if is_last || has_older {
                break;
            }
        }
        newer.retain(|result| result.order > order && result.scan != scan);
        Ok(newer)
    }

    async fn write(&self, plan: IngestPlan) -> Result<Put, StoreError> {
        if self.write_findings(&plan.findings, &plan.gone).await? == Put::Changed {
            return Ok(Put::Changed);
        }
        self.findings.put_result(plan.result, plan.target, plan.assets).await
    }

    /// Writes the findings `put` and deletes the findings `gone`, until somebody else was faster.
    pub(super) async fn write_findings(
        &self,
        put: &[FindingRecord],
        gone: &[FindingRecord],
    ) -> Result<Put, StoreError> {
        if in_parts(put, |part| self.findings.put_findings(part)).await? == Put::Changed {
            return Ok(Put::Changed);
        }
        in_parts(gone, |part| self.findings.delete_findings(part)).await
    }
}

/// Passes findings to `write` in parts, until one of them was changed by somebody else.
async fn in_parts<W>(findings: &[FindingRecord], write: impl Fn(Vec<FindingRecord>) -> W) -> Result<Put, StoreError>
where
    W: Future<Output = Result<Put, StoreError>>,
{
    for part in findings.chunks(FINDINGS_AT_ONCE) {
        if write(part.to_vec()).await? == Put::Changed {
            return Ok(Put::Changed);
        }
    }
    Ok(Put::Stored)
}

impl std::fmt::Debug for Ingestion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingestion").finish_non_exhaustive()
    }
}
