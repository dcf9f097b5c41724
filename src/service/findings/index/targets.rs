//! Lists of targets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use kastrel_findings::Severity;
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::Status;

use super::asked::Asked;
use super::row::Row;
use super::table::{Slot, Table, Target};
use crate::service::findings::query::{MOST_ON_PAGE, TargetQuery};
use crate::service::findings::views::{TargetPage, TargetRow};

impl Table {
    /// Returns a page of the targets that match: those with the worst open findings first. The tags
    /// are those of all targets of the projects.
    pub(in crate::service::findings) fn targets(&self, query: &TargetQuery, asked: Asked<'_>) -> TargetPage {
        let words: Vec<String> = query.words.iter().map(|word| word.to_lowercase()).collect();
        let mut tags: HashMap<&str, usize> = HashMap::new();
        let mut matches = Vec::new();
        for slot in &self.slots {
            let Some(target) = slot.target.as_ref().filter(|target| asked.readable.holds(&target.project)) else {
                continue;
            };
            if !query.projects.is_empty() && !query.projects.contains(&target.project) {
                continue;
            }
            for tag in &target.tags {
                *tags.entry(tag).or_default() += 1;
            }
            let is_match = words.iter().all(|word| target.text.has(word))
                && query.tags.iter().all(|tag| target.tags.contains(tag))
                && (query.ids.is_empty() || query.ids.contains(&target.id));
            if is_match {
                matches.push((numbers(target, &slot.rows, asked), target));
            }
        }
        matches.sort_unstable_by(|(one, target), (other, other_target)| {
            let by_name = target.text.shown().cmp(other_target.text.shown());
            other.open.cmp(&one.open).then(by_name).then_with(|| target.project.cmp(&other_target.project))
        });
        let total = matches.len();
        let page = matches.into_iter().skip(query.skip).take(query.limit.min(MOST_ON_PAGE));
        let mut tags: Vec<(String, usize)> = tags.into_iter().map(|(tag, count)| (tag.to_owned(), count)).collect();
        tags.sort_unstable_by_key(|(tag, count)| (Reverse(*count), tag.clone()));
        TargetPage { rows: page.map(|(numbers, target)| row_of(target, &numbers)).collect(), total, tags }
    }

    /// Returns the row of a target; `None` if it is not stored or not readable.
    pub(in crate::service::findings) fn target_row(&self, id: TargetId, asked: Asked<'_>) -> Option<TargetRow> {
        let Slot { target, rows } = self.slot_of(id)?;
        let target = target.as_ref().filter(|target| asked.readable.holds(&target.project))?;
        Some(row_of(target, &numbers(target, rows, asked)))
    }
}

/// The numbers of a target.
struct Numbers {
    /// The open findings by severity, worst first.
    open: [usize; Severity::ALL.len()],
    new: usize,
    fixed: usize,
}

fn numbers(target: &Target, rows: &[Row], asked: Asked<'_>) -> Numbers {
    let mut numbers = Numbers { open: Default::default(), new: 0, fixed: 0 };
    let moved: HashSet<FindingId> = rows.iter().flat_map(|row| row.rest.continues.iter().copied()).collect();
    for row in rows {
        match row.status(asked.now) {
            Status::Open | Status::Confirmed => {
                numbers.open[row.severity as usize] += 1;
                numbers.new += usize::from(row.is_new_in(target.last_scan));
            }
            // What moved to another place is not fixed.
            Status::Fixed if moved.contains(&row.id) => {}
            Status::Fixed => numbers.fixed += usize::from(row.rest.fixed_by == Some(target.last_scan.scan)),
            Status::FalsePositive | Status::Accepted => {}
        }
    }
    numbers
}

fn row_of(target: &Target, numbers: &Numbers) -> TargetRow {
    let open = Severity::ALL.into_iter().zip(numbers.open).filter(|(_, count)| *count > 0);
    TargetRow {
        id: target.id,
        project: target.project.clone(),
        origin: target.origin.clone(),
        tags: target.tags.clone(),
        open: open.collect::<BTreeMap<Severity, usize>>(),
        new: numbers.new,
        fixed: numbers.fixed,
        unchecked: target.unchecked,
        is_checked: target.is_checked,
        last_scan: target.last_scan,
    }
}
