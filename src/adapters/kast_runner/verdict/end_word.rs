//! The words for the end of a plugin.
//!
//! KAST uses `success` and `fail` as the disposition of a result. In `kast_info.json`, the status
//! is that disposition, or one of KAST's own words: `failed` after an exception, `unavailable`,
//! `skipped`, or `unknown` for a result without a disposition. A result is good only if its word is
//! known to be good: a plugin with the word `timeout` or `partial` has not completed its checks.

use kastrel_actors::model::PluginStatus;

use super::super::text::clean;

const MOST_WORD_CHARS: usize = 40;

/// The meaning of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EndWord {
    /// The plugin succeeded.
    Good,
    /// There is no word.
    Silent,
    /// The scanner does not know how it ended.
    Unknown,
    /// The plugin was skipped.
    Skipped,
    /// The plugin's tool is missing.
    Unavailable,
    /// The plugin failed.
    Failed,
    /// An undefined word, safe to show.
    Other(String),
}

impl EndWord {
    /// Parses a word.
    pub(super) fn read(word: &str) -> Self {
        match word.trim().to_lowercase().as_str() {
            "" => Self::Silent,
            // KAST's own word, and those that third-party plugins use instead.
            "success" | "succeeded" | "successful" | "completed" | "ok" => Self::Good,
            "fail" | "failed" | "error" => Self::Failed,
            "skipped" => Self::Skipped,
            "unavailable" => Self::Unavailable,
            "unknown" => Self::Unknown,
            _ => Self::Other(
                Some(clean(word, MOST_WORD_CHARS)).filter(|word| !word.is_empty()).unwrap_or_else(|| "?".into()),
            ),
        }
    }

    /// The rank of an end: the worse of two ends counts.
    pub(super) const fn badness(&self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Skipped => 1,
            Self::Unavailable => 2,
            Self::Silent | Self::Unknown | Self::Other(_) | Self::Failed => 3,
        }
    }

    /// The status of a plugin that states this word itself; `None` without a word.
    pub(super) const fn stated(&self) -> Option<PluginStatus> {
        match self {
            Self::Silent => None,
            Self::Good => Some(PluginStatus::Completed),
            Self::Skipped => Some(PluginStatus::Skipped),
            Self::Unavailable => Some(PluginStatus::Unavailable),
            Self::Unknown | Self::Failed | Self::Other(_) => Some(PluginStatus::Failed),
        }
    }

    /// The word, if it is the only information about a failure.
    pub(super) fn odd_word(&self) -> Option<&str> {
        match self {
            Self::Other(word) => Some(word),
            Self::Unknown => Some("unknown"),
            Self::Good | Self::Silent | Self::Skipped | Self::Unavailable | Self::Failed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_good_words_count_as_good() {
        for word in ["success", " Success ", "SUCCESS", "succeeded", "completed", "ok"] {
            assert_eq!(EndWord::read(word), EndWord::Good, "{word}");
        }
        for word in [
            "timeout",
            "partial",
            "aborted",
            "cancelled",
            "incomplete",
            "warning",
            "success?",
            "not ok",
            "unsuccessful",
            "interrupted",
            "n/a",
            "true",
            "0",
        ] {
            assert_eq!(EndWord::read(word).stated(), Some(PluginStatus::Failed), "{word}");
            assert_eq!(EndWord::read(word).odd_word(), Some(word), "{word}");
        }
        for (word, read) in [
            ("", EndWord::Silent),
            (" ", EndWord::Silent),
            ("Fail", EndWord::Failed),
            ("ERROR", EndWord::Failed),
            ("unknown", EndWord::Unknown),
        ] {
            assert_eq!(EndWord::read(word), read, "{word}");
        }
        assert_eq!(EndWord::read("novel\u{1b}[31m"), EndWord::Other("novel".into()));
        assert_eq!(
            EndWord::read("\u{1b}[31m"),
            EndWord::Other("?".into()),
            "a word of which nothing can be shown is a word"
        );
    }
}
