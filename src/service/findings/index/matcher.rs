//! A filter, made ready for a pass over many rows.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::Status;
use kastrel_findings::place::Origin;

use super::asked::{Asked, Cutoffs};
use super::names::{Names, Text};
use super::row::Row;
use super::table::{Table, Target};
use crate::service::findings::query::{FindingFilter, FindingFlag, OwnerFilter};

/// Conditions, one bit each.
pub(super) type Conditions = u16;

/// The conditions that are facets.
pub(super) mod facet {
    use super::Conditions;

    pub(in super::super) const TARGET: Conditions = 1;
    pub(in super::super) const TAG: Conditions = 1 << 1;
    pub(in super::super) const PROJECT: Conditions = 1 << 2;
    pub(in super::super) const SEVERITY: Conditions = 1 << 3;
    pub(in super::super) const STATUS: Conditions = 1 << 4;
    pub(in super::super) const PLUGIN: Conditions = 1 << 5;
    pub(in super::super) const CATEGORY: Conditions = 1 << 6;
    pub(in super::super) const OWNER: Conditions = 1 << 7;
    pub(in super::super) const IS: Conditions = 1 << 8;
    pub(in super::super) const NEW: Conditions = 1 << 9;
    pub(in super::super) const AGE: Conditions = 1 << 10;
}

/// A filter, made ready for a pass.
pub(super) struct Matcher<'a> {
    asked: Asked<'a>,
    tags: &'a BTreeSet<String>,
    filter: &'a FindingFilter,
    targets: Vec<WantedTarget>,
    /// Severities, states and flags as bits.
    severities: u8,
    statuses: u8,
    flags: u8,
    /// For each number whether it is wanted; `None`: all are.
    plugins: Option<Vec<bool>>,
    categories: Option<Vec<bool>>,
    issues: Option<Vec<bool>>,
    owners: Option<(bool, Vec<bool>)>,
    /// `age`, `new` and `since`, as times.
    opened_at_most: Timestamp,
    opened_at_least: Timestamp,
    opened_since: Timestamp,
    words: Vec<Word>,
}

/// A text of `target:`.
struct WantedTarget {
    id: Option<TargetId>,
    /// A text with a scheme is an origin; others are a part of one.
    origin: Option<Origin>,
    part: String,
}

/// A free word in lower case, with the titles and issues that have it.
struct Word {
    text: String,
    titles: Vec<bool>,
    issues: Vec<bool>,
}

/// A target whose findings may match.
pub(super) struct TargetMatch<'m> {
    /// The facet that the target fails, or nothing.
    pub(super) failed: Conditions,
    pub(super) cutoffs: Cutoffs,
    /// The words that the origin does not have.
    words: Vec<&'m Word>,
}

/// A finding that matches, or fails the condition of one facet.
pub(super) struct RowMatch {
    /// The facet that the finding fails, or nothing.
    pub(super) failed: Conditions,
    pub(super) status: Status,
    pub(super) flags: u8,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(table: &Table, filter: &'a FindingFilter, asked: Asked<'a>) -> Self {
        let wanted = |names: &Names, values: &BTreeSet<String>| {
            (!values.is_empty()).then(|| names.mark(|text| values.contains(text.shown())))
        };
        let categories: Vec<String> = filter.categories.iter().map(|category| category.to_lowercase()).collect();
        let owners: BTreeSet<String> = filter
            .owners
            .iter()
            .filter_map(|owner| match owner {
                OwnerFilter::Nobody => None,
                OwnerFilter::Account(name) => Some(name.to_string()),
            })
            .collect();
        let statuses = match filter.statuses.is_empty() {
            true => status_bit(Status::Open) | status_bit(Status::Confirmed),
            false => filter.statuses.iter().map(|status| status_bit(*status)).sum(),
        };
        Self {
            asked,
            tags: &filter.tags,
            targets: filter.targets.iter().map(|text| WantedTarget::new(text)).collect(),
            severities: filter.severities.iter().map(|severity| 1 << *severity as u8).sum(),
            statuses,
            flags: filter.flags.iter().map(|flag| flag_bit(*flag)).sum(),
            plugins: wanted(&table.plugins, &filter.plugins),
            categories: (!categories.is_empty())
                .then(|| table.categories.mark(|text| categories.iter().any(|category| text.is(category)))),
            issues: wanted(&table.issues, &filter.issues),
            owners: (!filter.owners.is_empty()).then(|| {
                let marked = table.owners.mark(|text| owners.contains(text.shown()));
                (filter.owners.contains(&OwnerFilter::Nobody), marked)
            }),
            opened_at_most: filter.min_age_days.map_or(Timestamp::MAX, |days| asked.days_ago(days)),
            opened_at_least: filter.new_within_days.map_or(Timestamp::MIN, |days| asked.days_ago(days)),
            opened_since: filter.new_since.unwrap_or(Timestamp::MIN),
            words: filter.words.iter().map(|word| Word::new(table, word)).collect(),
            filter,
        }
    }

    /// Returns how a target matches; `None` if none of its findings is in the answer or its facets.
    pub(super) fn target(&self, target: &Target) -> Option<TargetMatch<'_>> {
        if !self.asked.readable.holds(&target.project) {
            return None;
        }
        let mut failed = 0;
        if !self.targets.is_empty() && !self.targets.iter().any(|wanted| wanted.is(target)) {
            failed |= facet::TARGET;
        }
        if !self.tags.is_empty() && !target.tags.iter().any(|tag| self.tags.contains(tag)) {
            failed |= facet::TAG;
        }
        if !self.filter.projects.is_empty() && !self.filter.projects.contains(&target.project) {
            failed |= facet::PROJECT;
        }
        if failed.count_ones() > 1 {
            return None;
        }
        let words = self.words.iter().filter(|word| !target.text.has(&word.text)).collect();
        Some(TargetMatch { failed, cutoffs: self.asked.cutoffs(&target.project), words })
    }

    /// Returns how a finding matches; `None` if it is not in the answer or its facets.
    pub(super) fn row(&self, target: &TargetMatch<'_>, row: &Row) -> Option<RowMatch> {
        if row.open_since < self.opened_since {
            return None;
        }
        let status = row.status(self.asked.now);
        let flags = flags(row, status, &target.cutoffs);
        let mut failed = 0;
        let mut check = |holds: bool, condition: Conditions| failed |= if holds { 0 } else { condition };
        check(row.open_since >= self.opened_at_least, facet::NEW);
        check(row.open_since <= self.opened_at_most, facet::AGE);
        check(self.severities == 0 || self.severities & (1 << row.severity as u8) != 0, facet::SEVERITY);
        check(self.statuses & status_bit(status) != 0, facet::STATUS);
        check(is_marked(self.plugins.as_deref(), Some(row.plugin)), facet::PLUGIN);
        check(is_marked(self.categories.as_deref(), row.category), facet::CATEGORY);
        check(
            self.owners.as_ref().is_none_or(|(nobody, owners)| match row.owner {
                None => *nobody,
                Some(_) => is_marked(Some(owners), row.owner),
            }),
            facet::OWNER,
        );
        check(self.flags & !flags == 0, facet::IS);
        let is_in = (failed | target.failed).count_ones() <= 1
            && is_marked(self.issues.as_deref(), Some(row.issue))
            && target.words.iter().all(|word| word.is_in(row));
        is_in.then_some(RowMatch { failed, status, flags })
    }
}

impl WantedTarget {
    fn new(text: &str) -> Self {
        let origin = if text.contains("://") { Origin::parse(text).ok() } else { None };
        Self { id: text.parse().ok(), origin, part: text.to_lowercase() }
    }

    fn is(&self, target: &Target) -> bool {
        self.id == Some(target.id)
            || self.origin.as_ref().map_or_else(|| target.text.has(&self.part), |origin| *origin == target.origin)
    }
}

impl Word {
    fn new(table: &Table, word: &str) -> Self {
        let text = word.to_lowercase();
        let has = |name: &Text| name.has(&text);
        Self { titles: table.titles.mark(has), issues: table.issues.mark(has), text }
    }

    fn is_in(&self, row: &Row) -> bool {
        is_marked(Some(&self.titles), Some(row.title))
            || is_marked(Some(&self.issues), Some(row.issue))
            || row.rest.place.has(&self.text)
    }
}

/// Returns true if all numbers are wanted, or this one is.
fn is_marked(marked: Option<&[bool]>, number: Option<u32>) -> bool {
    marked.is_none_or(|marked| number.is_some_and(|number| marked.get(number as usize).copied().unwrap_or(false)))
}

/// Returns the bit of a state.
pub(super) const fn status_bit(status: Status) -> u8 {
    1 << status as u8
}

/// Returns the bit of a flag.
pub(super) const fn flag_bit(flag: FindingFlag) -> u8 {
    1 << flag as u8
}

/// Returns the flags of a finding.
fn flags(row: &Row, status: Status, cutoffs: &Cutoffs) -> u8 {
    let is_due = matches!(status, Status::Open | Status::Confirmed);
    let cutoff = cutoffs[row.severity as usize];
    let is_overdue = is_due && cutoff.is_some_and(|cutoff| row.open_since <= cutoff);
    let bit = |holds: bool, flag| if holds { flag_bit(flag) } else { 0 };
    bit(row.is_regressed, FindingFlag::Regressed)
        | bit(is_overdue, FindingFlag::Overdue)
        | bit(row.is_unchecked, FindingFlag::Unchecked)
}
