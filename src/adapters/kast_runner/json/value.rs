//! The values that the reader returns.

/// A value of any kind, without the contents of lists and objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) enum Value {
    /// A text, cut at the caller's limit.
    Text(String),
    /// A value without quotes or brackets: a number, `true`, `null`, `NaN`, `None`, or an empty
    /// word.
    Bare(String),
    /// A list.
    List,
    /// An object.
    Object,
}

impl Value {
    /// Returns the text, or `None` for other kinds.
    pub(in crate::adapters::kast_runner) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bare(_) | Self::List | Self::Object => None,
        }
    }

    /// Returns a text, or a number in its original notation. Both can be names.
    pub(in crate::adapters::kast_runner) fn into_name(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bare(word) if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => Some(word),
            Self::Bare(_) | Self::List | Self::Object => None,
        }
    }

    /// Returns true for `false`, in the spelling of Python or JSON.
    pub(in crate::adapters::kast_runner) fn is_false(&self) -> bool {
        matches!(self, Self::Bare(word) if word.eq_ignore_ascii_case("false"))
    }

    /// Returns true if the value is empty or null.
    pub(in crate::adapters::kast_runner) fn is_nothing(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Bare(word) => matches!(word.as_str(), "" | "null" | "None"),
            Self::List | Self::Object => false,
        }
    }

    /// Returns the number as a count of at most `most`. Returns `None` if the value is not a
    /// number.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and negative numbers become 0"
    )]
    pub(in crate::adapters::kast_runner) fn count(&self, most: u64) -> Option<u64> {
        let word = match self {
            Self::Text(text) => text.trim(),
            Self::Bare(word) => word,
            Self::List | Self::Object => return None,
        };
        // Without this check, `NaN`, `inf` and `infinity` would be numbers.
        if !word.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let whole = word.parse::<u64>().ok();
        whole.or_else(|| word.parse::<f64>().ok().map(|number| number as u64)).map(|count| count.min(most))
    }
}
