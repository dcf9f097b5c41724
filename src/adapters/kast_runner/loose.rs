//! Deserializing what may be of any shape: a value of another kind counts as absent, a long list is cut, and nothing that is not needed is kept.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The most elements that are kept of a list.
const MOST_LISTED: usize = 200;

/// The scalars that matter, of whatever came.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Loose {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// A list: the texts in it, and the `id`s of the objects in it, up to [`MOST_LISTED`].
    List(Vec<String>),
    /// An object; the text is its `id`, where it has one.
    Object(Option<String>),
    /// Null, a truth value, or nothing.
    #[default]
    Other,
}

impl Loose {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::List(_) | Self::Object(_) | Self::Other => None,
        }
    }

    /// What a list names.
    pub(super) fn listed(&self) -> &[String] {
        match self {
            Self::List(listed) => listed,
            Self::Text(_) | Self::Number(_) | Self::Object(_) | Self::Other => &[],
        }
    }

    /// The number as a count; what is no count is none.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float cast saturates, and negative numbers were sorted out")]
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Number(number) if *number >= 0.0 => *number as u64,
            Self::Text(text) => text.trim().parse().unwrap_or(0),
            Self::Number(_) | Self::List(_) | Self::Object(_) | Self::Other => 0,
        }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Loose;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Loose, E> {
                Ok(Loose::Other)
            }
            fn visit_i64<E>(self, number: i64) -> Result<Loose, E> {
                Ok(Loose::Number(number as f64))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
                Ok(Loose::Number(number as f64))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Loose, E> {
                Ok(Loose::Number(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
                Ok(Loose::Text(text.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Loose, E> {
                Ok(Loose::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose, A::Error> {
                let mut listed = Vec::new();
                while listed.len() < MOST_LISTED {
                    match seq.next_element()? {
                        Some(Loose::Text(text) | Loose::Object(Some(text))) => listed.push(text),
                        Some(Loose::Number(_) | Loose::List(_) | Loose::Object(None) | Loose::Other) => {}
                        None => return Ok(Loose::List(listed)),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose::List(listed))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
                let mut id = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == "id" {
                        id = map.next_value::<Loose>()?.text().map(str::to_owned);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Loose::Object(id))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The first `MOST` elements of a list; anything but a list is an error.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bounded<T, const MOST: usize>(pub(super) Vec<T>);

impl<T, const MOST: usize> Default for Bounded<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
            type Value = Bounded<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while elements.len() < MOST {
                    let Some(element) = seq.next_element()? else { return Ok(Bounded(elements)) };
                    elements.push(element);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Bounded(elements))
            }
        }
        deserializer.deserialize_any(List(PhantomData))
    }
}

/// Replaces `\uD800` to `\uDFFF` escapes that have no partner, which Python writes for undecodable bytes and JSON parsers refuse.
pub(super) fn mend_surrogates(json: &str) -> String {
    let bytes = json.as_bytes();
    let escape = |at: usize| {
        let digits = json.get(at + 2..at + 6)?;
        (bytes.get(at) == Some(&b'\\') && bytes.get(at + 1) == Some(&b'u')).then(|| u16::from_str_radix(digits, 16).ok()).flatten()
    };
    let mut mended = String::with_capacity(json.len());
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match escape(at) {
            Some(0xd800..=0xdbff) if matches!(escape(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                mended.push_str(&json[copied..at]);
                mended.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            _ => at += 2,
        }
    }
    mended.push_str(&json[copied.min(json.len())..]);
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_is_understood() {
        let loose = |json: &str| serde_json::from_str::<Loose>(json).unwrap();
        assert_eq!(loose("\"x\""), Loose::Text("x".into()));
        assert_eq!(loose(r#"[1,["x"],"a",{"id":"b","c":[]},{}]"#), Loose::List(vec!["a".into(), "b".into()]));
        assert_eq!(loose(r#"{"a":{},"id":"x"}"#), Loose::Object(Some("x".into())));
        assert_eq!(loose(r#"{"id":7}"#), Loose::Object(None));
        for (json, count) in [("7", 7), ("7.9", 7), ("-3", 0), ("1e300", u64::MAX), ("\"12\"", 12), ("null", 0), ("true", 0), ("[]", 0)] {
            assert_eq!(loose(json).count(), count, "{json}");
        }
    }

    #[test]
    fn long_lists_are_cut_and_read_to_their_end() {
        let list: Bounded<Loose, 2> = serde_json::from_str("[1,2,3,[4]]").unwrap();
        assert_eq!(list.0.len(), 2);
        assert!(serde_json::from_str::<Bounded<Loose, 2>>("[1,2,3").is_err());
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_kept() {
        for (given, expected) in [
            (r#""a\udcffb""#, "a\u{fffd}b"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83dx\ud83d\ud83d\ude00""#, "\u{fffd}x\u{fffd}😀"),
            (r#""\\udcff""#, r"\udcff"),
            (r#""ü\n""#, "ü\n"),
        ] {
            assert_eq!(serde_json::from_str::<String>(&mend_surrogates(given)).unwrap(), expected, "{given}");
        }
        for cut in ["\\", "\\u", "\\ud8", "x\\"] {
            assert_eq!(mend_surrogates(cut), cut);
        }
    }
}
