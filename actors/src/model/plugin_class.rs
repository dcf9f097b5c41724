//! What each state of a plugin means, and how it is named for people. Pages, command line, API and
//! metrics take it from this table, so that a new state is described once.

use super::PluginStatus;

/// The class of a plugin's state, which decides how it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginClass {
    /// The plugin has not started yet.
    Waiting,
    /// The plugin runs.
    Running,
    /// The plugin ran to its end.
    Ok,
    /// The plugin did not run, on purpose.
    LeftOut,
    /// The plugin did not run to its end, and should have. Its message has the reason.
    Problem,
}

/// A plugin's state in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginText {
    /// The word for the state. It follows a name or stands alone: `not run`.
    pub word: &'static str,
    /// The word after a number of plugins in a summary: `2 not installed`.
    pub gap: &'static str,
    /// The end of the sentence `2 of 3 plugins …`, for a scan that checked nothing.
    pub ended: &'static str,
    /// The heading of a list of the plugins in this state.
    pub cause: &'static str,
    /// Why the plugin shows no issue.
    pub no_issues: &'static str,
    /// The reason, if the plugin has no message of its own. Empty if none is needed.
    pub no_message: &'static str,
}

impl PluginStatus {
    /// Returns the class of the state.
    #[must_use]
    pub const fn class(self) -> PluginClass {
        self.meaning().0
    }

    /// Returns the state in words.
    #[must_use]
    pub const fn text(self) -> PluginText {
        self.meaning().1
    }

    const fn meaning(self) -> (PluginClass, PluginText) {
        match self {
            Self::Pending => (
                PluginClass::Waiting,
                PluginText {
                    word: "queued",
                    gap: "unfinished",
                    ended: "unfinished",
                    cause: "Unfinished",
                    no_issues: "Not checked yet: the plugin has not started.",
                    no_message: "",
                },
            ),
            Self::InProgress => (
                PluginClass::Running,
                PluginText {
                    word: "running",
                    gap: "unfinished",
                    ended: "unfinished",
                    cause: "Unfinished",
                    no_issues: "No issues yet.",
                    no_message: "",
                },
            ),
            Self::Completed => (
                PluginClass::Ok,
                PluginText {
                    word: "completed",
                    gap: "completed",
                    ended: "completed",
                    cause: "Completed",
                    no_issues: "No issues found.",
                    no_message: "",
                },
            ),
            Self::Failed => (
                PluginClass::Problem,
                PluginText {
                    word: "failed",
                    gap: "failed",
                    ended: "failed",
                    cause: "Failed",
                    no_issues: "Not checked: the plugin failed.",
                    no_message: "Failed without a message. See the log.",
                },
            ),
            Self::Skipped => (
                PluginClass::LeftOut,
                PluginText {
                    word: "skipped",
                    gap: "skipped",
                    ended: "skipped by the scanner",
                    cause: "Skipped by the scanner",
                    no_issues: "Not checked: the scanner skipped the plugin.",
                    no_message: "Skipped by the scanner.",
                },
            ),
            Self::Unavailable => (
                PluginClass::Problem,
                PluginText {
                    word: "unavailable",
                    gap: "not installed",
                    ended: "not available",
                    cause: "Tool not installed",
                    no_issues: "Not checked: its tool is not installed.",
                    no_message: "Tool not installed on the node that ran the scan.",
                },
            ),
            Self::Interrupted => (
                PluginClass::Problem,
                PluginText {
                    word: "interrupted",
                    gap: "interrupted",
                    ended: "interrupted",
                    cause: "Interrupted",
                    no_issues: "Not checked: the plugin was interrupted.",
                    no_message: "Still running when the attempt ended.",
                },
            ),
            Self::NotRun => (
                PluginClass::Problem,
                PluginText {
                    word: "not run",
                    gap: "not run",
                    ended: "not run",
                    cause: "Not run",
                    no_issues: "Not run: the attempt ended before the plugin started.",
                    no_message: "Not started before the attempt ended.",
                },
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Coverage;

    #[test]
    fn classes_agree_with_the_ends_and_the_gaps() {
        for status in PluginStatus::ALL {
            let (class, text) = (status.class(), status.text());
            let is_open = matches!(class, PluginClass::Waiting | PluginClass::Running);
            assert_eq!(!is_open, status.is_final(), "{status}");
            let is_gap = matches!(class, PluginClass::LeftOut | PluginClass::Problem);
            assert_eq!(is_gap, Coverage::GAPS.contains(status), "{status}");
            assert_eq!(is_gap, !text.no_message.is_empty(), "{status}: a plugin without a result has a reason");
            assert!(!text.word.is_empty() && !text.no_issues.is_empty(), "{status}");
            assert_eq!(text.no_issues == "No issues found.", class == PluginClass::Ok, "{status}: only that is clean");
        }
    }
}
