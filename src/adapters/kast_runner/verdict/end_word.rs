//! The words that say how a plugin ended.
//!
//! KAST knows `success` and `fail` as the disposition of a result. In `kast_info.json` the status
//! is that disposition, or one of its own words: `failed` after an exception, `unavailable`,
//! `skipped`, and `unknown` where a result has no disposition. Only a word that is known to be good
//! makes a result good: a plugin that says `timeout` or `partial` has not checked what it should
//! have.

use kastrel_actors::model::PluginStatus;

use super::super::text::clean;

const MOST_WORD_CHARS: usize = 40;

/// What a word means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EndWord {
    /// It ended well.
    Good,
    /// There is no word.
    Silent,
    /// The scanner does not know it.
    Unknown,
    /// It was left out.
    Skipped,
    /// Its tool is missing.
    Unavailable,
    /// It ended badly.
    Failed,
    /// A word that nobody defined, safe to show.
    Other(String),
}

impl EndWord {
    /// Reads a word.
    pub(super) fn read(word: &str) -> Self {
        match word.trim().to_lowercase().as_str() {
            "" => Self::Silent,
            // KAST's own word, and those that plugins of others write in its place.
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

    /// Of two ends the worse one counts.
    pub(super) const fn badness(&self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Skipped => 1,
            Self::Unavailable => 2,
            Self::Silent | Self::Unknown | Self::Other(_) | Self::Failed => 3,
        }
    }

    /// How a plugin ended that says this of itself; `None` where it says nothing.
    pub(super) const fn stated(&self) -> Option<PluginStatus> {
        match self {
            Self::Silent => None,
            Self::Good => Some(PluginStatus::Completed),
            Self::Skipped => Some(PluginStatus::Skipped),
            Self::Unavailable => Some(PluginStatus::Unavailable),
            Self::Unknown | Self::Failed | Self::Other(_) => Some(PluginStatus::Failed),
        }
    }

    /// The word, where it is the only thing that is known of a failure.
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
    fn only_a_word_that_is_known_to_be_good_is_good() {
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
