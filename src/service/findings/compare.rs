//! The comparison of two scans of a target: new, fixed with proof, unchanged, not checked.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use kastrel_actors::model::{
    FindingRecord, LogChange, ObservedRecord, Operation, RequestContext, ScanId, ScanResult, ScanSnapshot,
};
use kastrel_actors::policy::access::decide;
use kastrel_actors::ports::StoreError;
use kastrel_findings::compare::{Comparison, ScanSide, compare};
use kastrel_findings::identity::{FindingId, Fingerprint, ObservedFinding, TargetId};
use kastrel_findings::lifecycle::{PluginCheck, PluginEnd, Status};

use super::compare_words::{why_fixed, why_new, why_not_checked};
use super::service::FindingService;
use super::views::{ComparedFinding, LastChanges, ScanComparison};

/// How many earlier results are looked at in the search for the last comparable one.
const MOST_EARLIER: usize = 60;

/// Why two scans are not compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The scan does not exist, or the principal may not read it.
    #[error("there is no scan {0}")]
    NoScan(ScanId),
    /// What the scan saw is not stored yet.
    #[error("scan {0} has no result yet")]
    NoResult(ScanId),
    /// Both are the same scan.
    #[error("scan {0} cannot be compared with itself")]
    SameScan(ScanId),
    /// The scans have different targets.
    #[error("scan {} is of {} and scan {} is of {}: only scans of one target and project are compared", .0.scan, .0.target, .1.scan, .1.target)]
    OtherTarget(Box<ScanOf>, Box<ScanOf>),
    /// The store did not respond.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A scan and what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOf {
    /// The scan.
    pub scan: ScanId,
    /// The target and the project, in words.
    pub target: String,
}

impl ScanOf {
    fn new(scan: &ScanSnapshot) -> Self {
        let record = &scan.record;
        Self { scan: record.id, target: format!("{} in project {}", record.request.target.label(), record.project) }
    }
}

impl FindingService {
    /// Compares two scans of a target. The one that ended first is the earlier one, in which order
    /// they are named.
    ///
    /// # Errors
    /// A scan does not exist, may not be read or has no result yet; the scans have different
    /// targets or are one; or the store does not respond.
    pub async fn compare(
        &self,
        context: &RequestContext,
        one: ScanId,
        other: ScanId,
    ) -> Result<ScanComparison, CompareError> {
        let one_scan = self.readable(context, one).await?;
        let other_scan = self.readable(context, other).await?;
        if one == other {
            return Err(CompareError::SameScan(one));
        }
        let one_result = self.store.scan_result(one).await?.ok_or(CompareError::NoResult(one))?;
        let other_result = self.store.scan_result(other).await?.ok_or(CompareError::NoResult(other))?;
        if one_result.target != other_result.target {
            let named = |scan: &ScanSnapshot| Box::new(ScanOf::new(scan));
            return Err(CompareError::OtherTarget(named(&one_scan), named(&other_scan)));
        }
        if one_result.order <= other_result.order {
            self.compare_results(context, one_result, other_result, Depth::Full).await
        } else {
            self.compare_results(context, other_result, one_result, Depth::Full).await
        }
    }

    /// Compares a scan with the last comparable one: the newest earlier scan of its target that
    /// completed all plugins which this scan completed. Without such a scan, that with the most of
    /// them. Returns `None` if no plugin of an earlier scan ran to its end.
    ///
    /// # Errors
    /// The scan does not exist, may not be read or has no result yet; or the store does not
    /// respond.
    pub async fn compare_with_last(
        &self,
        context: &RequestContext,
        scan: ScanId,
    ) -> Result<Option<ScanComparison>, CompareError> {
        match self.last_comparable(context, scan).await? {
            Some((earlier, later)) => self.compare_results(context, earlier, later, Depth::Full).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns what changed since the last comparable scan, for the page of a scan. Two scans that
    /// saw more than `most` findings together are not compared: their results have the numbers.
    ///
    /// # Errors
    /// As [`compare_with_last`](Self::compare_with_last).
    pub async fn changes_since_last(
        &self,
        context: &RequestContext,
        scan: ScanId,
        most: u64,
    ) -> Result<Option<LastChanges>, CompareError> {
        let Some((earlier, later)) = self.last_comparable(context, scan).await? else { return Ok(None) };
        if earlier.findings.saturating_add(later.findings) > most {
            return Ok(Some(LastChanges::Counted { earlier, later }));
        }
        let comparison = self.compare_results(context, earlier, later, Depth::Changes).await?;
        Ok(Some(LastChanges::Compared(comparison)))
    }

    /// Returns the results of the last comparable scan and of the scan itself.
    pub(super) async fn last_comparable(
        &self,
        context: &RequestContext,
        scan: ScanId,
    ) -> Result<Option<(ScanResult, ScanResult)>, CompareError> {
        self.readable(context, scan).await?;
        let later = self.store.scan_result(scan).await?.ok_or(CompareError::NoResult(scan))?;
        let mut before = self.store.results_of(later.target, Some(later.order), MOST_EARLIER).await?;
        before.retain(|result| result.scan != scan && is_comparable(result));
        // The newest comes first among those with the same number.
        before
            .sort_by_key(|earlier| Reverse(completed(&later).filter(|plugin| has_completed(earlier, plugin)).count()));
        for earlier in before {
            if self.scans.scan(context, earlier.scan).await?.is_some() {
                return Ok(Some((earlier, later)));
            }
        }
        Ok(None)
    }

    /// Returns a scan that the principal may read.
    async fn readable(&self, context: &RequestContext, scan: ScanId) -> Result<Arc<ScanSnapshot>, CompareError> {
        self.scans.scan(context, scan).await?.ok_or(CompareError::NoScan(scan))
    }

    async fn compare_results(
        &self,
        context: &RequestContext,
        earlier: ScanResult,
        later: ScanResult,
        depth: Depth,
    ) -> Result<ScanComparison, CompareError> {
        let (before, after) = (self.seen_by(&earlier).await?, self.seen_by(&later).await?);
        // The stored findings say what moved and what was known: only new ones need that.
        let has_new = after.0.keys().any(|seen| !before.0.contains_key(seen));
        let records = match depth {
            Depth::Changes if !has_new => Vec::new(),
            Depth::Changes | Depth::Full => self.store.findings_of(later.target).await?,
        };
        let aliases = moved(later.target, &before.0, &after.0, &records);
        let classes = {
            let (first, second) = (before.observed(), after.observed());
            let earlier = ScanSide { order: earlier.order, findings: &first, checks: &earlier.checks };
            let later = ScanSide { order: later.order, findings: &second, checks: &later.checks };
            compare(&earlier, &later, &aliases)
        };
        // A share opens a scan, and not the decisions of the project.
        let (statuses, known) = match decide(&context.grants, Operation::ReadFindings, Some(&later.project)) {
            Ok(()) => {
                let now = self.clock.now();
                let of_records = records.iter().filter(|_| depth == Depth::Full);
                let statuses = of_records.map(|record| (record.id, record.status(now))).collect();
                (statuses, known_before(&later, &records))
            }
            Err(_) => (BTreeMap::new(), BTreeSet::new()),
        };
        Ok(shown(earlier, later, &classes, &Seen { before, after, statuses, known }))
    }

    /// Reads all that a scan saw, without what a comparison does not need.
    async fn seen_by(&self, result: &ScanResult) -> Result<Side, StoreError> {
        let mut side = Side::default();
        let mut chunks = self.observed(result);
        while let Some(chunk) = chunks.try_next().await? {
            side.0.extend(chunk.into_iter().map(|record| (record.finding.fingerprint, Line::of(record))));
        }
        Ok(side)
    }
}

/// What a comparison is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// All that is known.
    Full,
    /// What changed, without what a person sees now of each finding.
    Changes,
}

/// Returns true if another scan can be compared with this one: a plugin ran to its end.
fn is_comparable(result: &ScanResult) -> bool {
    result.checks.values().any(|check| check.end == PluginEnd::Completed)
}

/// Returns the plugins that a scan completed.
fn completed(result: &ScanResult) -> impl Iterator<Item = &str> {
    result.checks.keys().map(String::as_str).filter(move |plugin| has_completed(result, plugin))
}

fn has_completed(result: &ScanResult, plugin: &str) -> bool {
    result.checks.get(plugin).is_some_and(PluginCheck::is_complete)
}

/// Returns the findings that were open before a scan checked them.
pub(super) fn known_before(later: &ScanResult, records: &[FindingRecord]) -> BTreeSet<FindingId> {
    // The time at which it came back, if it did.
    let is_known = |record: &&FindingRecord| record.life.open_since < later.order_of(&record.plugin).at;
    records.iter().filter(is_known).map(|record| record.id).collect()
}

/// What one scan saw, by fingerprint.
#[derive(Debug, Default)]
struct Side(BTreeMap<Fingerprint, Line>);

impl Side {
    fn observed(&self) -> Vec<ObservedFinding> {
        self.0.values().map(|line| line.finding.clone()).collect()
    }
}

/// A finding of one scan, without its members and its evidence.
#[derive(Debug)]
struct Line {
    finding: ObservedFinding,
    title: String,
    severity: kastrel_findings::Severity,
}

impl Line {
    fn of(record: ObservedRecord) -> Self {
        let mut finding = record.finding;
        finding.members = Vec::new();
        finding.sightings = Vec::new();
        Self { finding, title: record.title, severity: record.severity }
    }
}

/// What the classes are shown with.
struct Seen {
    before: Side,
    after: Side,
    statuses: BTreeMap<FindingId, Status>,
    known: BTreeSet<FindingId>,
}

impl Seen {
    /// Shows a finding. `why` gets its plugin.
    fn show(
        &self,
        target: TargetId,
        fingerprint: Fingerprint,
        why: impl FnOnce(&str) -> String,
    ) -> Option<ComparedFinding> {
        let Line { finding, title, severity } =
            self.after.0.get(&fingerprint).or_else(|| self.before.0.get(&fingerprint))?;
        let id = FindingId::of(target, fingerprint);
        Some(ComparedFinding {
            id,
            plugin: finding.plugin.clone(),
            issue: finding.issue.clone(),
            title: title.clone(),
            place: finding.place.to_string(),
            severity: *severity,
            is_known: false,
            status: self.statuses.get(&id).copied(),
            why: why(&finding.plugin),
        })
    }
}

fn shown(earlier: ScanResult, later: ScanResult, classes: &Comparison, seen: &Seen) -> ScanComparison {
    let target = later.target;
    let new = classes.new.iter().filter_map(|new| {
        let is_known = !new.was_checked && seen.known.contains(&FindingId::of(target, new.fingerprint));
        let shown = seen.show(target, new.fingerprint, |_| why_new(earlier.scan, new.was_checked, is_known))?;
        Some(ComparedFinding { is_known, ..shown })
    });
    let fixed = classes
        .fixed
        .iter()
        .filter_map(|fixed| seen.show(target, fixed.fingerprint, |plugin| why_fixed(plugin, &fixed.proof)));
    let unchanged =
        classes.unchanged.iter().filter_map(|fingerprint| seen.show(target, *fingerprint, |_| String::new()));
    let not_checked = classes
        .not_checked
        .iter()
        .filter_map(|one| seen.show(target, one.fingerprint, |plugin| why_not_checked(plugin, later.scan, one.why)));
    let (new, fixed) = (worst_first(new), worst_first(fixed));
    let (unchanged, not_checked) = (worst_first(unchanged), worst_first(not_checked));
    ScanComparison { new, fixed, unchanged, not_checked, earlier, later }
}

fn worst_first(findings: impl Iterator<Item = ComparedFinding>) -> Vec<ComparedFinding> {
    let mut findings: Vec<_> = findings.collect();
    findings.sort_by_cached_key(|finding| (finding.severity, finding.plugin.clone(), finding.id));
    findings
}

/// Returns the present fingerprints of the earlier scan's findings that are stored under another
/// one now, because their place moved or the rules changed. A pair counts only if one scan alone
/// saw each side, and if no other finding continues the same one: a wrong pair would hide a new
/// finding behind an old one.
pub(super) fn moved<Saw>(
    target: TargetId,
    before: &BTreeMap<Fingerprint, Saw>,
    after: &BTreeMap<Fingerprint, Saw>,
    records: &[FindingRecord],
) -> BTreeMap<Fingerprint, Fingerprint> {
    let mut continued: BTreeMap<FindingId, BTreeSet<Fingerprint>> = BTreeMap::new();
    for record in records {
        for entry in &record.log {
            if let LogChange::Continues { finding } = entry.change {
                continued.entry(finding).or_default().insert(record.fingerprint);
            }
        }
    }
    let next = |fingerprint: Fingerprint| {
        let later = continued.get(&FindingId::of(target, fingerprint))?;
        later.first().copied().filter(|_| later.len() == 1)
    };
    let mut pairs = BTreeMap::new();
    for start in before.keys().filter(|start| !after.contains_key(start)) {
        let mut known = BTreeSet::from([*start]);
        let mut now = *start;
        while let Some(later) = next(now).filter(|later| known.insert(*later)) {
            now = later;
            if after.contains_key(&now) {
                break;
            }
        }
        if after.contains_key(&now) && !before.contains_key(&now) {
            pairs.insert(*start, now);
        }
    }
    pairs
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
