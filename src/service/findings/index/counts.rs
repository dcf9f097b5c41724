//! The numbers of the facets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use kastrel_actors::model::ProjectId;
use kastrel_findings::Severity;
use kastrel_findings::lifecycle::Status;

use super::asked::Asked;
use super::matcher::{Conditions, RowMatch, facet, flag_bit, status_bit};
use super::names::{Name, Names};
use super::row::Row;
use super::table::{Table, Target};
use crate::service::findings::query::{FindingFilter, FindingFlag, OwnerFilter};
use crate::service::findings::views::Facet;

/// The most values of a facet.
const MOST_VALUES: usize = 30;
/// The days of the values of `new`.
const NEW_DAYS: [u32; 3] = [7, 30, 90];
/// The days of the values of `age`.
const AGE_DAYS: [u32; 3] = [30, 90, 365];

/// A value of `new` or `age`.
struct Days {
    days: u32,
    /// The time this many days ago.
    at: Timestamp,
    count: usize,
}

/// The numbers of findings for each value of each facet.
pub(super) struct Counts<'t> {
    severities: [usize; Severity::ALL.len()],
    statuses: [usize; Status::ALL.len()],
    flags: [usize; FindingFlag::ALL.len()],
    plugins: Vec<usize>,
    categories: Vec<usize>,
    owners: Vec<usize>,
    nobody: usize,
    new: Vec<Days>,
    ages: Vec<Days>,
    targets: Vec<(&'t Target, usize)>,
    tags: HashMap<&'t str, usize>,
    projects: HashMap<&'t ProjectId, usize>,
}

impl<'t> Counts<'t> {
    pub(super) fn new(table: &Table, filter: &FindingFilter, asked: Asked<'_>) -> Self {
        let days = |fixed: &[u32], of_filter: Option<u32>| -> Vec<Days> {
            let all: BTreeSet<u32> = fixed.iter().copied().chain(of_filter).collect();
            all.into_iter().map(|days| Days { days, at: asked.days_ago(days), count: 0 }).collect()
        };
        Self {
            severities: Default::default(),
            statuses: Default::default(),
            flags: Default::default(),
            plugins: vec![0; table.plugins.len()],
            categories: vec![0; table.categories.len()],
            owners: vec![0; table.owners.len()],
            nobody: 0,
            new: days(&NEW_DAYS, filter.new_within_days),
            ages: days(&AGE_DAYS, filter.min_age_days),
            targets: Vec::new(),
            tags: HashMap::new(),
            projects: HashMap::new(),
        }
    }

    /// Counts a finding of a target that fails no condition.
    pub(super) fn add_row(&mut self, row: &Row, found: &RowMatch) {
        let counts = |condition: Conditions| found.failed & !condition == 0;
        if counts(facet::SEVERITY) {
            self.severities[row.severity as usize] += 1;
        }
        if counts(facet::STATUS) {
            let at = Status::ALL.iter().position(|status| status_bit(*status) == status_bit(found.status));
            self.statuses[at.unwrap_or_default()] += 1;
        }
        if counts(facet::PLUGIN) {
            add(&mut self.plugins, row.plugin);
        }
        if counts(facet::CATEGORY)
            && let Some(category) = row.category
        {
            add(&mut self.categories, category);
        }
        if counts(facet::OWNER) {
            match row.owner {
                Some(owner) => add(&mut self.owners, owner),
                None => self.nobody += 1,
            }
        }
        if counts(facet::NEW) {
            for value in &mut self.new {
                value.count += usize::from(row.open_since >= value.at);
            }
        }
        if counts(facet::AGE) {
            for value in &mut self.ages {
                value.count += usize::from(row.open_since <= value.at);
            }
        }
        if counts(facet::IS) {
            for (flag, count) in FindingFlag::ALL.into_iter().zip(&mut self.flags) {
                *count += usize::from(found.flags & flag_bit(flag) != 0);
            }
        }
    }

    /// Counts the findings of a target that fail no condition of their own.
    pub(super) fn add_target(&mut self, target: &'t Target, failed: Conditions, findings: usize) {
        let counts = |condition: Conditions| findings > 0 && failed & !condition == 0;
        if counts(facet::TARGET) {
            self.targets.push((target, findings));
        }
        if counts(facet::TAG) {
            for tag in &target.tags {
                *self.tags.entry(tag).or_default() += findings;
            }
        }
        if counts(facet::PROJECT) {
            *self.projects.entry(&target.project).or_default() += findings;
        }
    }

    /// Returns the facets. A value that the filter has is among the values of its facet if it has a
    /// finding.
    pub(super) fn facets(&self, table: &Table, filter: &FindingFilter) -> Vec<Facet> {
        let owners: Vec<String> = filter
            .owners
            .iter()
            .map(|owner| match owner {
                OwnerFilter::Nobody => "none".to_owned(),
                OwnerFilter::Account(name) => name.to_string(),
            })
            .collect();
        let named = |names: &Names, counts: &[usize]| -> Vec<(String, usize)> {
            let number = |at: usize| Name::try_from(at).unwrap_or(Name::MAX);
            counts.iter().enumerate().map(|(at, count)| (names.get(number(at)).to_owned(), *count)).collect()
        };
        let mut targets: BTreeMap<&str, usize> = BTreeMap::new();
        for (target, count) in &self.targets {
            *targets.entry(target.text.shown()).or_default() += count;
        }
        let severities = Severity::ALL.into_iter().zip(self.severities);
        let statuses = Status::ALL.into_iter().zip(self.statuses);
        let flags = FindingFlag::ALL.into_iter().zip(self.flags);
        let with_nobody = named(&table.owners, &self.owners).into_iter().chain([("none".to_owned(), self.nobody)]);
        let days = |values: &[Days]| -> Vec<(String, usize)> {
            values.iter().map(|value| (format!("{}d", value.days), value.count)).collect()
        };
        let text = |text: &&str| (*text).to_owned();
        let kept = |values: &[String], value: &str| values.iter().any(|one| one == value);
        vec![
            scale("severity", severities.map(|(severity, count)| (severity.name().to_owned(), count))),
            scale("status", statuses.map(|(status, count)| (status.name().to_owned(), count))),
            facet("plugin", named(&table.plugins, &self.plugins), |value| filter.plugins.contains(value)),
            facet("category", named(&table.categories, &self.categories), |value| filter.categories.contains(value)),
            facet("target", targets.iter().map(|(name, count)| (text(name), *count)), |value| {
                filter.targets.contains(value)
            }),
            facet("tag", self.tags.iter().map(|(name, count)| (text(name), *count)), |value| {
                filter.tags.contains(value)
            }),
            facet("owner", with_nobody, |value| kept(&owners, value)),
            facet("project", self.projects.iter().map(|(project, count)| (project.to_string(), *count)), |value| {
                filter.projects.iter().any(|project| project.to_string() == value)
            }),
            scale("new", days(&self.new)),
            scale("age", days(&self.ages)),
            scale("is", flags.map(|(flag, count)| (flag.name().to_owned(), count))),
        ]
    }
}

fn add(counts: &mut [usize], number: Name) {
    if let Some(count) = counts.get_mut(number as usize) {
        *count += 1;
    }
}

/// Creates a facet whose values have an order of their own, such as worst first: those with
/// findings, in this order.
fn scale(name: &'static str, values: impl IntoIterator<Item = (String, usize)>) -> Facet {
    Facet { name, values: values.into_iter().filter(|(_, count)| *count > 0).collect() }
}

/// Creates a facet of names: the values with findings, most first, and of many values those that
/// are in the filter and the largest others.
fn facet(
    name: &'static str,
    values: impl IntoIterator<Item = (String, usize)>,
    is_in_filter: impl Fn(&str) -> bool,
) -> Facet {
    let mut values: Vec<(String, usize)> = values.into_iter().filter(|(_, count)| *count > 0).collect();
    let order = |one: &(String, usize), other: &(String, usize)| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0));
    if values.len() > MOST_VALUES {
        values.sort_unstable_by(|one, other| {
            is_in_filter(&other.0).cmp(&is_in_filter(&one.0)).then_with(|| order(one, other))
        });
        values.truncate(MOST_VALUES);
    }
    values.sort_unstable_by(order);
    Facet { name, values }
}
