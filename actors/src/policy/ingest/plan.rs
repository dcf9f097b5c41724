//! The plan of an ingestion.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_findings::identity::{FindingId, RuleSet};
use kastrel_findings::lifecycle::{Check, ScanOrder};

use super::carry::carry_over;
use super::drift::{pair, proof_begin};
use super::log;
use super::observe::{Rows, observe};
use super::reading::ScanReading;
use super::target::{assets_with, missed_by, target_with};
use crate::model::{FindingRecord, ScanResult, SeenAsset, TargetRecord};

/// The rules of identity: the present ones, and the older ones of which there may be findings.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// The present rules.
    pub current: &'a RuleSet,
    /// The older ones.
    pub older: Vec<&'a RuleSet>,
}

impl Rules<'static> {
    /// Returns the rules of this version.
    #[must_use]
    pub fn known() -> Self {
        use kastrel_findings::identity::{current, rules::RULE_SETS};
        let current = current();
        Self { current, older: RULE_SETS.iter().filter(|rules| rules.version != current.version).collect() }
    }
}

/// The rows of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredTarget {
    /// The target; `None` if no scan of it was ingested before.
    pub target: Option<TargetRecord>,
    /// Its findings.
    pub findings: Vec<FindingRecord>,
    /// Its assets.
    pub assets: Vec<SeenAsset>,
    /// The results of other scans that are newer than the oldest check of the one to ingest. The
    /// order does not matter.
    pub newer: Vec<ScanResult>,
}

/// The rows to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestPlan {
    /// The findings that changed, or are new.
    pub findings: Vec<FindingRecord>,
    /// The findings that others continue under newer rules, to be deleted after those are stored.
    pub gone: Vec<FindingRecord>,
    /// The result of the scan.
    pub result: ScanResult,
    /// The target.
    pub target: TargetRecord,
    /// Its assets: all of them.
    pub assets: Vec<SeenAsset>,
}

/// Returns the rows to write so that the target has what the scan says.
#[must_use]
pub fn plan(reading: &ScanReading, stored: StoredTarget, rules: &Rules<'_>, now: Timestamp) -> IngestPlan {
    let order = reading.head.order;
    let before: BTreeMap<FindingId, FindingRecord> = stored.findings.iter().map(|row| (row.id, row.clone())).collect();
    let mut rows: Rows = stored.findings.into_iter().map(|row| (row.fingerprint, row)).collect();
    let mut gone = Vec::new();
    let missed = missed_by(&stored.newer);
    if !reading.is_dry_run() {
        gone = carry_over(&mut rows, reading, rules.current, &rules.older);
        let mut newer = stored.newer;
        let is_latest = newer.iter().all(|result| result.order <= order);
        // A result of other rules may have seen a finding under another fingerprint.
        newer.retain(|result| result.rules == rules.current.version);
        newer.sort_by_key(|result| result.order);
        observe(&mut rows, reading, &newer, rules.current, &rules.older);
        if is_latest {
            pair(&mut rows, order, rules.current);
        }
    }
    IngestPlan {
        result: result_of(reading, &rows, rules.current, now),
        findings: rows.into_values().filter(|row| before.get(&row.id) != Some(row)).collect(),
        gone,
        target: target_with(stored.target, reading, &missed),
        assets: assets_with(stored.assets, reading),
    }
}

fn result_of(reading: &ScanReading, rows: &Rows, rules: &RuleSet, now: Timestamp) -> ScanResult {
    let head = &reading.head;
    ScanResult {
        scan: head.scan,
        target: head.target(),
        project: head.project.clone(),
        order: head.order,
        status: head.status,
        stored_at: now,
        rules: rules.version,
        checks: reading.checks.clone(),
        absent: if reading.is_dry_run() { Check::DryRun } else { head.absent },
        notes: reading.notes.clone(),
        severities: reading.severities(),
        findings: reading.observed.len() as u64,
        new: count(rows, |row| is_new(row, reading.order_of(&row.plugin))),
        fixed: count(rows, |row| is_fixed(row, rows, head.order)),
    }
}

fn count(rows: &Rows, is_counted: impl Fn(&FindingRecord) -> bool) -> u64 {
    rows.values().filter(|row| is_counted(row)).count() as u64
}

/// The scan saw the finding first, or it came back in it. `order` is that of the plugin's check.
fn is_new(row: &FindingRecord, order: ScanOrder) -> bool {
    let came_back = row.life.regressed && row.life.open_since == order.at && row.life.last_seen.order >= order;
    row.life.first_seen.order == order || came_back
}

/// The scan completed the proof that the finding is fixed, and nothing else continues it.
fn is_fixed(row: &FindingRecord, rows: &Rows, order: ScanOrder) -> bool {
    proof_begin(row, order).is_some() && !rows.values().any(|other| log::continues(other, row.id))
}
