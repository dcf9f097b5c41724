//! What scans said that are gone. Their results were removed, for example with the scans, and only
//! the findings of the target still name them: as a sighting, or as the proof of a fix.
//!
//! When the findings are computed anew from the other scans, a row says at the places of the gone
//! scans what it said before. Of the first sighting nobody knows the scope any more, so the checks
//! between it and the next sighting prove nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::{Check, Event, Finding, Observation, ScanOrder, Seen, State};
use kastrel_findings::scope::CheckScope;

use super::log;
use super::observe::observe_one;
use crate::model::{FindingRecord, LogChange, ScanId, TargetRecord};

/// The scan that left the target, and the end of it: nothing of it is remembered.
pub type Left = Option<(ScanId, Timestamp)>;

/// What a scan said about a finding.
enum Said {
    /// It saw it first, with a scope that is not known.
    Found,
    /// It saw it as the row describes it.
    Saw,
    /// It did not see it.
    Missed { check: Check, plugin_version: String },
}

/// What the stored rows of a target say about scans.
pub struct Memory<'a> {
    stored: BTreeMap<FindingId, &'a FindingRecord>,
    said: BTreeMap<ScanOrder, Vec<(FindingId, Said)>>,
    /// The scans that are to be read.
    listed: BTreeSet<u64>,
    /// The scans that were read.
    read: BTreeSet<u64>,
    left: Left,
}

impl<'a> Memory<'a> {
    /// Returns what the stored rows say. The rows of other rules than `rules` say nothing: see
    /// [`is_seed`](Self::is_seed).
    #[must_use]
    pub fn of(stored: &'a [FindingRecord], rules: u32, listed: BTreeSet<u64>, left: Left) -> Self {
        let mut memory = Self {
            stored: stored.iter().map(|row| (row.id, row)).collect(),
            said: BTreeMap::new(),
            listed,
            read: BTreeSet::new(),
            left,
        };
        for row in stored.iter().filter(|row| row.rules == rules) {
            memory.add(row);
        }
        memory
    }

    fn add(&mut self, row: &FindingRecord) {
        let life = &row.life;
        let mut say = |order: ScanOrder, said| {
            if self.left.is_none_or(|(left, _)| left.0 != order.scan) {
                self.said.entry(order).or_default().push((row.id, said));
            }
        };
        let (first, last) = (life.first_seen.order, life.last_seen.order);
        // The pairing of places that moved gives the first date again.
        let continues = row.log.iter().any(|entry| matches!(entry.change, LogChange::Continues { .. }));
        if first != last && !continues {
            say(first, Said::Found);
        }
        say(last, Said::Saw);
        let proof = match &life.state {
            State::Fixed { proof } => proof.as_slice(),
            State::Open => &[],
        };
        for proof in proof.iter().chain(life.absences.iter().filter(|absence| !proof.contains(absence))) {
            let plugin_version = proof.plugin_version.clone();
            say(proof.order, Said::Missed { check: Check::Completed, plugin_version });
        }
        if let Some((order, check)) = life.unchecked {
            say(order, Said::Missed { check, plugin_version: String::new() });
        }
    }

    /// Returns true if a row of older rules is the beginning of its finding: a sighting of it is in
    /// a scan that is gone.
    #[must_use]
    pub fn is_seed(&self, row: &FindingRecord) -> bool {
        let is_gone = |seen: Seen| !self.listed.contains(&seen.order.scan) && self.is_gone(seen.order.scan);
        is_gone(row.life.first_seen) || is_gone(row.life.last_seen)
    }

    /// Returns true if a scan is gone: nothing can be read of it, and it did not leave the target.
    #[must_use]
    pub fn is_gone(&self, scan: u64) -> bool {
        !self.read.contains(&scan) && self.left.is_none_or(|(left, _)| left.0 != scan)
    }

    /// The scan was read: it speaks for itself.
    pub fn read(&mut self, scan: ScanId) {
        self.read.insert(scan.0);
        self.said.retain(|order, _| order.scan != scan.0);
    }

    /// Applies what scans that are gone said before `order`.
    pub fn apply_before(&mut self, order: ScanOrder, rows: &mut BTreeMap<FindingId, FindingRecord>) {
        let listed = std::mem::take(&mut self.listed);
        self.apply(|at| at < order && !listed.contains(&at.scan), rows);
        self.listed = listed;
    }

    /// Applies what is left, after all scans were read that can be read.
    pub fn apply_rest(&mut self, rows: &mut BTreeMap<FindingId, FindingRecord>) {
        self.apply(|_| true, rows);
        for (id, before) in &self.stored {
            if let Some(row) = rows.get_mut(id) {
                self.keep_dates(row, before);
            }
        }
    }

    /// Applies what one scan said, which was to be read and cannot be.
    pub fn apply_of(&mut self, scan: ScanId, rows: &mut BTreeMap<FindingId, FindingRecord>) {
        self.apply(|at| at.scan == scan.0, rows);
    }

    fn apply(&mut self, is_wanted: impl Fn(ScanOrder) -> bool, rows: &mut BTreeMap<FindingId, FindingRecord>) {
        let wanted: Vec<ScanOrder> = self.said.keys().copied().filter(|order| is_wanted(*order)).collect();
        for order in wanted {
            for (id, said) in self.said.remove(&order).into_iter().flatten() {
                if let Some(before) = self.stored.get(&id) {
                    say_again(rows, before, order, said);
                }
            }
        }
    }

    /// Keeps the dates that only scans that are gone knew.
    fn keep_dates(&self, row: &mut FindingRecord, before: &FindingRecord) {
        if is_unknown(&row.seen_with) {
            row.seen_with = before.seen_with.clone();
        }
        let (life, old) = (&mut row.life, &before.life);
        if old.first_seen < life.first_seen && self.is_gone(old.first_seen.order.scan) {
            if life.open_since == life.first_seen.order.at {
                life.open_since = old.first_seen.order.at;
            }
            life.first_seen = old.first_seen;
        }
        let came_back = before.log.iter().rev().find(|entry| {
            matches!(entry.change, LogChange::Life { event: Event::Regressed, .. }) && entry.at == old.open_since
        });
        let is_of_gone_scan = came_back.and_then(|entry| entry.scan).is_some_and(|scan| self.is_gone(scan));
        if old.regressed && is_of_gone_scan && old.open_since > life.open_since {
            life.regressed = true;
            life.open_since = old.open_since;
        }
    }

    /// Merges the target that was computed anew, if any scan was read, with what is known of it
    /// from scans that are gone, and with what people did to it. `None`: nothing is known of it.
    #[must_use]
    pub fn target(&self, stored: Option<&TargetRecord>, computed: Option<TargetRecord>) -> Option<TargetRecord> {
        let Some(stored) = stored else { return computed };
        let is_gone = |order: &ScanOrder| self.is_gone(order.scan);
        // A scan that may have ended before a plugin does not have it. If no scan that was read has
        // it either, only the stored row knows of the plugin.
        let is_said =
            |(order, check): &(ScanOrder, Check)| is_gone(order) || (*check == Check::Cancelled && self.left.is_none());
        let has_scans = computed.is_some() || is_gone(&stored.last_scan);
        let mut target = match computed {
            Some(computed) => TargetRecord {
                tags: stored.tags.clone(),
                notes: stored.notes.clone(),
                version: stored.version,
                ..computed
            },
            None => TargetRecord { checks: BTreeMap::new(), ..stored.clone() },
        };
        for (plugin, last) in &stored.checks {
            let complete = last.complete.filter(is_gone);
            let newest = Some(last.newest).filter(is_said);
            let Some(newest) = newest.or(complete.map(|order| (order, Check::Completed))) else { continue };
            let known = target.checks.entry(plugin.clone()).or_insert(crate::model::LastCheck { complete, newest });
            known.complete = known.complete.max(complete);
            if newest.0 > known.newest.0 {
                known.newest = newest;
            }
        }
        if is_gone(&stored.last_scan) {
            target.last_scan = target.last_scan.max(stored.last_scan);
        }
        // A first scan that is gone left only its time.
        if self.left.is_none_or(|(_, at)| at != stored.first_scan) {
            target.first_scan = target.first_scan.min(stored.first_scan);
        }
        let is_kept = has_scans || !target.checks.is_empty() || !stored.tags.is_empty() || !stored.notes.is_empty();
        is_kept.then_some(target)
    }
}

/// Returns the end of a scan that the rows of a target name.
#[must_use]
pub fn end_of_named(scan: ScanId, target: &TargetRecord, findings: &[FindingRecord]) -> Option<Timestamp> {
    let checks = target.checks.values().flat_map(|last| last.complete.into_iter().chain([last.newest.0]));
    let of_findings = findings.iter().flat_map(|row| {
        let life = &row.life;
        let proof = match &life.state {
            State::Fixed { proof } => proof.as_slice(),
            State::Open => &[],
        };
        let absent = life.absences.iter().chain(proof).map(|proof| proof.order);
        let unchecked = life.unchecked.map(|(order, _)| order);
        [life.first_seen.order, life.last_seen.order].into_iter().chain(absent).chain(unchecked)
    });
    let mut all = [target.last_scan].into_iter().chain(checks).chain(of_findings);
    all.find(|order| order.scan == scan.0).map(|order| order.at)
}

/// A scope that no check covers.
fn is_unknown(scope: &CheckScope) -> bool {
    scope.target.is_none()
}

fn say_again(rows: &mut BTreeMap<FindingId, FindingRecord>, before: &FindingRecord, order: ScanOrder, said: Said) {
    let row = match (rows.get_mut(&before.id), &said) {
        (Some(row), _) => row,
        (None, Said::Missed { .. }) => return,
        (None, Said::Found | Said::Saw) => {
            let is_known = matches!(said, Said::Saw);
            let target = before.seen_with.target.clone().filter(|_| is_known);
            let seen_with = CheckScope { target, ..before.seen_with.clone() };
            let mut row = FindingRecord { seen_with, life: Finding::first(order), log: Vec::new(), ..before.clone() };
            log::write(&mut row, vec![Event::Found], order);
            rows.insert(before.id, row);
            return;
        }
    };
    let (seen, check, plugin_version) = match &said {
        Said::Missed { check, plugin_version } => (false, *check, plugin_version.as_str()),
        Said::Found | Said::Saw => (true, Check::Completed, ""),
    };
    // The row may be described by an older sighting now, and the proof was about the newest one.
    if check.proves_absence() && !seen && !before.seen_with.covers(&row.seen_with) {
        return;
    }
    if matches!(said, Said::Saw) && order >= row.life.last_seen.order {
        if row.seen_with != before.seen_with {
            row.life.absences.retain(|proof| proof.order < order);
        }
        let FindingRecord { life, log, version, .. } = row.clone();
        *row = FindingRecord { life, log, version, ..before.clone() };
    }
    observe_one(row, &Observation { order, check, seen, plugin_version });
}
