//! Findings of older rules get their fingerprints by the present rules.

use std::collections::BTreeSet;

use kastrel_findings::identity::{AliasChange, FindingId, Fingerprint, RuleSet, aliases};
use kastrel_findings::lifecycle::{Finding, scans_to_fix};

use super::log;
use super::observe::Rows;
use super::people::is_touched;
use super::reading::ScanReading;
use crate::model::FindingRecord;

/// Carries over what the sightings of this scan show, and returns the rows that are to be deleted.
pub(super) fn carry_over(
    rows: &mut Rows,
    reading: &ScanReading,
    rules: &RuleSet,
    older_rules: &[&RuleSet],
) -> Vec<FindingRecord> {
    let mut gone = Vec::new();
    for older in older_rules {
        if !rows.values().any(|row| row.rules == older.version) {
            continue;
        }
        for change in aliases(&reading.sightings, older, rules) {
            let mut carry = Carry { rows: &mut *rows, gone: &mut gone, reading, rules, from: older.version };
            match change {
                AliasChange::Moved { old, new } => carry.join(&BTreeSet::from([old]), new),
                AliasChange::Merged { old, new } => carry.join(&old, new),
                AliasChange::Split { old, new } => carry.split(old, &new),
                AliasChange::Mixed { old, new } => carry.leave(&old, &new),
            }
        }
    }
    // A fingerprint that is the same by both rules.
    for one in &reading.observed {
        if let Some(row) = rows.get_mut(&one.finding.fingerprint) {
            row.rules = rules.version;
        }
    }
    gone
}

struct Carry<'a> {
    rows: &'a mut Rows,
    gone: &'a mut Vec<FindingRecord>,
    reading: &'a ScanReading,
    rules: &'a RuleSet,
    /// The version of the older rules.
    from: u32,
}

impl Carry<'_> {
    fn take(&mut self, print: Fingerprint) -> Option<FindingRecord> {
        self.rows.get(&print).filter(|row| row.rules == self.from)?;
        self.rows.remove(&print)
    }

    fn id(&self, print: Fingerprint) -> FindingId {
        FindingId::of(self.reading.head.target(), print)
    }

    /// Several findings, or one, are one.
    fn join(&mut self, old: &BTreeSet<Fingerprint>, new: Fingerprint) {
        let order = self.reading.head.order;
        // The new fingerprint may be one of the old ones.
        let present = self.rows.get(&new).filter(|row| row.rules == self.rules.version).cloned();
        let is_known = |id| present.as_ref().is_some_and(|present| log::continues(present, id));
        let (mut parts, mut lives): (Vec<FindingRecord>, Vec<Finding>) = (Vec::new(), Vec::new());
        for print in old {
            let id = self.id(*print);
            match self.take(*print) {
                // An interrupted ingestion has carried it over, and only the old row is left.
                Some(row) if is_known(id) => self.gone.push(row),
                Some(row) => {
                    lives.push(row.life.clone());
                    parts.push(row);
                }
                None if is_known(id) => {}
                // A part that was never seen before has no decision.
                None => lives.push(Finding::first(order)),
            }
        }
        if parts.is_empty() {
            return;
        }
        parts.sort_by_key(|row| row.life.last_seen);
        lives.extend(present.iter().map(|present| present.life.clone()));
        let needed = parts.first().map_or(1, |row| scans_to_fix(&row.plugin));
        let (Some(newest), Some(life)) = (present.as_ref().or(parts.last()).cloned(), Finding::joined(&lives, needed))
        else {
            return;
        };
        let is_new_part = lives.len() > parts.len() + usize::from(present.is_some());
        let owner = newest
            .owner
            .clone()
            .filter(|_| !is_new_part && parts.iter().chain(present.as_ref()).all(|row| row.owner == newest.owner));
        let mut row = FindingRecord { life, owner, ..self.renamed(newest, new, present.as_ref()) };
        for part in parts {
            row.log.retain(|entry| !part.log.contains(entry));
            part.log.iter().for_each(|entry| log::insert(&mut row, entry.clone()));
            // A row that keeps its fingerprint is not deleted.
            if part.fingerprint == new {
                row.version = part.version;
            } else {
                log::write_continues(&mut row, part.id, order);
                self.gone.push(part);
            }
        }
        self.rows.insert(new, row);
    }

    /// One finding is several. Their first dates are known, and a decision about all of them is not
    /// one about each.
    fn split(&mut self, old: Fingerprint, new: &BTreeSet<Fingerprint>) {
        let order = self.reading.head.order;
        let Some(before) = self.take(old) else { return };
        for print in new {
            let present = self.rows.get(print).cloned();
            if present.as_ref().is_some_and(|present| log::continues(present, before.id)) {
                continue;
            }
            let mut life = match &present {
                Some(present) => present.life.clone(),
                None => {
                    let mut life = Finding::first(order);
                    // A newer scan has seen one of the parts, and nobody knows which.
                    life.last_seen = life.last_seen.max(before.life.last_seen);
                    life
                }
            };
            life = life.continuing(&before.life);
            let mut row = FindingRecord {
                life,
                ..self.renamed(present.clone().unwrap_or(before.clone()), *print, present.as_ref())
            };
            if before.fingerprint == *print {
                row.version = before.version;
            } else {
                log::write_continues(&mut row, before.id, order);
            }
            self.rows.insert(*print, row);
        }
        if !new.contains(&old) {
            self.gone.push(before);
        }
    }

    /// Several findings are several others: nothing moves. The old rows of which people said
    /// something stay, and count as seen.
    fn leave(&mut self, old: &BTreeSet<Fingerprint>, new: &BTreeSet<Fingerprint>) {
        for print in old.difference(new) {
            if self.rows.get(print).is_some_and(|row| row.rules == self.from && !is_touched(row)) {
                let row = self.rows.remove(print);
                self.gone.extend(row);
            }
        }
    }

    /// The row under another fingerprint.
    fn renamed(&self, row: FindingRecord, print: Fingerprint, present: Option<&FindingRecord>) -> FindingRecord {
        FindingRecord {
            id: self.id(print),
            fingerprint: print,
            rules: self.rules.version,
            version: present.map_or(0, |present| present.version),
            ..row
        }
    }
}
