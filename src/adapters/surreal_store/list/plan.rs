//! Chooses the index of a page, and whether its rows need further checks.

use kastrel_actors::model::{ListQuery, ScanMode, ScanStatus, Severity};

/// The index that a page follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IndexScan {
    All,
    Statuses(Vec<ScanStatus>),
    Targets(Vec<String>),
    Mode(ScanMode),
    Found(String),
    /// Finished scans whose worst issue has at least this severity.
    Severe(Severity),
    /// Scans with this tag. No row has its tags, so a list with a tag follows this index.
    Tagged(String),
}

/// An index scan, and whether its rows must still be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) scan: IndexScan,
    pub(super) checks: bool,
}

/// Chooses the most selective index scan. `targets` are the targets that match the text filter, if
/// there are few enough.
pub(super) fn plan(query: &ListQuery, targets: Option<Vec<String>>) -> Plan {
    let asks_target = query.target.as_deref().is_some_and(|text| !text.is_empty());
    let narrows_status = distinct(&query.statuses).len() < ScanStatus::ALL.len();
    let filters = [
        query.tag.is_some(),
        query.plugin.is_some(),
        asks_target,
        query.min_severity.is_some(),
        narrows_status,
        query.mode.is_some(),
    ];
    let (scan, covered) = if let Some(tag) = &query.tag {
        (IndexScan::Tagged(tag.clone()), 1)
    } else if let Some(plugin) = &query.plugin {
        (IndexScan::Found(plugin.clone()), 1)
    } else if let Some(targets) = targets.filter(|_| asks_target) {
        (IndexScan::Targets(targets), 1)
    } else if let Some(least) = query.min_severity {
        (IndexScan::Severe(least), 1)
    } else if narrows_status {
        (IndexScan::Statuses(distinct(&query.statuses)), 1)
    } else if let Some(mode) = query.mode {
        (IndexScan::Mode(mode), 1)
    } else {
        (IndexScan::All, 0)
    };
    Plan { scan, checks: filters.into_iter().filter(|filter| *filter).count() > covered }
}

/// The exclusive bounds of the scan numbers of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyRange {
    pub(super) lo: i64,
    pub(super) hi: i64,
}

impl KeyRange {
    /// All scan numbers.
    pub(super) const ALL: Self = Self { lo: -1, hi: i64::MAX };

    /// The bound at which an index scan begins.
    pub(super) const fn begin(self, oldest_first: bool) -> i64 {
        if oldest_first { self.lo } else { self.hi }
    }

    pub(super) const fn holds(self, number: i64) -> bool {
        self.lo < number && number < self.hi
    }

    /// The remaining range after `number`.
    pub(super) const fn after(self, number: i64, oldest_first: bool) -> Self {
        if oldest_first { Self { lo: number, ..self } } else { Self { hi: number, ..self } }
    }
}

/// The statuses of the filter without duplicates; all statuses if it is empty.
fn distinct(statuses: &[ScanStatus]) -> Vec<ScanStatus> {
    ScanStatus::ALL.iter().copied().filter(|status| statuses.is_empty() || statuses.contains(status)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_selective_index_is_chosen_and_other_filters_are_checked() {
        let all = ListQuery::default;
        let targets = || Some(vec!["example.com".to_owned()]);
        let failed = vec![ScanStatus::Failed];
        let high = Some(Severity::High);
        for (query, targets, scan, checks) in [
            (all(), None, IndexScan::All, false),
            (ListQuery { statuses: ScanStatus::ALL.to_vec(), ..all() }, None, IndexScan::All, false),
            (ListQuery { statuses: failed.clone(), ..all() }, None, IndexScan::Statuses(failed.clone()), false),
            (ListQuery { mode: Some(ScanMode::Active), ..all() }, None, IndexScan::Mode(ScanMode::Active), false),
            (
                ListQuery { statuses: failed.clone(), mode: Some(ScanMode::Active), ..all() },
                None,
                IndexScan::Statuses(failed.clone()),
                true,
            ),
            (
                ListQuery { target: Some("ex".into()), ..all() },
                targets(),
                IndexScan::Targets(vec!["example.com".into()]),
                false,
            ),
            (
                ListQuery { target: Some("ex".into()), statuses: failed.clone(), ..all() },
                targets(),
                IndexScan::Targets(vec!["example.com".into()]),
                true,
            ),
            (ListQuery { target: Some("e".into()), ..all() }, None, IndexScan::All, true),
            (ListQuery { target: Some(String::new()), ..all() }, None, IndexScan::All, false),
            (ListQuery { plugin: Some("zap".into()), ..all() }, None, IndexScan::Found("zap".into()), false),
            (
                ListQuery { plugin: Some("zap".into()), target: Some("ex".into()), ..all() },
                None,
                IndexScan::Found("zap".into()),
                true,
            ),
            (ListQuery { tag: Some("eu".into()), ..all() }, None, IndexScan::Tagged("eu".into()), false),
            (
                ListQuery { tag: Some("eu".into()), plugin: Some("zap".into()), ..all() },
                None,
                IndexScan::Tagged("eu".into()),
                true,
            ),
            (ListQuery { min_severity: high, ..all() }, None, IndexScan::Severe(Severity::High), false),
            (
                ListQuery { min_severity: high, statuses: failed, ..all() },
                None,
                IndexScan::Severe(Severity::High),
                true,
            ),
            (
                ListQuery { min_severity: high, target: Some("ex".into()), ..all() },
                targets(),
                IndexScan::Targets(vec!["example.com".into()]),
                true,
            ),
            (
                ListQuery { min_severity: high, plugin: Some("zap".into()), ..all() },
                None,
                IndexScan::Found("zap".into()),
                true,
            ),
        ] {
            assert_eq!(plan(&query, targets), Plan { scan, checks }, "{query:?}");
        }
    }
}
