//! Results of scans for tests, written into the store in memory.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kastrel_actors::model::{
    FindingEntry, FindingRecord, LastCheck, LogChange, ObservedRecord, ProjectId, Put, ScanId, ScanResult, ScanStatus,
    TargetRecord,
};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::MemoryStore;
use kastrel_findings::identity::{FindingId, Fingerprint, ObservedFinding, TargetId, current, fingerprint, roll_up};
use kastrel_findings::lifecycle::{Check, Event, Finding, PluginCheck, PluginEnd, ScanOrder};
use kastrel_findings::place::{Origin, Place};
use kastrel_findings::scope::CheckScope;
use kastrel_findings::{Severity, Sighting};

/// A target whose scans a test writes.
pub(crate) struct Sample<'a> {
    memory: &'a MemoryStore,
    project: ProjectId,
    origin: Origin,
    /// Its id.
    pub(crate) target: TargetId,
}

/// What a scan saw: plugin, issue and path.
pub(crate) type Seen<'a> = (&'a str, &'a str, &'a str);

impl<'a> Sample<'a> {
    pub(crate) fn new(memory: &'a MemoryStore, project: &str, origin: &str) -> Self {
        let origin = Origin::of_target(origin).unwrap();
        Self { memory, project: project.parse().unwrap(), target: TargetId::of(project, &origin), origin }
    }

    /// Returns the id of a finding.
    pub(crate) fn finding(&self, plugin: &str, issue: &str, path: &str) -> FindingId {
        FindingId::of(self.target, self.fingerprint((plugin, issue, path)))
    }

    pub(crate) fn fingerprint(&self, seen: Seen<'_>) -> Fingerprint {
        fingerprint(&self.sighting(seen), current())
    }

    fn sighting(&self, (plugin, issue, path): Seen<'_>) -> Sighting {
        Sighting::new(plugin, issue, Place::guess(path, Some(&self.origin))).severity(Some(Severity::High))
    }

    fn scope(&self, plugin: &str) -> CheckScope {
        CheckScope { plugin: plugin.to_owned(), target: Some(self.origin.clone()), settings: BTreeMap::new() }
    }

    /// Stores what a scan that ended at this second checked and saw, and the findings that it saw
    /// first. Each finding is of severity high.
    pub(crate) async fn scan(&self, scan: ScanId, second: i64, ends: &[(&str, PluginEnd)], seen: &[Seen<'_>]) {
        let order = ScanOrder { at: Timestamp::from_second(second).unwrap(), scan: scan.0, token: 1 };
        let sightings: Vec<Sighting> = seen.iter().map(|seen| self.sighting(*seen)).collect();
        let observed: Vec<ObservedRecord> = roll_up(&sightings, current())
            .into_iter()
            .map(|finding| {
                let sighting = sightings[finding.sightings[0]].clone();
                let title = finding.title.clone();
                ObservedRecord { finding, severity: Severity::High, title, category: None, sighting }
            })
            .collect();
        let mut new = Vec::new();
        for one in &observed {
            if self.memory.finding(FindingId::of(self.target, one.finding.fingerprint)).await.unwrap().is_none() {
                new.push(self.record(one, order));
            }
        }
        let check = |plugin: &str, end| PluginCheck {
            end,
            version: "1.2".into(),
            scope: self.scope(plugin),
            read_completely: true,
            inconclusive: BTreeSet::new(),
            kept_from: None,
        };
        let result = ScanResult {
            scan,
            target: self.target,
            project: self.project.clone(),
            order,
            status: ScanStatus::Completed,
            stored_at: order.at,
            rules: current().version,
            checks: ends.iter().map(|(plugin, end)| ((*plugin).to_owned(), check(plugin, *end))).collect(),
            absent: Check::Skipped,
            notes: BTreeMap::new(),
            severities: BTreeMap::from([(Severity::High, observed.len() as u64)]),
            findings: observed.len() as u64,
            new: new.len() as u64,
            fixed: 0,
        };
        let before = self.memory.target(self.target).await.unwrap();
        let last = |end| LastCheck {
            complete: (end == PluginEnd::Completed).then_some(order),
            newest: (order, if end == PluginEnd::Completed { Check::Completed } else { Check::Failed }),
        };
        let target = TargetRecord {
            id: self.target,
            project: self.project.clone(),
            origin: self.origin.clone(),
            tags: Vec::new(),
            notes: String::new(),
            first_scan: before.as_ref().map_or(order.at, |target| target.first_scan),
            last_scan: order,
            checks: ends.iter().map(|(plugin, end)| ((*plugin).to_owned(), last(*end))).collect(),
            version: before.map_or(0, |target| target.version),
        };
        for (chunk, part) in observed.chunks(kastrel_actors::model::OBSERVED_CHUNK).enumerate() {
            self.memory.put_observed(scan, u32::try_from(chunk).unwrap(), part.to_vec()).await.unwrap();
        }
        assert_eq!(self.memory.put_findings(new).await.unwrap(), Put::Stored);
        self.memory.suppose_scan(scan, Some(&self.project));
        assert_eq!(self.memory.put_result(result, target, Vec::new()).await.unwrap(), Put::Stored);
    }

    /// Writes into the log of a finding that it continues another one.
    pub(crate) async fn continues(&self, finding: FindingId, earlier: FindingId) {
        let mut record = self.memory.finding(finding).await.unwrap().unwrap();
        let change = LogChange::Continues { finding: earlier };
        record.log.push(FindingEntry { at: Timestamp::UNIX_EPOCH, by: None, scan: None, change });
        assert_eq!(self.memory.put_findings(vec![record]).await.unwrap(), Put::Stored);
    }

    fn record(&self, observed: &ObservedRecord, order: ScanOrder) -> FindingRecord {
        let ObservedFinding { fingerprint, plugin, issue, place, members, members_count, .. } =
            observed.finding.clone();
        let found = LogChange::Life { event: Event::Found, reason: None };
        FindingRecord {
            id: FindingId::of(self.target, fingerprint),
            target: self.target,
            project: self.project.clone(),
            fingerprint,
            rules: current().version,
            seen_with: self.scope(&plugin),
            plugin,
            issue,
            title: observed.title.clone(),
            severity: observed.severity,
            category: None,
            place,
            members,
            members_count: members_count as u64,
            sighting: observed.sighting.clone(),
            life: Finding::first(order),
            owner: None,
            log: vec![FindingEntry { at: order.at, by: None, scan: Some(order.scan), change: found }],
            version: 0,
        }
    }
}
