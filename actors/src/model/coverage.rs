//! The coverage of a scan: which of its checks ran to their end, which did not, and why not.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{PluginClass, PluginResult, PluginStatus, ScanRequest};

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
    /// The checks by the state in which they ended. Those that wait or run share one list.
    checks: BTreeMap<PluginStatus, Vec<String>>,
    /// Plugins that the user's selection excludes.
    pub left_out: Vec<String>,
}

impl Coverage {
    /// Creates a coverage without checks.
    #[must_use]
    pub const fn new(dry_run: bool, left_out: Vec<String>) -> Self {
        Self { dry_run, checks: BTreeMap::new(), left_out }
    }

    /// Computes the coverage from the plugins of a scan's last attempt. `left_out` holds the
    /// selected plugins that the mode excludes, as known at submission. `ended` is true when no
    /// part of the scan runs any more.
    #[must_use]
    pub fn of(request: &ScanRequest, left_out: &[String], plugins: &[PluginResult], ended: bool) -> Self {
        let mut coverage = Self::new(request.options.dry_run, left_out.to_vec());
        let is_selected = |name: &str| {
            request.options.plugins.is_empty()
                || request.options.plugins.iter().any(|selected| selected.eq_ignore_ascii_case(name))
        };
        for plugin in plugins {
            let status = if ended { plugin.status.when_attempt_ends() } else { plugin.status };
            let is_left_out = left_out.iter().any(|name| name.eq_ignore_ascii_case(&plugin.name));
            match status.class() {
                // The submission excluded the plugin, and the scanner did not run it.
                _ if is_left_out && !status.has_started() => {}
                PluginClass::LeftOut if !is_selected(&plugin.name) => coverage.left_out.push(plugin.name.clone()),
                _ => coverage.add(status, plugin.name.clone()),
            }
        }
        let is_known = |name: &str| plugins.iter().any(|plugin| plugin.name.eq_ignore_ascii_case(name));
        for (at, name) in request.options.plugins.iter().enumerate() {
            if !is_known(name)
                && !request.options.plugins[..at].contains(name)
                && !left_out.iter().any(|one| one.eq_ignore_ascii_case(name))
            {
                coverage.add(if ended { PluginStatus::MISSED } else { PluginStatus::INITIAL }, name.clone());
            }
        }
        coverage
    }

    /// Adds a check in this state.
    pub fn add(&mut self, status: PluginStatus, name: String) {
        self.checks.entry(list_of(status)).or_default().push(name);
    }

    /// Returns the names of the checks in this state.
    #[must_use]
    pub fn names(&self, status: PluginStatus) -> &[String] {
        self.checks.get(&list_of(status)).map_or(&[], Vec::as_slice)
    }

    /// Returns the names of the checks that wait or run while the attempt has not ended.
    #[must_use]
    pub fn unfinished(&self) -> &[String] {
        self.names(PluginStatus::INITIAL)
    }

    /// The states of a check that count as a gap, in the order in which they are named.
    pub const GAPS: [PluginStatus; 5] = PluginStatus::GAPS;

    /// Returns the number of checks that ran to their end.
    #[must_use]
    pub fn ran(&self) -> usize {
        self.checks.iter().filter(|(status, _)| status.class() == PluginClass::Ok).map(|(_, names)| names.len()).sum()
    }

    /// Returns the number of checks of the scan.
    #[must_use]
    pub fn total(&self) -> usize {
        self.checks.values().map(Vec::len).sum()
    }

    /// Returns the number of checks that did not run to their end and will not. A dry run has none.
    #[must_use]
    pub fn gaps(&self) -> usize {
        if self.dry_run { 0 } else { Self::GAPS.iter().map(|status| self.names(*status).len()).sum() }
    }

    /// Returns true if there is at least one check and every check ran to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.nothing_checked() && self.gaps() == 0 && self.unfinished().is_empty()
    }

    /// Returns true if no check ran to its end. A dry run checks nothing.
    #[must_use]
    pub fn nothing_checked(&self) -> bool {
        self.dry_run || self.ran() == 0
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

/// The state under which [`Coverage`] lists a check.
const fn list_of(status: PluginStatus) -> PluginStatus {
    match status.class() {
        PluginClass::Waiting | PluginClass::Running => PluginStatus::INITIAL,
        PluginClass::Ok | PluginClass::LeftOut | PluginClass::Problem => status,
    }
}

/// The names of the checks of each kind of gap. In JSON it is an object with a list for each state
/// of [`Coverage::GAPS`], which the API embeds in the coverage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GapNames(BTreeMap<PluginStatus, Vec<String>>);

impl GapNames {
    /// Returns the names of the checks in this state.
    #[must_use]
    pub fn of(&self, status: PluginStatus) -> &[String] {
        self.0.get(&status).map_or(&[], Vec::as_slice)
    }
}

impl From<&Coverage> for GapNames {
    fn from(coverage: &Coverage) -> Self {
        Self(Coverage::GAPS.iter().map(|status| (*status, coverage.names(*status).to_vec())).collect())
    }
}

impl Serialize for GapNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Coverage::GAPS.iter().map(|status| (status.as_str(), self.of(*status))))
    }
}

/// One list, or anything else that a server of another version sends under the same name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Other(IgnoredAny),
}

impl<'de> Deserialize<'de> for GapNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields: BTreeMap<String, Names> = BTreeMap::deserialize(deserializer)?;
        let names = |status: &PluginStatus| match fields.remove(status.as_str()) {
            Some(Names::List(names)) => Some((*status, names)),
            Some(Names::Other(_)) | None => None,
        };
        Ok(Self(Coverage::GAPS.iter().filter_map(names).collect()))
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
            let mut request = fixtures::request("example.com");
            request.options.plugins = selected.iter().map(ToString::to_string).collect();
            request.options.dry_run = dry_run;
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
        let mut request = fixtures::request("example.com");
        request.options.plugins = vec!["a".into(), "zap".into()];
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
        assert_eq!((waits.total(), waits.unfinished()), (1, ["a".to_owned()].as_slice()));
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
            (running.unfinished().len(), running.total(), running.gaps_label().as_deref()),
            (2, 8, Some("5 gaps"))
        );
        let ended = Coverage::of(&request, &[], &all, true);
        assert_eq!(ended.names(NotRun), ["pending", "not_run"]);
        assert_eq!(ended.names(Interrupted), ["in_progress", "interrupted"]);
        assert_eq!((ended.unfinished().len(), ended.gaps_label().as_deref()), (0, Some("7 gaps")));
    }

    #[test]
    fn gap_names_are_a_list_for_each_state_and_read_leniently() {
        let request = fixtures::request("example.com");
        let coverage = Coverage::of(&request, &[], &plugins(&[("a", Failed), ("b", Completed)]), true);
        let json = r#"{"failed":["a"],"unavailable":[],"skipped":[],"interrupted":[],"not_run":[]}"#;
        let names = GapNames::from(&coverage);
        assert_eq!(serde_json::to_string(&names).unwrap(), json);
        assert_eq!(serde_json::from_str::<GapNames>(json).unwrap(), names);
        let other =
            serde_json::from_str::<GapNames>(r#"{"failed":7,"not_run":["c"],"later":{"x":1},"ran":2}"#).unwrap();
        assert_eq!((other.of(Failed), other.of(NotRun)), (&[][..], &["c".to_owned()][..]));
    }
}
