//! The size of a result. An assistant reads all of it, so it is bounded: long texts and long lists
//! are cut, first a little, then more, until the document fits. A result says which lists are cut,
//! by how many items, and how to get the next rows of a page.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::untrusted::{UNTRUSTED, is_key, marked};

/// The largest document of a result, in bytes. A client gets it twice: as structured content, and
/// as text.
pub(super) const MOST_BYTES: usize = 40 * 1024;

/// The most items of a list and the most characters of a text, step by step.
const STEPS: [(usize, usize); 5] = [(100, 2_000), (100, 400), (40, 300), (15, 200), (5, 100)];

/// The lists of pages, which `skip` and `limit` are about.
const PAGES: [&str; 3] = ["findings", "groups", "targets"];

/// The most lists that a result names as cut.
const MOST_NAMED: usize = 40;

/// Returns what a tool shows of a document: bounded, and with the texts of others marked. It says
/// `"is_cut": true` if something is left out, and `left_out` has the number of items that each list
/// lacks. A page with `skip` and `total` has `next_skip` if there are more rows.
pub(super) fn shown(document: Value) -> Value {
    let document = marked(document);
    for (items, chars) in STEPS {
        let mut cut = Cut { items, chars, is_cut: false, left_out: BTreeMap::new() };
        let mut value = cut.value(&document, "");
        if let Some(fields) = value.as_object_mut() {
            if cut.is_cut {
                fields.insert("is_cut".into(), Value::Bool(true));
            }
            if !cut.left_out.is_empty() {
                fields.insert("left_out".into(), json!(cut.left_out));
            }
            if let Some(next) = next_skip(fields) {
                fields.insert("next_skip".into(), Value::from(next));
            }
        }
        if size(&value) <= MOST_BYTES {
            return value;
        }
    }
    json!({ "is_cut": true, "message": "the result is too large; ask for less, with a filter or a smaller limit" })
}

/// Returns the value of `skip` that gets the row after the last one of a page.
fn next_skip(fields: &Map<String, Value>) -> Option<u64> {
    let number = |name: &str| fields.get(name).and_then(Value::as_u64);
    let rows = PAGES.iter().find_map(|name| fields.get(*name)?.as_array())?;
    let next = number("skip")?.saturating_add(rows.len() as u64);
    (next < number("total")?).then_some(next)
}

fn size(value: &Value) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len())
}

struct Cut {
    items: usize,
    chars: usize,
    is_cut: bool,
    /// The numbers of left out items by the names of their lists.
    left_out: BTreeMap<String, usize>,
}

impl Cut {
    /// Returns what is kept of a value. `path` is its name, such as `findings[].members`.
    fn value(&mut self, value: &Value, path: &str) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => {
                self.note(path, items.len().saturating_sub(self.items));
                let path = format!("{path}[]");
                Value::Array(items.iter().take(self.items).map(|item| self.value(item, &path)).collect())
            }
            Value::Object(fields) => {
                // An object with many keys is a list by another name.
                self.note(path, fields.len().saturating_sub(MOST_FIELDS));
                let kept: Map<String, Value> = fields
                    .iter()
                    .take(MOST_FIELDS)
                    .map(|(key, value)| (key.clone(), self.value(value, &path_of(path, key))))
                    .collect();
                Value::Object(kept)
            }
            other => other.clone(),
        }
    }

    /// Notes that a list lacks items.
    fn note(&mut self, path: &str, count: usize) {
        if count == 0 {
            return;
        }
        self.is_cut = true;
        if let Some(known) = self.left_out.get_mut(path) {
            *known = known.saturating_add(count);
        } else if self.left_out.len() < MOST_NAMED {
            self.left_out.insert(path.to_owned(), count);
        }
    }

    fn text(&mut self, text: &str) -> String {
        match text.char_indices().nth(self.chars) {
            None => text.to_owned(),
            Some((end, _)) => {
                self.is_cut = true;
                format!("{}…", &text[..end])
            }
        }
    }
}

/// Returns the name of a field. A key that may be a text of others has no place in it.
fn path_of(path: &str, key: &str) -> String {
    match key {
        UNTRUSTED => path.to_owned(),
        key if !is_key(key) => format!("{path}.*"),
        key if path.is_empty() => key.to_owned(),
        key => format!("{path}.{key}"),
    }
}

/// The most fields of an object.
const MOST_FIELDS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_until_they_fit() {
        let small = json!({ "id": "a", "total": 2 });
        assert_eq!(shown(small.clone()), small);
        for (rows, chars) in [(101, 1), (500, 100), (100, 5_000), (5_000, 3_000)] {
            let row = json!({ "id": "0123", "title": "x".repeat(chars) });
            let document = json!({ "total": rows, "findings": vec![row; rows] });
            let found = shown(document);
            assert!(size(&found) <= MOST_BYTES, "{rows} {chars}: {}", size(&found));
            assert_eq!((&found["is_cut"], &found["total"]), (&json!(true), &json!(rows)), "{rows} {chars}");
            let kept = found["findings"].as_array().unwrap();
            assert!((5..=100).contains(&kept.len()), "{rows} {chars}: {}", kept.len());
            assert_eq!(kept[0]["id"], "0123");
        }
    }

    #[test]
    fn cut_lists_are_named_with_the_number_of_their_missing_items() {
        let members: Vec<String> = (0..130).map(|number| format!("/{number}")).collect();
        let many: Map<String, Value> = (0..201).map(|number| (format!("k{number}"), Value::from(number))).collect();
        let document = json!({
            "new": vec![json!({ "id": "a" }); 101],
            "fixed": [],
            "finding": { "members": members },
            "rows": [{ "members": members }, { "members": members }],
            "counts": many,
            "log": [{ "two words": (0..101).collect::<Vec<_>>() }],
        });
        let found = shown(document);
        let left_out = json!({
            "new": 1, "finding.members": 30, "rows[].members": 60, "counts": 1, "log[].*": 1,
        });
        assert_eq!((&found["is_cut"], &found["left_out"]), (&json!(true), &left_out), "{found}");
        let cut_text = shown(json!({ "title": "x".repeat(3_000) }));
        assert_eq!((&cut_text["is_cut"], cut_text.get("left_out")), (&json!(true), None));
    }

    #[test]
    fn next_rows_of_a_page_follow_the_last_one_that_is_shown() {
        for list in PAGES {
            let page = |rows: usize, chars: usize, skip: u64, total: u64| {
                let row = json!({ "id": "0123", "title": "x".repeat(chars) });
                shown(json!({ "skip": skip, "total": total, list: vec![row; rows] }))
            };
            assert_eq!(page(20, 9, 40, 60).get("next_skip"), None, "{list}: it is the last page");
            assert_eq!(page(20, 9, 40, 61)["next_skip"], 60, "{list}");
            assert_eq!(page(0, 9, 90, 61).get("next_skip"), None, "{list}: it is beyond the last page");
            let cut = page(100, 2_000, 40, 140);
            let kept = cut[list].as_array().unwrap().len() as u64;
            assert!(kept < 100);
            assert_eq!((&cut["next_skip"], &cut["left_out"][list]), (&json!(40 + kept), &json!(100 - kept)), "{list}");
        }
    }

    #[test]
    fn document_that_never_fits_is_replaced_by_a_message() {
        let deep = |value: Value| json!({ "a": vec![value; 5] });
        let mut document = json!({ "title": "x".repeat(100) });
        for _ in 0..6 {
            document = deep(document);
        }
        let found = shown(document);
        assert_eq!(found["is_cut"], true);
        assert!(found["message"].as_str().unwrap().contains("smaller limit"), "{found}");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let found = shown(json!({ "title": "ü".repeat(2_001) }));
        let text = found["untrusted_text"]["title"].as_str().unwrap();
        assert_eq!((text.chars().count(), text.ends_with('…')), (2_001, true));
    }
}
