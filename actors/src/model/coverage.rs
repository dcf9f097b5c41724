//! The coverage of a scan: which of its checks ran to their end, which did not, and why not.

use super::{PluginResult, PluginStatus, ScanRequest};

/// The checks of a scan, grouped by how they ended. A check is a plugin that the scan selected.
///
/// - A plugin that the user's own selection excludes is not a check of the scan: it is in
///   `left_out` and in no number.
/// - A selected plugin that is missing from an ended scan has not run.
/// - A dry run never checks anything: it has no gaps, and it is not complete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// True if the scan was a dry run.
    pub dry_run: bool,
    /// Checks that ran to their end.
    pub completed: Vec<String>,
    /// Checks that failed.
    pub failed: Vec<String>,
    /// Checks that could not run because their tool is missing.
    pub unavailable: Vec<String>,
    /// Checks that the scanner skipped although they were selected.
    pub skipped: Vec<String>,
    /// Checks that had started when the attempt ended.
    pub interrupted: Vec<String>,
    /// Checks that had not started when the attempt ended.
    pub not_run: Vec<String>,
    /// Checks that wait or run while the attempt has not ended.
    pub unfinished: Vec<String>,
    /// Plugins that the user's selection excludes.
    pub left_out: Vec<String>,
}

impl Coverage {
    /// Computes the coverage from the plugins of a scan's last attempt. `left_out` holds the
    /// selected plugins that the mode excludes, as known at submission. `ended` is true when no
    /// part of the scan runs any more.
    #[must_use]
    pub fn of(request: &ScanRequest, left_out: &[String], plugins: &[PluginResult], ended: bool) -> Self {
        let mut coverage = Self { dry_run: request.dry_run, left_out: left_out.to_vec(), ..Self::default() };
        let is_selected = |name: &str| {
            request.plugins.is_empty() || request.plugins.iter().any(|selected| selected.eq_ignore_ascii_case(name))
        };
        for plugin in plugins {
            let status = if ended { plugin.status.when_attempt_ends() } else { plugin.status };
            let is_left_out = left_out.iter().any(|name| name.eq_ignore_ascii_case(&plugin.name));
            match status {
                // The submission excluded the plugin, and the scanner did not run it.
                PluginStatus::Skipped | PluginStatus::Unavailable | PluginStatus::NotRun | PluginStatus::Pending
                    if is_left_out => {}
                PluginStatus::Skipped if !is_selected(&plugin.name) => coverage.left_out.push(plugin.name.clone()),
                status => coverage.class_mut(status).push(plugin.name.clone()),
            }
        }
        let is_known = |name: &str| plugins.iter().any(|plugin| plugin.name.eq_ignore_ascii_case(name));
        for (at, name) in request.plugins.iter().enumerate() {
            if !is_known(name)
                && !request.plugins[..at].contains(name)
                && !left_out.iter().any(|one| one.eq_ignore_ascii_case(name))
            {
                let class = if ended { &mut coverage.not_run } else { &mut coverage.unfinished };
                class.push(name.clone());
            }
        }
        coverage
    }

    /// Returns the names of the checks in this state.
    #[must_use]
    pub fn names(&self, status: PluginStatus) -> &[String] {
        match status {
            PluginStatus::Completed => &self.completed,
            PluginStatus::Failed => &self.failed,
            PluginStatus::Unavailable => &self.unavailable,
            PluginStatus::Skipped => &self.skipped,
            PluginStatus::Interrupted => &self.interrupted,
            PluginStatus::NotRun => &self.not_run,
            PluginStatus::Pending | PluginStatus::InProgress => &self.unfinished,
        }
    }

    const fn class_mut(&mut self, status: PluginStatus) -> &mut Vec<String> {
        match status {
            PluginStatus::Completed => &mut self.completed,
            PluginStatus::Failed => &mut self.failed,
            PluginStatus::Unavailable => &mut self.unavailable,
            PluginStatus::Skipped => &mut self.skipped,
            PluginStatus::Interrupted => &mut self.interrupted,
            PluginStatus::NotRun => &mut self.not_run,
            PluginStatus::Pending | PluginStatus::InProgress => &mut self.unfinished,
        }
    }

    /// The states of a check that count as a gap.
    pub const GAPS: [PluginStatus; 5] = [
        PluginStatus::Failed,
        PluginStatus::Unavailable,
        PluginStatus::Skipped,
        PluginStatus::Interrupted,
        PluginStatus::NotRun,
    ];

    /// Returns the number of checks that ran to their end.
    #[must_use]
    pub const fn ran(&self) -> usize {
        self.completed.len()
    }

    /// Returns the number of checks of the scan.
    #[must_use]
    pub fn total(&self) -> usize {
        self.ran() + self.unfinished.len() + Self::GAPS.iter().map(|status| self.names(*status).len()).sum::<usize>()
    }

    /// Returns the number of checks that did not run to their end and will not. A dry run has none.
    #[must_use]
    pub fn gaps(&self) -> usize {
        if self.dry_run { 0 } else { Self::GAPS.iter().map(|status| self.names(*status).len()).sum() }
    }

    /// Returns true if there is at least one check and every check ran to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.nothing_checked() && self.gaps() == 0 && self.unfinished.is_empty()
    }

    /// Returns true if no check ran to its end. A dry run checks nothing.
    #[must_use]
    pub const fn nothing_checked(&self) -> bool {
        self.dry_run || self.completed.is_empty()
    }

    /// Returns the coverage as a short text: `10 of 12 checks ran`, `no checks ran`,
    /// `not run: dry run`.
    #[must_use]
    pub fn label(&self) -> String {
        match (self.dry_run, self.total()) {
            (true, _) => "not run: dry run".into(),
            (false, 0) => "no checks ran".into(),
            (false, total) => format!("{} of {total} checks ran", self.ran()),
        }
    }

    /// Returns the number of gaps as a short text, such as `2 gaps`, if there are any.
    #[must_use]
    pub fn gaps_label(&self) -> Option<String> {
        match self.gaps() {
            0 => None,
            1 => Some("1 gap".into()),
            gaps => Some(format!("{gaps} gaps")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PluginStatus::{Completed, Failed, InProgress, Interrupted, NotRun, Pending, Skipped, Unavailable};
    use super::*;
    use crate::testing::fixtures;

    fn plugins(states: &[(&str, PluginStatus)]) -> Vec<PluginResult> {
        states.iter().map(|(name, status)| PluginResult::new(*name, *status)).collect()
    }

    #[test]
    fn each_check_counts_once_and_in_its_class() {
        let ten = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(|name| (name, Completed));
        let with = |more: &[(&'static str, PluginStatus)]| [&ten[..], more].concat();
        // selected, plugins, dry run, ended: ran, total, gaps, complete, nothing checked, label.
        for (selected, states, dry_run, ended, numbers, is_complete, nothing, label) in [
            (&[][..], with(&[]), false, true, (10, 10, 0), true, false, "10 of 10 checks ran"),
            (
                &[],
                with(&[("k", Failed), ("l", Unavailable)]),
                false,
                true,
                (10, 12, 2),
                false,
                false,
                "10 of 12 checks ran",
            ),
            (
                &[],
                with(&[("k", Interrupted), ("l", NotRun)]),
                false,
                true,
                (10, 12, 2),
                false,
                false,
                "10 of 12 checks ran",
            ),
            // The scanner skipped a plugin that the user did not exclude.
            (&[], with(&[("k", Skipped)]), false, true, (10, 11, 1), false, false, "10 of 11 checks ran"),
            // The user's own selection.
            (
                &["a"],
                vec![("a", Completed), ("b", Skipped), ("c", Skipped)],
                false,
                true,
                (1, 1, 0),
                true,
                false,
                "1 of 1 checks ran",
            ),
            (
                &["a", "b"],
                vec![("a", Completed), ("b", Skipped)],
                false,
                true,
                (1, 2, 1),
                false,
                false,
                "1 of 2 checks ran",
            ),
            // A dependency that ran with the selected ones is a check as well.
            (&["b"], vec![("a", Failed), ("b", Completed)], false, true, (1, 2, 1), false, false, "1 of 2 checks ran"),
            // Selected, but never reported by the scanner.
            (&["zap"], vec![], false, true, (0, 1, 1), false, true, "0 of 1 checks ran"),
            (&["a", "zap", "zap"], vec![("A", Completed)], false, true, (1, 2, 1), false, false, "1 of 2 checks ran"),
            (&[], vec![("a", Failed), ("b", Unavailable)], false, true, (0, 2, 2), false, true, "0 of 2 checks ran"),
            (&[], vec![], false, true, (0, 0, 0), false, true, "no checks ran"),
            // An old row of an ended scan.
            (
                &[],
                vec![("a", Completed), ("b", InProgress), ("c", Pending)],
                false,
                true,
                (1, 3, 2),
                false,
                false,
                "1 of 3 checks ran",
            ),
            // While it runs.
            (
                &[],
                vec![("a", Completed), ("b", InProgress), ("c", Pending)],
                false,
                false,
                (1, 3, 0),
                false,
                false,
                "1 of 3 checks ran",
            ),
            (&["a", "b"], vec![], false, false, (0, 2, 0), false, true, "0 of 2 checks ran"),
            // A dry run.
            (&[], vec![], true, true, (0, 0, 0), false, true, "not run: dry run"),
            (&["a"], vec![("a", Completed)], true, true, (1, 1, 0), false, true, "not run: dry run"),
            (&["a"], vec![("a", Skipped)], true, true, (0, 1, 0), false, true, "not run: dry run"),
        ] {
            let request = ScanRequest {
                plugins: selected.iter().map(ToString::to_string).collect(),
                dry_run,
                ..fixtures::request("example.com")
            };
            let coverage = Coverage::of(&request, &[], &plugins(&states), ended);
            assert_eq!((coverage.ran(), coverage.total(), coverage.gaps()), numbers, "{selected:?} {states:?}");
            assert_eq!(
                (coverage.is_complete(), coverage.nothing_checked()),
                (is_complete, nothing),
                "{selected:?} {states:?}"
            );
            assert_eq!(coverage.label(), label, "{selected:?} {states:?}");
        }
    }

    #[test]
    fn plugin_left_out_at_submission_is_no_check() {
        let request = ScanRequest { plugins: vec!["a".into(), "zap".into()], ..fixtures::request("example.com") };
        let left_out = vec!["zap".to_owned()];
        for (states, numbers) in [
            (vec![("a", Completed)], (1, 1, 0)),
            (vec![("a", Completed), ("zap", Completed)], (2, 2, 0)),
            (vec![], (0, 1, 1)),
            // The scanner lists the excluded plugin anyway.
            (vec![("a", Completed), ("zap", Skipped)], (1, 1, 0)),
            (vec![("a", Completed), ("ZAP", Skipped)], (1, 1, 0)),
            (vec![("a", Completed), ("zap", Unavailable)], (1, 1, 0)),
            (vec![("a", Completed), ("zap", Pending)], (1, 1, 0)),
            // It ran although it was excluded; its failure is a gap.
            (vec![("a", Completed), ("zap", Failed)], (1, 2, 1)),
            (vec![("a", Completed), ("zap", InProgress)], (1, 2, 1)),
            (vec![("a", Skipped), ("zap", Skipped)], (0, 1, 1)),
        ] {
            let coverage = Coverage::of(&request, &left_out, &plugins(&states), true);
            assert_eq!((coverage.ran(), coverage.total(), coverage.gaps()), numbers, "{states:?}");
            assert_eq!(coverage.left_out, left_out, "{states:?}: named once");
        }
        let waits = Coverage::of(&request, &left_out, &plugins(&[("a", InProgress), ("zap", Pending)]), false);
        assert_eq!((waits.total(), waits.unfinished.as_slice()), (1, ["a".to_owned()].as_slice()));
    }

    #[test]
    fn every_state_has_its_names() {
        let all: Vec<PluginResult> =
            PluginStatus::ALL.iter().map(|status| PluginResult::new(status.as_str(), *status)).collect();
        let request = fixtures::request("example.com");
        let running = Coverage::of(&request, &[], &all, false);
        for status in PluginStatus::ALL {
            assert!(running.names(*status).contains(&status.to_string()), "{status}");
        }
        assert_eq!(
            (running.unfinished.len(), running.total(), running.gaps_label().as_deref()),
            (2, 8, Some("5 gaps"))
        );
        let ended = Coverage::of(&request, &[], &all, true);
        assert_eq!(ended.not_run, ["pending", "not_run"]);
        assert_eq!(ended.interrupted, ["in_progress", "interrupted"]);
        assert_eq!((ended.unfinished.len(), ended.gaps_label().as_deref()), (0, Some("7 gaps")));
    }
}
