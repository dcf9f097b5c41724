//! Lists of findings.

use kastrel_findings::IssueKey;
use kastrel_findings::identity::{FindingId, TargetId};
use kastrel_findings::lifecycle::{Sla, SlaPolicy, Status};

use super::asked::Asked;
use super::counts::Counts;
use super::matcher::Matcher;
use super::pass::Found;
use super::row::Row;
use super::table::{Table, Target};
use crate::service::findings::query::{FindingFilter, FindingQuery, FindingSort, MOST_ON_PAGE};
use crate::service::findings::views::{FindingPage, FindingRow};

/// A match with its place in the order.
struct Match<'t> {
    key: (i64, i64, FindingId),
    target: &'t Target,
    row: &'t Row,
}

impl Table {
    /// Returns a page of the findings that match.
    pub(in crate::service::findings) fn list(&self, query: &FindingQuery, asked: Asked<'_>) -> FindingPage {
        let matcher = Matcher::new(self, &query.filter, asked);
        let mut counts = Counts::new(self, &query.filter, asked);
        let ranks = if query.sort == FindingSort::Target { self.ranks() } else { Vec::new() };
        let (mut matches, mut targets, mut last) = (Vec::new(), 0, None);
        self.pass(&matcher, Some(&mut counts), |found| {
            if last != Some(found.slot) {
                last = Some(found.slot);
                targets += 1;
            }
            let (first, second) = key(query.sort, &ranks, found);
            matches.push(Match { key: (first, second, found.row.id), target: found.target, row: found.row });
        });
        let total = matches.len();
        let page = page_of(matches, query.skip, query.limit.min(MOST_ON_PAGE));
        let rows = page.iter().map(|found| self.row_of(found.target, found.row, asked)).collect();
        FindingPage { rows, total, targets, facets: counts.facets(self, &query.filter) }
    }

    /// Returns the first findings that match, worst first.
    pub(in crate::service::findings) fn matching(
        &self,
        filter: &FindingFilter,
        most: usize,
        asked: Asked<'_>,
    ) -> Vec<FindingId> {
        let matcher = Matcher::new(self, filter, asked);
        let mut matches = Vec::new();
        self.pass(&matcher, None, |found| {
            let (first, second) = key(FindingSort::Severity, &[], found);
            matches.push(Match { key: (first, second, found.row.id), target: found.target, row: found.row });
        });
        page_of(matches, 0, most).iter().map(|found| found.row.id).collect()
    }

    /// Returns all findings that match, by target: in the order of the origins, and of the ids
    /// within a target.
    pub(in crate::service::findings) fn by_target(
        &self,
        filter: &FindingFilter,
        asked: Asked<'_>,
    ) -> Vec<(TargetId, Vec<FindingId>)> {
        let matcher = Matcher::new(self, filter, asked);
        let mut matches: Vec<(usize, TargetId, Vec<FindingId>)> = Vec::new();
        self.pass(&matcher, None, |found| match matches.last_mut() {
            Some((slot, _, ids)) if *slot == found.slot => ids.push(found.row.id),
            _ => matches.push((found.slot, found.target.id, vec![found.row.id])),
        });
        let ranks = self.ranks();
        matches.sort_unstable_by_key(|(slot, ..)| ranks.get(*slot).copied());
        let sorted = |(_, target, mut ids): (usize, TargetId, Vec<FindingId>)| {
            ids.sort_unstable();
            (target, ids)
        };
        matches.into_iter().map(sorted).collect()
    }

    /// Returns for each slot its position in the order of origins and projects.
    fn ranks(&self) -> Vec<i64> {
        let mut slots: Vec<usize> = (0..self.slots.len()).collect();
        slots.sort_unstable_by_key(|slot| {
            self.slots[*slot].target.as_ref().map(|target| (target.text.shown(), &target.project))
        });
        let mut ranks = vec![0; slots.len()];
        for (rank, slot) in (0..).zip(slots) {
            ranks[slot] = rank;
        }
        ranks
    }

    fn row_of(&self, target: &Target, row: &Row, asked: Asked<'_>) -> FindingRow {
        let no_policy = SlaPolicy::default();
        let policy = asked.policy(&target.project).unwrap_or(&no_policy);
        let sla: Sla = row.sla(policy, asked.now);
        FindingRow {
            id: row.id,
            target: target.id,
            origin: target.origin.clone(),
            project: target.project.clone(),
            plugin: self.plugins.get(row.plugin).to_owned(),
            issue: IssueKey::new(self.issues.get(row.issue)),
            title: self.titles.get(row.title).to_owned(),
            place: row.rest.place.shown().to_owned(),
            severity: row.severity,
            category: row.category.map(|category| self.categories.get(category).to_owned()),
            status: row.status(asked.now),
            regressed: row.is_regressed,
            first_seen: row.rest.first_seen,
            last_seen: row.rest.last_seen,
            open_since: row.open_since,
            not_checked_since: row.rest.not_checked_since,
            sla,
            owner: row.owner.and_then(|owner| self.owners.get(owner).parse().ok()),
            members_count: row.rest.members_count,
            tags: target.tags.clone(),
        }
    }
}

/// Returns the place of a match in an order, smallest first.
fn key(sort: FindingSort, ranks: &[i64], found: &Found<'_, '_>) -> (i64, i64) {
    let row = found.row;
    let (severity, opened) = (row.severity as i64, row.open_since.as_microsecond());
    match sort {
        FindingSort::Severity => (severity, -opened),
        FindingSort::Newest => (-opened, severity),
        FindingSort::Due => {
            let is_due = matches!(found.of_row.status, Status::Open | Status::Confirmed);
            let cutoff = found.of_target.cutoffs[row.severity as usize].filter(|_| is_due);
            // The due time is as far after the opening as now is after the cutoff.
            (cutoff.map_or(i64::MAX, |cutoff| opened - cutoff.as_microsecond()), severity)
        }
        FindingSort::Target => (ranks.get(found.slot).copied().unwrap_or_default(), severity),
    }
}

/// Returns the matches of a page in order.
fn page_of(mut matches: Vec<Match<'_>>, skip: usize, limit: usize) -> Vec<Match<'_>> {
    let end = skip.saturating_add(limit);
    if skip >= matches.len() {
        return Vec::new();
    }
    if end < matches.len() {
        matches.select_nth_unstable_by_key(end, |found| found.key);
        matches.truncate(end);
    }
    matches.sort_unstable_by_key(|found| found.key);
    matches.split_off(skip)
}
