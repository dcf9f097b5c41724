use std::io::Read;

use super::*;

/// Returns one byte at a time, so that every token crosses a read boundary.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let take = buffer.len().min(1).min(self.0.len());
        buffer[..take].copy_from_slice(&self.0[..take]);
        self.0 = &self.0[take..];
        Ok(take)
    }
}

/// The member `x` of a document.
fn x_of(json: &[u8]) -> Result<Option<Value>, Fault> {
    let mut found = None;
    JsonReader::open(json)?.object(|reader, key| {
        if key == "x" {
            found = Some(reader.value(100)?);
        } else {
            reader.skip()?;
        }
        Ok(())
    })?;
    Ok(found)
}

fn text(json: &str) -> String {
    x_of(json.as_bytes()).unwrap().unwrap().into_text().unwrap()
}

#[test]
fn odd_value_does_not_affect_other_values() {
    for odd in [
        "NaN",
        "-Infinity",
        "Infinity",
        "null",
        "None",
        "True",
        "undefined",
        "0x1F",
        "1_000",
        "",
        "01",
        "+5",
        ".5",
        "1e999999999",
        "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
        "[1,,2]",
        "[NaN]",
        "{\"a\":}",
        "{\"\\ud83d\":[{\"b\":null,}],}",
        "\"\\ud83d\"",
        "\"\\x41\\'\\u12\"",
        "\"raw \u{1} \n \t \u{0} \u{7f}\"",
    ] {
        let json = format!("{{\"a\":{odd},\"x\":\"kept\",\"x\":\"last\",\"b\":[{odd},{{\"c\":{odd}}}]}}");
        assert_eq!(x_of(json.as_bytes()), Ok(Some(Value::Text("last".into()))), "{json}");
    }
}

#[test]
fn texts_are_read_in_the_forms_that_python_writes() {
    for (json, expected) in [
        (r#"{"x":"a\udcffb"}"#, "a\u{fffd}b"),
        (r#"{"x":"shop \ud83d"}"#, "shop \u{fffd}"),
        (r#"{"x":"\ud83d\ude00"}"#, "😀"),
        (r#"{"x":"\ud83dx\ud83d\ud83d\ude00"}"#, "\u{fffd}x\u{fffd}😀"),
        (r#"{"x":"\ud83d\n"}"#, "\u{fffd}\n"),
        (r#"{"x":"\ud83d\u0041"}"#, "\u{fffd}A"),
        (r#"{"x":"\\udcff \/ \" \u00fc"}"#, "\\udcff / \" ü"),
        (r#"{"x":"\u00zz"}"#, "\u{fffd}zz"),
        ("{\"x\":\"raw\u{1}\nü\"}", "raw\u{1}\nü"),
    ] {
        assert_eq!(text(json), expected, "{json}");
        let mut found = String::new();
        JsonReader::open(Drip(json.as_bytes()))
            .unwrap()
            .object(|reader, _| reader.value(100).map(|value| found = value.into_text().unwrap()))
            .unwrap();
        assert_eq!(found, expected, "{json}");
    }
    assert_eq!(x_of(b"{\"x\":\"b\xfccher\"}").unwrap().unwrap().into_text().unwrap(), "b\u{fffd}cher");
    assert_eq!(text(&format!("{{\"x\":\"{}\"}}", "ü".repeat(1000))), "ü".repeat(50), "cut at a character");
    assert_eq!(text(&format!("{{\"x\":\"a{}\"}}", "ü".repeat(1000))).len(), 99);
    assert_eq!(text(&format!("{{\"x\":\"a{}\"}}", "\\u00fc".repeat(1000))).len(), 99);
}

#[test]
fn invalid_documents_give_a_specific_fault() {
    for (json, expected) in [
        (b"".as_slice(), Err(Fault::Empty)),
        (b" \n", Err(Fault::Empty)),
        (b"\xef\xbb\xbf", Err(Fault::Empty)),
        (b"\xef\xbb\xbf {\"x\":1}", Ok(Some(Value::Bare("1".into())))),
        (b"\xff\xfe{\0}\0", Err(Fault::Utf16)),
        (b"\xfe\xff\0{", Err(Fault::Utf16)),
        (b"{\0\"\0", Err(Fault::Utf16)),
        (b"[1]", Err(Fault::NoObject)),
        (b"\"text\"", Err(Fault::NoObject)),
        (b"not json", Err(Fault::NoObject)),
        (b"<html>", Err(Fault::NoObject)),
        (b"\0\0\0\0", Err(Fault::NoObject)),
        (b"WARNING: {zap} is old\nNote\n{\"x\":1}", Ok(Some(Value::Bare("1".into())))),
        (b"{\"x\":1", Err(Fault::Truncated)),
        (b"{\"x\":\"a", Err(Fault::Truncated)),
        (b"{\"x\":\"a\\", Err(Fault::Truncated)),
        (b"{\"x\":\"\\u12", Err(Fault::Truncated)),
        (b"{\"x\":[1,{", Err(Fault::Truncated)),
        (b"{\"x\":[[[", Err(Fault::Truncated)),
        (b"{\"x\"", Err(Fault::Truncated)),
        (b"{\"x\":1}{\"x\":2} and more", Ok(Some(Value::Bare("1".into())))),
        (b"{'x':1}", Err(Fault::Malformed(1))),
        (b"{\"x\" 1}", Err(Fault::Malformed(5))),
        (b"{\"x\":1 2}", Err(Fault::Malformed(7))),
        (b"{}", Ok(None)),
    ] {
        assert_eq!(x_of(json), expected, "{:?}", String::from_utf8_lossy(json));
    }
}

#[test]
fn counts_saturate() {
    const MOST: u64 = 1_000_000;
    for (word, count) in [
        ("7", Some(7)),
        ("7.9", Some(7)),
        ("-3", Some(0)),
        ("1e300", Some(MOST)),
        ("1e400", Some(MOST)),
        ("18446744073709551615", Some(MOST)),
        ("99999999999999999999999999", Some(MOST)),
        ("-1e400", Some(0)),
        ("\"12\"", Some(12)),
        ("null", None),
        ("true", None),
        ("NaN", None),
        ("Infinity", None),
        ("[]", None),
        ("{}", None),
        ("\"many\"", None),
    ] {
        let value = x_of(format!("{{\"x\":{word}}}").as_bytes()).unwrap().unwrap();
        assert_eq!(value.count(MOST), count, "{word}");
    }
}

#[test]
fn nesting_uses_no_stack() {
    let deep = format!("{}{}", "[{\"a\":".repeat(500_000), "}]".repeat(500_000));
    assert_eq!(x_of(format!("{{\"a\":{deep},\"x\":1}}").as_bytes()), Ok(Some(Value::Bare("1".into()))));
    assert_eq!(x_of("{\"x\":".repeat(100_000).as_bytes()), Err(Fault::Truncated));
}

#[test]
fn document_is_found_in_the_output_of_a_program() {
    let wanted = |text: &str| {
        find(text, |reader| {
            let mut found = None;
            reader.object(|reader, key| {
                if key == "x" {
                    found = reader.value(9)?.count(9);
                    Ok(())
                } else {
                    reader.skip()
                }
            })?;
            Ok(found)
        })
    };
    for (text, expected) in [
        ("{\"x\":1}", Ok(1)),
        ("WARNING: plugin {zap} uses an old schema\n{\"x\":1}\n", Ok(1)),
        ("{\"level\":\"warning\"}\n{} {\"x\":1} and {more}", Ok(1)),
        ("[DEBUG] {'a': 1}\n\u{feff}{\"x\":1}", Ok(1)),
        ("WARNING {zap}\n{\"x\":1", Err(Fault::Truncated)),
        ("{zap}", Err(Fault::Malformed(1))),
        ("{\"y\":{\"x\":1}}", Err(Fault::NoObject)),
        ("nothing", Err(Fault::NoObject)),
        ("", Err(Fault::NoObject)),
    ] {
        assert_eq!(wanted(text), expected, "{text}");
    }
    assert!(wanted(&"{".repeat(1_000_000)).is_err());
}

mod as_serde_json_reads {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn valid_document_round_trips(value in json(), pretty: bool) {
            let value = serde_json::json!({ "x": value });
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let read = tree(&mut JsonReader::open(text.as_bytes()).unwrap()).unwrap();
            prop_assert_eq!(read.to_string(), value.to_string());
            prop_assert_eq!(tree(&mut JsonReader::open(Drip(text.as_bytes())).unwrap()).unwrap().to_string(), read.to_string());
        }

        #[test]
        fn truncated_document_is_never_read_as_complete(value in json(), cut: prop::sample::Index) {
            let text = serde_json::json!({ "x": value }).to_string();
            let cut = &text.as_bytes()[..cut.index(text.len())];
            prop_assert!(JsonReader::open(cut).and_then(|mut reader| reader.object(|reader, _| reader.skip())).is_err());
        }

        #[test]
        fn reader_never_panics_or_hangs_on_any_bytes(bytes: Vec<u8>) {
            let mut document = b"{\"x\":".to_vec();
            document.extend(bytes);
            let _any_end = JsonReader::open(document.as_slice()).and_then(|mut reader| reader.object(|reader, _| reader.value(10).map(drop)));
        }
    }
}
