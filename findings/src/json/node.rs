//! The tree.

use crate::limits::{MOST_EVIDENCE_CHARS, MOST_TEXT_BYTES};

/// A value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A bare word: a number, `true`, `null`, `NaN`.
    Word(Box<str>),
    /// A text.
    Text(Box<str>),
    /// A list.
    List(Vec<Node>),
    /// An object.
    Object(Members),
}

/// The members of an object, in the order of their keys. A sorted list needs a tenth of the memory
/// of a map where objects are small.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(Vec<(Box<str>, Node)>);

impl Members {
    /// Creates the members. Of several with one key, the last counts.
    #[must_use]
    pub fn new(mut members: Vec<(Box<str>, Node)>) -> Self {
        members.reverse();
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        members.dedup_by(|(one, _), (other, _)| one == other);
        members.shrink_to_fit();
        Self(members)
    }

    /// Returns the value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        let at = self.0.binary_search_by(|(own, _)| (**own).cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Iterates over the members.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }
}

/// What stands for a missing value.
static NOTHING: Node = Node::List(Vec::new());

impl Node {
    /// Returns the member `key` of an object, or an empty list.
    #[must_use]
    pub fn get(&self, key: &str) -> &Self {
        self.find(key).unwrap_or(&NOTHING)
    }

    /// Returns the member `key` of an object.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(key),
            _ => None,
        }
    }

    /// Returns the members of an object, by key. Empty for other values.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Self)> {
        let members = match self {
            Self::Object(members) => Some(members),
            _ => None,
        };
        members.into_iter().flat_map(Members::iter)
    }

    /// Returns the elements of a list. Empty for other values.
    #[must_use]
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }

    /// Returns the elements of a list, or the object itself: some tools write a list of one element
    /// without its brackets.
    #[must_use]
    pub fn one_or_more(&self) -> &[Self] {
        match self {
            Self::List(elements) => elements,
            Self::Object(_) => std::slice::from_ref(self),
            _ => &[],
        }
    }

    /// Returns true for an object.
    #[must_use]
    pub const fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Returns a text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the text under `key`, if it is not blank.
    #[must_use]
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.find(key)?.text().filter(|text| !text.trim().is_empty())
    }

    /// Returns the text, the number or the truth value under `key` as text. `null` is nothing.
    #[must_use]
    pub fn word_of(&self, key: &str) -> Option<&str> {
        match self.find(key)? {
            Self::Text(text) if !text.trim().is_empty() => Some(text.trim()),
            Self::Word(word) if &**word != "null" => Some(word),
            _ => None,
        }
    }

    /// Returns true if the value under `key` is `true`.
    #[must_use]
    pub fn is_true(&self, key: &str) -> bool {
        self.word_of(key).is_some_and(|word| word.eq_ignore_ascii_case("true"))
    }

    /// Returns true if the value under `key` is `false`.
    #[must_use]
    pub fn is_false(&self, key: &str) -> bool {
        self.word_of(key).is_some_and(|word| word.eq_ignore_ascii_case("false"))
    }

    /// Returns the finite number under `key`, which may be a text.
    #[must_use]
    pub fn number_of(&self, key: &str) -> Option<f64> {
        self.word_of(key)?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Returns the texts of a list, or the text itself.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let own = self.text();
        own.into_iter().chain(self.list().iter().filter_map(Self::text))
    }
}

const _: () = assert!(MOST_TEXT_BYTES >= 4 * MOST_EVIDENCE_CHARS, "evidence of the longest characters fits");
