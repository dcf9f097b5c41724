//! A scan in numbers: what pages, API and command line show of it, computed in one place.

use jiff::{SignedDuration, Timestamp};

use super::{Coverage, PluginClass, ScanSnapshot, SeverityCounts, total_count};

/// The numbers of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOverview {
    /// How the checks of the scan ended so far.
    pub coverage: Coverage,
    /// The number of plugins with a result.
    pub plugins: usize,
    /// The number of checks that have ended, in whatever way.
    pub ended: usize,
    /// The number of checks, as far as known.
    pub total: usize,
    /// The percentage of ended checks; `None` while no check is known.
    pub percent: Option<usize>,
    /// The number of plugins that failed.
    pub failed: usize,
    /// The names of the plugins that run now.
    pub running: Vec<String>,
    /// The number of items that the plugins collected.
    pub items: u64,
    /// The number of issues by severity.
    pub severities: SeverityCounts,
    /// The start of the first attempt.
    pub started_at: Option<Timestamp>,
    /// The end of the scan.
    pub ended_at: Option<Timestamp>,
    /// The start of the last attempt; the submission before the first one.
    pub attempt_since: Timestamp,
}

impl ScanOverview {
    fn of(scan: &ScanSnapshot) -> Self {
        let (record, plugins, coverage) = (&scan.record, scan.last_plugins(), scan.coverage());
        let total = coverage.total();
        let ended = total - coverage.unfinished().len();
        Self {
            plugins: plugins.len(),
            ended,
            total,
            percent: (total > 0).then(|| ended * 100 / total),
            failed: plugins.iter().filter(|plugin| plugin.status.has_failed()).count(),
            running: plugins
                .iter()
                .filter(|plugin| plugin.status.class() == PluginClass::Running)
                .map(|plugin| plugin.name.clone())
                .collect(),
            items: total_count(plugins.iter().map(|plugin| plugin.findings_count)),
            severities: SeverityCounts::of(plugins),
            started_at: record.started_at,
            ended_at: record.ended_at(),
            attempt_since: record.last_attempt().map_or(record.created_at, |attempt| attempt.started_at),
            coverage,
        }
    }

    /// Returns the progress as a short text, such as `3 of 12 plugins done`; `None` while no check
    /// is known.
    #[must_use]
    pub fn progress(&self) -> Option<String> {
        (self.total > 0).then(|| format!("{} of {} plugins done", self.ended, self.total))
    }

    /// Returns the time since the start of the last attempt.
    #[must_use]
    pub fn elapsed(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.attempt_since)
    }

    /// Returns how long the scan took, or has taken until `now`; `None` before its first attempt.
    #[must_use]
    pub fn duration(&self, now: Timestamp) -> Option<SignedDuration> {
        Some(self.ended_at.unwrap_or(now).duration_since(self.started_at?))
    }

    /// Returns how long an ended scan took.
    #[must_use]
    pub fn took(&self) -> Option<SignedDuration> {
        self.duration(self.ended_at?)
    }
}

impl ScanSnapshot {
    /// Returns the scan in numbers.
    #[must_use]
    pub fn overview(&self) -> ScanOverview {
        ScanOverview::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        AttemptNumber, AttemptRecord, CancelledBy, FencingToken, PluginResult, PluginStatus, ScanRecord, ScanState,
    };
    use crate::testing::fixtures;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn scan(state: ScanState, selected: &[&str], plugins: &[(&str, PluginStatus)]) -> ScanSnapshot {
        let record = fixtures::record(1, at(0));
        let mut request = record.request.clone();
        request.options.plugins = selected.iter().map(|name| (*name).to_owned()).collect();
        let plugins = plugins
            .iter()
            .map(|(name, status)| PluginResult { findings_count: 2, ..PluginResult::new(*name, *status) });
        let attempt = AttemptRecord {
            number: AttemptNumber(1),
            token: FencingToken(1),
            node: "a".parse().unwrap(),
            due: None,
            started_at: at(20),
            ended_at: None,
            end: None,
            scanner: None,
        };
        ScanSnapshot::of(ScanRecord {
            request,
            state,
            plugins: plugins.collect(),
            started_at: Some(at(10)),
            attempts: vec![attempt],
            ..record
        })
    }

    fn running() -> ScanState {
        ScanState::Running { attempt: AttemptNumber(1), node: "a".parse().unwrap(), since: at(20) }
    }

    #[test]
    fn overview_counts_the_checks_of_the_scan_only() {
        use PluginStatus::{Completed, Failed, InProgress, Pending, Skipped, Unavailable};
        for (selected, plugins, ended, total, percent) in [
            (&[][..], &[][..], 0, 0, None),
            (&["a", "b"], &[], 0, 2, Some(0)),
            (&[], &[("a", Completed), ("b", InProgress), ("c", Pending)], 1, 3, Some(33)),
            (&[], &[("a", Failed), ("b", Unavailable), ("c", Skipped)], 3, 3, Some(100)),
            // The scanner skips what was not selected.
            (&["a"], &[("a", InProgress), ("b", Skipped), ("c", Skipped)], 0, 1, Some(0)),
        ] {
            let overview = ScanOverview::of(&scan(running(), selected, plugins));
            assert_eq!((overview.ended, overview.total, overview.percent), (ended, total, percent), "{plugins:?}");
            assert_eq!((overview.plugins, overview.items), (plugins.len(), 2 * plugins.len() as u64));
            assert_eq!(overview.progress().is_some(), total > 0);
        }
        let overview = ScanOverview::of(&scan(running(), &[], &[("a", Failed), ("b", Unavailable), ("c", InProgress)]));
        assert_eq!((overview.failed, overview.running), (1, vec!["c".to_owned()]));
    }

    #[test]
    fn clocks_of_a_scan_stop_with_its_end() {
        let now = at(50);
        let overview = ScanOverview::of(&scan(running(), &[], &[]));
        let seconds = SignedDuration::from_secs;
        assert_eq!(
            (overview.elapsed(now), overview.duration(now), overview.took()),
            (seconds(30), Some(seconds(40)), None)
        );
        let cancelled = ScanState::Cancelled { at: at(25), by: CancelledBy::User };
        let overview = ScanOverview::of(&scan(cancelled, &[], &[]));
        assert_eq!((overview.duration(now), overview.took()), (Some(seconds(15)), Some(seconds(15))));
    }
}
