//! What was read of one scan.

use std::collections::BTreeMap;

use kastrel_findings::identity::{ObservedFinding, RuleSet, TargetId, roll_up};
use kastrel_findings::lifecycle::{Check, PluginCheck, PluginEnd, ScanOrder};
use kastrel_findings::place::Origin;
use kastrel_findings::readers::{Reading, plugin_key};
use kastrel_findings::registry::Registry;
use kastrel_findings::{Asset, ReadNotes, Severity, Sighting};

use super::coverage;
use crate::model::{ObservedRecord, ProjectId, ScanId, ScanRecord, ScanStatus};

/// The scan that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanHead {
    /// The scan.
    pub scan: ScanId,
    /// Its project.
    pub project: ProjectId,
    /// The site of its target.
    pub origin: Origin,
    /// The place of its last attempt among all scans of the target.
    pub order: ScanOrder,
    /// The state in which it ended.
    pub status: ScanStatus,
    /// What it means for a plugin that it does not have.
    pub absent: Check,
}

impl ScanHead {
    /// Returns the head of a scan that has ended. `None` if it says nothing about a target: it has
    /// no attempt, or its target is no site of the web.
    #[must_use]
    pub fn of(record: &ScanRecord) -> Option<Self> {
        let (ended_at, attempt) = (record.ended_at()?, record.last_attempt()?);
        Some(Self {
            scan: record.id,
            project: record.project.clone(),
            origin: Origin::of_target(&record.request.target.to_string()).ok()?,
            order: ScanOrder { at: attempt.ended_at.unwrap_or(ended_at), scan: record.id.0, token: attempt.token.0 },
            status: record.status(),
            absent: absent(record),
        })
    }

    /// Returns the target of the scan.
    #[must_use]
    pub fn target(&self) -> TargetId {
        TargetId::of(self.project.as_str(), &self.origin)
    }
}

/// What a scan means for a plugin that it does not have. If nobody chose the plugins, a scan that
/// did not complete may have ended before any of them.
fn absent(record: &ScanRecord) -> Check {
    let options = &record.request.options;
    match record.status() {
        _ if options.dry_run => Check::DryRun,
        ScanStatus::Failed | ScanStatus::Cancelled if options.plugins.is_empty() => Check::Cancelled,
        _ => Check::Skipped,
    }
}

/// One plugin of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRead {
    /// What it checked.
    pub check: PluginCheck,
    /// What it found. `None`: it left no result.
    pub reading: Option<Reading>,
}

/// What one scan checked and saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanReading {
    /// The scan.
    pub head: ScanHead,
    /// What it checked, by plugin key.
    pub checks: BTreeMap<String, PluginCheck>,
    /// What could not be taken over, by plugin key; without empty ones.
    pub notes: BTreeMap<String, ReadNotes>,
    /// What it saw, in the order of the fingerprints.
    pub observed: Vec<ObservedRecord>,
    /// The sightings, which show what a change of the rules does.
    pub sightings: Vec<Sighting>,
    /// What it collected.
    pub assets: Vec<Asset>,
    /// True if it is exactly what is stored of the scan.
    pub is_stored: bool,
}

impl ScanReading {
    /// Joins the plugins of a scan. A dry run saw nothing. Of two plugins with one key, an
    /// incomplete check counts.
    #[must_use]
    pub fn new(head: ScanHead, plugins: Vec<PluginRead>, registry: &Registry, rules: &RuleSet) -> Self {
        let (mut checks, mut notes) = (BTreeMap::<String, PluginCheck>::new(), BTreeMap::new());
        let (mut sightings, mut assets) = (Vec::new(), Vec::new());
        for PluginRead { check, reading } in plugins {
            let key = check.scope.plugin.clone();
            if let Some(reading) = reading.filter(|_| check.end != PluginEnd::DryRun && head.absent != Check::DryRun) {
                sightings.extend(reading.sightings);
                assets.extend(reading.assets);
                if reading.notes.iter().next().is_some() {
                    notes.insert(key.clone(), reading.notes);
                }
            }
            match checks.get(&key) {
                Some(other) if !other.is_complete() => {}
                _ => {
                    checks.insert(key, check);
                }
            }
        }
        let observed = observed(&sightings, registry, rules);
        Self { head, checks, notes, observed, sightings, assets, is_stored: false }
    }

    /// Returns the reading that a stored result was made of. Its assets are not known any more.
    #[must_use]
    pub fn stored(
        head: ScanHead,
        checks: BTreeMap<String, PluginCheck>,
        notes: BTreeMap<String, ReadNotes>,
        observed: Vec<ObservedRecord>,
    ) -> Self {
        let sightings = observed.iter().map(|one| one.sighting.clone()).collect();
        Self { head, checks, notes, observed, sightings, assets: Vec::new(), is_stored: true }
    }

    /// Takes over the stored checks, with what they saw, of plugins whose results were read
    /// completely before, and are missing or damaged now.
    #[must_use]
    pub fn completed_by(mut self, stored: Self) -> Self {
        if stored.head.order != self.head.order || stored.head.target() != self.head.target() {
            return self;
        }
        let is_read = |check: Option<&PluginCheck>| check.is_some_and(|check| check.read_completely);
        let lost: BTreeMap<String, PluginCheck> = stored
            .checks
            .into_iter()
            .filter(|(key, check)| check.read_completely && !is_read(self.checks.get(key)))
            .collect();
        if lost.is_empty() {
            return self;
        }
        let is_lost = |plugin: &str| lost.contains_key(&plugin_key(plugin));
        self.notes.retain(|key, _| !lost.contains_key(key));
        self.notes.extend(stored.notes.into_iter().filter(|(key, _)| lost.contains_key(key)));
        self.sightings.retain(|sighting| !is_lost(&sighting.plugin));
        self.sightings.extend(stored.sightings.into_iter().filter(|sighting| is_lost(&sighting.plugin)));
        self.observed.retain(|one| !is_lost(&one.finding.plugin));
        self.observed.extend(stored.observed.into_iter().filter(|one| is_lost(&one.finding.plugin)));
        self.observed.sort_by_key(|one| one.finding.fingerprint);
        self.checks.extend(lost);
        self
    }

    /// Returns true if the scan checked nothing on purpose.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.head.absent == Check::DryRun || coverage::is_dry_run(&self.checks)
    }

    /// Returns the place of a plugin's check among all scans of the target.
    #[must_use]
    pub fn order_of(&self, plugin: &str) -> ScanOrder {
        self.checks.get(plugin).map_or(self.head.order, |check| check.order(self.head.order))
    }

    /// Returns the place of its oldest check. It is that of its last attempt, unless that kept
    /// results of earlier ones.
    #[must_use]
    pub fn first_order(&self) -> ScanOrder {
        self.checks.values().map(|check| check.order(self.head.order)).fold(self.head.order, ScanOrder::min)
    }

    /// Returns the number of its findings by severity.
    #[must_use]
    pub fn severities(&self) -> BTreeMap<Severity, u64> {
        let mut counts = BTreeMap::new();
        for one in &self.observed {
            *counts.entry(one.severity).or_default() += 1;
        }
        counts
    }
}

/// Joins sightings to findings, with what the registry knows of them.
fn observed(sightings: &[Sighting], registry: &Registry, rules: &RuleSet) -> Vec<ObservedRecord> {
    let record = |mut finding: ObservedFinding| {
        let of_finding = std::mem::take(&mut finding.sightings);
        let first = &sightings[*of_finding.first()?];
        let worst = of_finding.iter().map(|at| registry.severity_of(&sightings[*at])).min();
        let title = if finding.title == first.title { registry.title_of(first) } else { &finding.title };
        Some(ObservedRecord {
            severity: worst.unwrap_or(Severity::Unknown),
            title: title.to_owned(),
            category: registry.entry_of(first).and_then(|entry| entry.category.clone()),
            sighting: first.clone(),
            finding,
        })
    };
    roll_up(sightings, rules).into_iter().filter_map(record).collect()
}
