//! A value, as far as it matters.

/// A value of any kind; the contents of lists and objects are passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) enum Value {
    /// A text, cut to the bound that was asked with.
    Text(String),
    /// Anything without quotes or brackets: a number, `true`, `null`, `NaN`, `None`, or nothing at
    /// all.
    Bare(String),
    /// A list.
    List,
    /// An object.
    Object,
}

impl Value {
    /// The text, if it is one.
    pub(in crate::adapters::kast_runner) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bare(_) | Self::List | Self::Object => None,
        }
    }

    /// A text, or a number as it is written: what can name something.
    pub(in crate::adapters::kast_runner) fn into_name(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bare(word) if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => Some(word),
            Self::Bare(_) | Self::List | Self::Object => None,
        }
    }

    /// Whether it is `false`, in Python's or JSON's spelling.
    pub(in crate::adapters::kast_runner) fn is_false(&self) -> bool {
        matches!(self, Self::Bare(word) if word.eq_ignore_ascii_case("false"))
    }

    /// Whether it is absent or as good as that.
    pub(in crate::adapters::kast_runner) fn is_nothing(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::Bare(word) => matches!(word.as_str(), "" | "null" | "None"),
            Self::List | Self::Object => false,
        }
    }

    /// The number as a count, at most `most`; `None` for what is no number.
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
        // Without this, `NaN`, `inf` and `infinity` would be numbers.
        if !word.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let whole = word.parse::<u64>().ok();
        whole.or_else(|| word.parse::<f64>().ok().map(|number| number as u64)).map(|count| count.min(most))
    }
}
