//! Findings by issue.

use std::cmp::Reverse;

use jiff::Timestamp;
use kastrel_findings::{IssueKey, Severity};

use super::asked::Asked;
use super::counts::Counts;
use super::matcher::Matcher;
use super::names::Name;
use super::table::Table;
use crate::service::findings::query::{FindingFilter, MOST_ON_PAGE};
use crate::service::findings::views::{FindingGroup, GroupPage};

/// What is known of a group during the pass.
#[derive(Clone)]
struct Sum {
    findings: usize,
    targets: usize,
    last_slot: Option<usize>,
    worst: Severity,
    newest: (Timestamp, Name),
}

impl Table {
    /// Returns a page of the issues of the findings that match: worst first, then those with the
    /// most targets.
    pub(in crate::service::findings) fn grouped(
        &self,
        filter: &FindingFilter,
        skip: usize,
        limit: usize,
        asked: Asked<'_>,
    ) -> GroupPage {
        let matcher = Matcher::new(self, filter, asked);
        let mut counts = Counts::new(self, filter, asked);
        let none =
            Sum { findings: 0, targets: 0, last_slot: None, worst: Severity::Unknown, newest: (Timestamp::MIN, 0) };
        let (mut sums, mut findings) = (vec![none; self.groups.len()], 0);
        self.pass(&matcher, Some(&mut counts), |found| {
            let row = found.row;
            let Some(sum) = sums.get_mut(row.group as usize) else { return };
            findings += 1;
            sum.findings += 1;
            if sum.last_slot != Some(found.slot) {
                sum.last_slot = Some(found.slot);
                sum.targets += 1;
            }
            sum.worst = sum.worst.min(row.severity);
            sum.newest = sum.newest.max((row.open_since, row.title));
        });
        let mut groups: Vec<((Name, Name), Sum)> =
            self.groups.iter().copied().zip(sums).filter(|(_, sum)| sum.findings > 0).collect();
        groups.sort_unstable_by_key(|((plugin, issue), sum)| {
            let names = (self.plugins.get(*plugin), self.issues.get(*issue));
            (sum.worst, Reverse(sum.targets), Reverse(sum.findings), names)
        });
        let total = groups.len();
        let page = groups.into_iter().skip(skip).take(limit.min(MOST_ON_PAGE));
        let groups = page.map(|((plugin, issue), sum)| FindingGroup {
            plugin: self.plugins.get(plugin).to_owned(),
            issue: IssueKey::new(self.issues.get(issue)),
            title: self.titles.get(sum.newest.1).to_owned(),
            severity: sum.worst,
            findings: sum.findings,
            targets: sum.targets,
        });
        GroupPage { groups: groups.collect(), total, findings, facets: counts.facets(self, filter) }
    }
}
