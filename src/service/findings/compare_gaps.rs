//! What the later scan of a comparison did not check completely. Without that, a comparison in
//! which nothing is new and nothing is fixed looks as if nothing had changed.

use std::collections::BTreeMap;

use kastrel_findings::lifecycle::{Check, PluginEnd};

/// A plugin of a scan: its key, how it ended, and whether its result was read completely.
pub type EndedCheck<'a> = (&'a str, PluginEnd, bool);

/// The checks of the later scan that were not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompareGaps {
    /// The plugins with the reasons, by plugin: `testssl: the plugin failed`.
    pub unchecked: Vec<String>,
    /// True if a check was complete.
    has_checked: bool,
}

impl CompareGaps {
    /// Compares the checks of two scans. A plugin that only the earlier scan completed is a gap
    /// too.
    #[must_use]
    pub fn of<'a>(
        earlier: impl IntoIterator<Item = EndedCheck<'a>>,
        later: impl IntoIterator<Item = EndedCheck<'a>>,
    ) -> Self {
        let later: BTreeMap<&str, Check> =
            later.into_iter().map(|(plugin, end, is_read)| (plugin, end.check(is_read))).collect();
        let incomplete = later.iter().filter(|(_, check)| !check.proves_absence());
        let mut gaps: BTreeMap<&str, &str> = incomplete.map(|(plugin, check)| (*plugin, check.reason())).collect();
        for (plugin, end, is_read) in earlier {
            if end.check(is_read).proves_absence() && !later.contains_key(plugin) {
                gaps.insert(plugin, "the scan did not have it");
            }
        }
        Self {
            unchecked: gaps.into_iter().map(|(plugin, reason)| format!("{plugin}: {reason}")).collect(),
            has_checked: later.values().any(|check| check.proves_absence()),
        }
    }

    /// Returns what is said of a comparison with this number of findings that are new, fixed or not
    /// checked; `None` if they say it.
    #[must_use]
    pub fn outcome(&self, changed: usize) -> Option<&'static str> {
        match (changed, self.has_checked) {
            (0, true) if self.unchecked.is_empty() => Some("Nothing changed."),
            (0, true) => Some("No change is known, and not everything was checked."),
            (0, false) => Some("No change is known: nothing was checked completely."),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: EndedCheck<'static> = ("testssl", PluginEnd::Completed, true);

    #[test]
    fn nothing_changed_only_if_all_checks_were_complete() {
        let zap = |end, is_read| ("zap", end, is_read);
        let all: &[EndedCheck<'_>] = &[DONE, zap(PluginEnd::Completed, true)];
        let in_part = "No change is known, and not everything was checked.";
        for (earlier, later, unchecked, said) in [
            (all, all, "", "Nothing changed."),
            (&[DONE][..], all, "", "Nothing changed."),
            (all, &[DONE, zap(PluginEnd::Failed, false)][..], "zap: the plugin failed", in_part),
            (all, &[DONE, zap(PluginEnd::Completed, false)], "zap: the result could not be read completely", in_part),
            (all, &[DONE], "zap: the scan did not have it", in_part),
            (&[DONE, zap(PluginEnd::TimedOut, false)], &[DONE], "", "Nothing changed."),
            (&[], &[], "", "No change is known: nothing was checked completely."),
            (
                &[DONE],
                &[("testssl", PluginEnd::DryRun, false)],
                "testssl: it was a dry run",
                "No change is known: nothing was checked completely.",
            ),
        ] {
            let gaps = CompareGaps::of(earlier.iter().copied(), later.iter().copied());
            assert_eq!(gaps.unchecked.join("; "), unchecked, "{later:?}");
            assert_eq!(gaps.outcome(0), Some(said), "{later:?}");
            assert_eq!(gaps.outcome(1), None);
        }
    }
}
