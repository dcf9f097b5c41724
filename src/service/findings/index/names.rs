//! Texts that many findings share, each once.

use std::collections::HashMap;
use std::sync::Arc;

/// A text, with its lower-case form where that differs.
#[derive(Debug, Clone)]
pub(super) struct Text {
    shown: Box<str>,
    lower: Option<Box<str>>,
}

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let lower = text.to_lowercase();
        Self { shown: text.into(), lower: (lower != text).then(|| lower.into()) }
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns true if the text is a text that is in lower case, in any case.
    pub(super) fn is(&self, lower: &str) -> bool {
        self.lower.as_deref().unwrap_or(&self.shown) == lower
    }

    /// Returns true if the text has a word that is in lower case, in any case.
    pub(super) fn has(&self, word: &str) -> bool {
        self.lower.as_deref().unwrap_or(&self.shown).contains(word)
    }
}

/// The number of a text in its [`Names`].
pub(super) type Name = u32;

/// Texts with numbers. A text keeps its number while the process runs.
#[derive(Debug, Default)]
pub(super) struct Names {
    texts: Vec<Text>,
    numbers: HashMap<Arc<str>, Name>,
}

impl Names {
    /// Returns the number of a text, a new one if it has none.
    pub(super) fn add(&mut self, text: &str) -> Name {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        // There is less than one text a finding.
        let number = Name::try_from(self.texts.len()).unwrap_or(Name::MAX);
        self.texts.push(Text::new(text));
        self.numbers.insert(text.into(), number);
        number
    }

    /// Returns the text with this number.
    pub(super) fn get(&self, number: Name) -> &str {
        self.texts.get(number as usize).map_or("", Text::shown)
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Returns for each number whether its text fulfils a condition.
    pub(super) fn mark(&self, holds: impl FnMut(&Text) -> bool) -> Vec<bool> {
        self.texts.iter().map(holds).collect()
    }
}
