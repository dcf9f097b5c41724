use proptest::prelude::*;

use super::*;
use crate::limits::{MOST_DEPTH, MOST_ELEMENTS, MOST_TEXT_BYTES, MOST_VALUES};

fn tree(text: &str) -> Node {
    parse(text.as_bytes(), &[]).unwrap().0
}

#[test]
fn values_are_read_by_key_and_kind() {
    let node = tree(r#"{"a": "x", "n": 1.5, "t": true, "z": null, "l": ["p", 2, "q"], "o": {"k": " "}}"#);
    assert_eq!(node.text_of("a"), Some("x"));
    assert_eq!(node.number_of("n"), Some(1.5));
    assert!(node.is_true("t") && !node.is_false("t"));
    assert_eq!(node.word_of("z"), None);
    assert_eq!(node.get("l").texts().collect::<Vec<_>>(), ["p", "q"]);
    assert_eq!(node.get("o").text_of("k"), None);
    assert_eq!(node.get("missing").list().len(), 0);
}

#[test]
fn the_habits_of_python_are_tolerated() {
    let cases = [
        (r#"{"x": NaN}"#, "NaN"),
        (r#"{"x": 1e999}"#, "1e999"),
        (r#"{"x": 99999999999999999999999999}"#, "99999999999999999999999999"),
        (r#"{"x": "\ud83d"}"#, "\u{fffd}"),
        (r#"{"x": "\ud83d\ude00"}"#, "😀"),
        (r#"{"x": "\ud83da"}"#, "\u{fffd}a"),
        (r#"{"x": "\uzzzz"}"#, "\u{fffd}zzzz"),
        ("{\"x\": \"a\u{1}b\"}", "a\u{1}b"),
        (r#"{"x": 1, "x": 2}"#, "2"),
        ("\u{feff}{\"x\": 1,}", "1"),
    ];
    for (text, expected) in cases {
        assert_eq!(tree(text).word_of("x"), Some(expected), "{text}");
    }
    assert_eq!(parse(b"{\"x\": \"a\xffb\"}", &[]).unwrap().0.text_of("x"), Some("a\u{fffd}b"));
    assert_eq!(tree(r#"{"x": 1e999}"#).number_of("x"), None);
}

#[test]
fn broken_documents_have_a_fault() {
    let cases: [(&[u8], Fault); 9] = [
        (b"", Fault::Empty),
        (b"  ", Fault::Empty),
        (b"{\"a\": 1", Fault::Truncated),
        (b"{\"a\": \"x", Fault::Truncated),
        (b"{\"a\": \"\\", Fault::Truncated),
        (b"{\"a\" 1}", Fault::Malformed(5)),
        (b"{\"a\": }", Fault::Malformed(6)),
        (b"<html>", Fault::Malformed(0)),
        (b"{\0\"\0", Fault::Utf16),
    ];
    for (bytes, fault) in cases {
        assert_eq!(parse(bytes, &[]).unwrap_err(), fault, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn deep_nesting_is_skipped_without_recursion() {
    let depth = 2_000_000;
    let text = format!("{{\"deep\": {}{}, \"x\": 1}}", "[".repeat(depth), "]".repeat(depth));
    let (node, cuts) = parse(text.as_bytes(), &[]).unwrap();
    assert_eq!((node.word_of("x"), cuts.values), (Some("1"), 1));
    let mut inner = node.get("deep");
    let mut levels = 1;
    while let Some(next) = inner.list().first() {
        (inner, levels) = (next, levels + 1);
    }
    assert!(levels <= MOST_DEPTH);
}

#[test]
fn ten_million_elements_are_read_in_bounded_memory() {
    let text = format!("{{\"l\": [{}0], \"m\": {{\"a\": 1}}}}", "0,".repeat(10_000_000));
    let (node, cuts) = parse(text.as_bytes(), &[]).unwrap();
    assert_eq!(node.get("l").list().len(), MOST_ELEMENTS);
    assert_eq!(cuts.values, 10_000_001 - MOST_ELEMENTS);
    assert_eq!(node.get("m").word_of("a"), Some("1"));
    let lists = format!("[{}[]]", format!("[{}0],", "0,".repeat(999)).repeat(1000));
    let (node, cuts) = parse(lists.as_bytes(), &[]).unwrap();
    let kept: usize = node.list().iter().map(|list| 1 + list.list().len()).sum();
    assert!(cuts.values > 0 && kept <= MOST_VALUES, "{kept}");
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let long = "ä".repeat(MOST_TEXT_BYTES);
    let (node, cuts) = parse(format!("{{\"x\": \"{long}\"}}").as_bytes(), &[]).unwrap();
    let text = node.text_of("x").unwrap();
    assert!(text.len() <= MOST_TEXT_BYTES && text.chars().all(|c| c == 'ä'));
    assert_eq!(cuts.texts, 1);
}

#[test]
fn values_of_skipped_keys_are_not_kept() {
    let (node, cuts) = parse(br#"{"html": {"a": [1, "]"]}, "b": {"html": 1, "c": 2}}"#, &["html"]).unwrap();
    assert_eq!(node.find("html"), None);
    assert_eq!(node.get("b").find("html"), None);
    assert_eq!(node.get("b").word_of("c"), Some("2"));
    assert_eq!(cuts, Cuts::default());
}

fn arbitrary() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// True if both are the same value.
fn is_same(node: &Node, value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (node, value) {
        (Node::Text(one), Value::String(other)) => **one == **other,
        (Node::List(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Node::Object(one), Value::Object(other)) => {
            one.iter().count() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| is_same(one, other)))
        }
        (Node::Word(word), other) => other.to_string().as_str() == &**word,
        _ => false,
    }
}

proptest! {
    #[test]
    fn valid_json_is_read_as_it_is(value in arbitrary()) {
        let value = serde_json::json!({ "x": value });
        let (node, cuts) = parse(value.to_string().as_bytes(), &[]).unwrap();
        prop_assert!(is_same(&node, &value), "{} {:?}", value, node);
        prop_assert_eq!(cuts, Cuts::default());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, &["a"]);
        let _ = parse(&[b"{\"a\":[".as_slice(), &bytes].concat(), &["b"]);
    }

    #[test]
    fn a_truncated_document_never_reads_as_a_complete_one(value in arbitrary(), cut in 1_usize..50) {
        let text = serde_json::json!({ "x": value }).to_string();
        let bytes = &text.as_bytes()[..text.len().saturating_sub(cut)];
        prop_assert!(parse(bytes, &[]).is_err());
    }
}
