//! The rows of the index, target by target, and how changes of the store get into them.

use std::collections::{BTreeSet, HashMap};

use kastrel_actors::model::{FindingChanges, FindingRecord, ProjectId, TargetRecord};
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::{Check, ScanOrder};
use kastrel_findings::place::Origin;

use super::names::{Name, Names, Text};
use super::row::{Row, RowNames};

/// What the index keeps of a target.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) id: TargetId,
    pub(super) project: ProjectId,
    pub(super) origin: Origin,
    /// The origin as text.
    pub(super) text: Text,
    pub(super) tags: Vec<String>,
    pub(super) last_scan: ScanOrder,
    /// The number of plugins whose newest check was not complete.
    pub(super) unchecked: usize,
    /// True if a check was ever complete.
    pub(super) is_checked: bool,
}

/// A target with its findings.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// `None` until the target is stored.
    pub(super) target: Option<Target>,
    pub(super) rows: Vec<Row>,
}

/// The rows of all targets and findings.
#[derive(Debug, Default)]
pub(in crate::service::findings) struct Table {
    pub(super) slots: Vec<Slot>,
    by_target: HashMap<TargetId, u32>,
    /// The slot and the position in it.
    by_finding: HashMap<FindingId, (u32, u32)>,
    pub(super) plugins: Names,
    pub(super) issues: Names,
    pub(super) titles: Names,
    pub(super) categories: Names,
    pub(super) owners: Names,
    /// The plugin and the issue of each group.
    pub(super) groups: Vec<(Name, Name)>,
    by_group: HashMap<(Name, Name), Name>,
    /// All projects that ever had a target.
    projects: BTreeSet<ProjectId>,
    mark: u64,
}

impl Table {
    /// Returns the mark of the last change that is in the table.
    pub(in crate::service::findings) const fn mark(&self) -> u64 {
        self.mark
    }

    /// Returns the projects that have a target.
    pub(in crate::service::findings) const fn projects(&self) -> &BTreeSet<ProjectId> {
        &self.projects
    }

    /// Takes over changes. Taking them over twice changes nothing.
    pub(in crate::service::findings) fn apply(&mut self, changes: FindingChanges) {
        for target in changes.targets {
            self.put_target(target);
        }
        for id in changes.gone_targets {
            if let Some(slot) = self.by_target.get(&id).and_then(|at| self.slots.get_mut(*at as usize)) {
                slot.target = None;
            }
        }
        for finding in &changes.findings {
            self.put(finding);
        }
        for id in changes.gone {
            self.remove(id);
        }
        self.mark = self.mark.max(changes.mark);
    }

    pub(super) fn slot_of(&self, id: TargetId) -> Option<&Slot> {
        self.slots.get(*self.by_target.get(&id)? as usize)
    }

    fn slot(&mut self, id: TargetId) -> u32 {
        *self.by_target.entry(id).or_insert_with(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn put_target(&mut self, record: TargetRecord) {
        let at = self.slot(record.id);
        let unchecked = record.checks.values().filter(|check| check.newest.1 != Check::Completed).count();
        let is_checked = record.checks.values().any(|check| check.complete.is_some());
        self.projects.insert(record.project.clone());
        if let Some(slot) = self.slots.get_mut(at as usize) {
            slot.target = Some(Target {
                id: record.id,
                text: Text::new(&record.origin.to_string()),
                project: record.project,
                origin: record.origin,
                tags: record.tags,
                last_scan: record.last_scan,
                unchecked,
                is_checked,
            });
        }
    }

    fn put(&mut self, record: &FindingRecord) {
        let (plugin, issue) = (self.plugins.add(&record.plugin), self.issues.add(record.issue.as_str()));
        let group = *self.by_group.entry((plugin, issue)).or_insert_with(|| {
            self.groups.push((plugin, issue));
            Name::try_from(self.groups.len() - 1).unwrap_or(Name::MAX)
        });
        let names = RowNames {
            plugin,
            issue,
            group,
            title: self.titles.add(&record.title),
            category: record.category.as_deref().map(|category| self.categories.add(category)),
            owner: record.owner.as_ref().map(|owner| self.owners.add(&owner.to_string())),
        };
        let row = Row::new(record, &names);
        let at = self.slot(record.target);
        if let Some((slot, position)) = self.by_finding.get(&record.id)
            && let Some(known) =
                self.slots.get_mut(*slot as usize).and_then(|slot| slot.rows.get_mut(*position as usize))
        {
            *known = row;
        } else if let Some(slot) = self.slots.get_mut(at as usize) {
            let position = u32::try_from(slot.rows.len()).unwrap_or(u32::MAX);
            slot.rows.push(row);
            self.by_finding.insert(record.id, (at, position));
        }
    }

    fn remove(&mut self, id: FindingId) {
        let Some((at, position)) = self.by_finding.remove(&id) else { return };
        let Some(slot) = self.slots.get_mut(at as usize) else { return };
        slot.rows.swap_remove(position as usize);
        if let Some(moved) = slot.rows.get(position as usize) {
            self.by_finding.insert(moved.id, (at, position));
        }
    }
}
