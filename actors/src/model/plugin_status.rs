//! The states of a plugin, and the one table of what each state means and how it is shown. Pages,
//! API, command line and telemetry take it from here, so that a new state is described once:
//! `tests/architecture.rs` fails when another production file names a state, except where the
//! runner reads results.

use kastrel_findings::lifecycle::PluginEnd;

named_enum! {
    /// The state of a plugin, in the words of the status API.
    pub enum PluginStatus {
        /// Not started yet.
        Pending = "pending",
        /// Started.
        InProgress = "in_progress",
        /// Ended successfully.
        Completed = "completed",
        /// Failed; the message has the reason.
        Failed = "failed",
        /// Left out on purpose.
        Skipped = "skipped",
        /// The plugin's tool is missing on the node.
        Unavailable = "unavailable",
        /// Had started when the attempt ended.
        Interrupted = "interrupted",
        /// Had not started when the attempt ended.
        NotRun = "not_run",
    }
}

/// The class of a plugin's state, which decides how it counts.
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

/// The colour of a plugin's state, on pages and in terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginTone {
    /// The plugin waits.
    Waiting,
    /// The plugin runs.
    Running,
    /// A success.
    Good,
    /// A failure.
    Bad,
    /// A gap that may need attention.
    Warning,
    /// A gap on purpose.
    Quiet,
}

impl PluginTone {
    /// Returns the tone's name in the style sheet, without its prefix `is-`.
    #[must_use]
    pub const fn css_class(self) -> &'static str {
        match self {
            Self::Waiting => "pending",
            Self::Running => "running",
            Self::Good => "completed",
            Self::Bad => "failed",
            Self::Warning => "warning",
            Self::Quiet => "quiet",
        }
    }
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

/// A row of the table.
struct Meaning {
    class: PluginClass,
    tone: PluginTone,
    /// The symbol in `templates/icons.svg`, without its prefix `i-`.
    icon: &'static str,
    /// The mark before a plugin's line in a terminal.
    glyph: &'static str,
    has_started: bool,
    has_failed: bool,
    when_attempt_ends: PluginStatus,
    check_end: PluginEnd,
    text: PluginText,
}

impl PluginStatus {
    /// The state of a plugin that has not started, while the attempt may still start it.
    pub const INITIAL: Self = Self::Pending;

    /// The state of a plugin that had not started when the attempt ended.
    pub const MISSED: Self = Self::INITIAL.when_attempt_ends();

    /// The states that are gaps of a scan's coverage, in the order in which they are named.
    pub const GAPS: [Self; 5] = [Self::Failed, Self::Unavailable, Self::Skipped, Self::Interrupted, Self::NotRun];

    /// Returns the class of the state.
    #[must_use]
    pub const fn class(self) -> PluginClass {
        self.meaning().class
    }

    /// Returns the state in words.
    #[must_use]
    pub const fn text(self) -> PluginText {
        self.meaning().text
    }

    /// Returns the colour of the state.
    #[must_use]
    pub const fn tone(self) -> PluginTone {
        self.meaning().tone
    }

    /// Returns the name of the state's symbol on pages. A plugin that waits or runs has the symbol
    /// of such a scan.
    #[must_use]
    pub const fn icon(self) -> &'static str {
        self.meaning().icon
    }

    /// Returns the mark of the state in a terminal: one character.
    #[must_use]
    pub const fn glyph(self) -> &'static str {
        self.meaning().glyph
    }

    /// Returns true if the plugin has started, whatever came after.
    #[must_use]
    pub const fn has_started(self) -> bool {
        self.meaning().has_started
    }

    /// Returns true if the plugin counts as failed: a gap of another kind does not.
    #[must_use]
    pub const fn has_failed(self) -> bool {
        self.meaning().has_failed
    }

    /// Returns true if the plugin's state will not change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self.class() {
            PluginClass::Waiting | PluginClass::Running => false,
            PluginClass::Ok | PluginClass::LeftOut | PluginClass::Problem => true,
        }
    }

    /// Returns the state after the end of the attempt.
    #[must_use]
    pub const fn when_attempt_ends(self) -> Self {
        self.meaning().when_attempt_ends
    }

    /// Returns how the plugin's check ended, for the findings of its target.
    #[must_use]
    pub const fn check_end(self) -> PluginEnd {
        self.meaning().check_end
    }

    const fn meaning(self) -> Meaning {
        match self {
            Self::Pending => Meaning {
                class: PluginClass::Waiting,
                tone: PluginTone::Waiting,
                icon: "pending",
                glyph: "·",
                has_started: false,
                has_failed: false,
                when_attempt_ends: Self::NotRun,
                check_end: PluginEnd::Cancelled,
                text: PluginText {
                    word: "queued",
                    gap: "unfinished",
                    ended: "unfinished",
                    cause: "Unfinished",
                    no_issues: "Not checked yet: the plugin has not started.",
                    no_message: "",
                },
            },
            Self::InProgress => Meaning {
                class: PluginClass::Running,
                tone: PluginTone::Running,
                icon: "running",
                glyph: "·",
                has_started: true,
                has_failed: false,
                when_attempt_ends: Self::Interrupted,
                check_end: PluginEnd::Cancelled,
                text: PluginText {
                    word: "running",
                    gap: "unfinished",
                    ended: "unfinished",
                    cause: "Unfinished",
                    no_issues: "No issues yet.",
                    no_message: "",
                },
            },
            Self::Completed => Meaning {
                class: PluginClass::Ok,
                tone: PluginTone::Good,
                icon: "completed",
                glyph: "✓",
                has_started: true,
                has_failed: false,
                when_attempt_ends: Self::Completed,
                check_end: PluginEnd::Completed,
                text: PluginText {
                    word: "completed",
                    gap: "completed",
                    ended: "completed",
                    cause: "Completed",
                    no_issues: "No issues found.",
                    no_message: "",
                },
            },
            Self::Failed => Meaning {
                class: PluginClass::Problem,
                tone: PluginTone::Bad,
                icon: "failed",
                glyph: "✗",
                has_started: true,
                has_failed: true,
                when_attempt_ends: Self::Failed,
                check_end: PluginEnd::Failed,
                text: PluginText {
                    word: "failed",
                    gap: "failed",
                    ended: "failed",
                    cause: "Failed",
                    no_issues: "Not checked: the plugin failed.",
                    no_message: "Failed without a message. See the log.",
                },
            },
            Self::Skipped => Meaning {
                class: PluginClass::LeftOut,
                tone: PluginTone::Quiet,
                icon: "skipped",
                glyph: "-",
                has_started: false,
                has_failed: false,
                when_attempt_ends: Self::Skipped,
                check_end: PluginEnd::Skipped,
                text: PluginText {
                    word: "skipped",
                    gap: "skipped",
                    ended: "skipped by the scanner",
                    cause: "Skipped by the scanner",
                    no_issues: "Not checked: the scanner skipped the plugin.",
                    no_message: "Skipped by the scanner.",
                },
            },
            Self::Unavailable => Meaning {
                class: PluginClass::Problem,
                tone: PluginTone::Warning,
                icon: "unavailable",
                glyph: "-",
                has_started: false,
                has_failed: false,
                when_attempt_ends: Self::Unavailable,
                check_end: PluginEnd::Unavailable,
                text: PluginText {
                    word: "unavailable",
                    gap: "not installed",
                    ended: "not available",
                    cause: "Tool not installed",
                    no_issues: "Not checked: its tool is not installed.",
                    no_message: "Tool not installed on the node that ran the scan.",
                },
            },
            Self::Interrupted => Meaning {
                class: PluginClass::Problem,
                tone: PluginTone::Warning,
                icon: "interrupted",
                glyph: "-",
                has_started: true,
                has_failed: false,
                when_attempt_ends: Self::Interrupted,
                check_end: PluginEnd::Cancelled,
                text: PluginText {
                    word: "interrupted",
                    gap: "interrupted",
                    ended: "interrupted",
                    cause: "Interrupted",
                    no_issues: "Not checked: the plugin was interrupted.",
                    no_message: "Still running when the attempt ended.",
                },
            },
            Self::NotRun => Meaning {
                class: PluginClass::Problem,
                tone: PluginTone::Warning,
                icon: "not_run",
                glyph: "-",
                has_started: false,
                has_failed: false,
                when_attempt_ends: Self::NotRun,
                check_end: PluginEnd::Cancelled,
                text: PluginText {
                    word: "not run",
                    gap: "not run",
                    ended: "not run",
                    cause: "Not run",
                    no_issues: "Not run: the attempt ended before the plugin started.",
                    no_message: "Not started before the attempt ended.",
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_table_agree_with_their_class() {
        for status in PluginStatus::ALL {
            let (class, text) = (status.class(), status.text());
            let end = status.when_attempt_ends();
            assert!(end.is_final() && end.has_started() == status.has_started(), "{status}");
            assert_eq!(status.is_final(), end == *status, "{status}: a final state stays");
            let is_gap = matches!(class, PluginClass::LeftOut | PluginClass::Problem);
            assert_eq!(is_gap, PluginStatus::GAPS.contains(status), "{status}");
            assert_eq!(is_gap, !text.no_message.is_empty(), "{status}: a plugin without a result has a reason");
            assert!(!text.word.is_empty() && !text.no_issues.is_empty(), "{status}");
            assert_eq!(text.no_issues == "No issues found.", class == PluginClass::Ok, "{status}: only that is clean");
            assert_eq!(status.tone() == PluginTone::Good, class == PluginClass::Ok, "{status}: only that is green");
            assert!(!status.has_failed() || class == PluginClass::Problem, "{status}");
            assert_eq!(status.glyph().chars().count(), 1, "{status}");
        }
        assert_eq!((PluginStatus::INITIAL.class(), PluginStatus::MISSED), (PluginClass::Waiting, PluginStatus::NotRun));
    }
}
