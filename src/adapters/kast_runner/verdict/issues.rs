//! Reads the issues of a plugin in any shape.
//!
//! KAST's plugins write a list of ids. A third-party plugin may write a single id, an object with
//! ids as keys, or a list in an object. An odd shape must not make issues disappear. So every value
//! that is not known to mean "none" is an issue, without a name if necessary.

use std::io::Read;

use kastrel_actors::model::{IssueCollector, IssueRef, Severity};

use super::super::catalogue::Catalogue;
use super::super::json::{Fault, JsonReader, Value};
use super::super::text::clean;
use super::alerts::with_risk;

const MOST_ID_BYTES: usize = 1 << 10;
const MOST_ID_CHARS: usize = 120;
/// The name that stands for an unnamed issue.
const UNNAMED_ISSUE: &str = "(unnamed issue)";
/// The maximum number of objects around a list of issues. A deeper object is one issue.
const MOST_DEPTH: u8 = 4;

/// The keys that name an issue in its object, the best first.
const NAMES: &[&str] = &["id", "issue_id", "name", "title", "alert"];
/// The keys that contain issues, in an object that is not an issue.
const CONTAINERS: &[&str] = &[
    "issues",
    "items",
    "list",
    "results",
    "alerts",
    "findings",
    "vulnerabilities",
    "critical",
    "high",
    "medium",
    "low",
    "informational",
    "info",
    "unknown",
];
/// The keys that describe an issue or a number of issues, and are never ids.
const ATTRIBUTES: &[&str] = &[
    "severity",
    "risk",
    "level",
    "confidence",
    "description",
    "detail",
    "details",
    "message",
    "summary",
    "evidence",
    "url",
    "uri",
    "remediation",
    "solution",
    "reference",
    "references",
    "cwe",
    "cvss",
    "category",
    "type",
    "status",
    "count",
    "total",
    "timestamp",
    "disposition",
    "error",
];
/// The texts that mean "no issues".
const NOTHING: &[&str] = &[
    "",
    "-",
    "--",
    "none",
    "null",
    "nil",
    "nan",
    "no",
    "n/a",
    "n.a",
    "na",
    "not applicable",
    "false",
    "0",
    "[]",
    "{}",
    "()",
    "set()",
    "nothing",
    "nothing found",
];
/// The nouns in sentences such as "No issues found".
const NOUNS: &[&str] = &[
    "issue",
    "issues",
    "finding",
    "findings",
    "vulnerability",
    "vulnerabilities",
    "problem",
    "problems",
    "alert",
    "alerts",
    "weakness",
    "weaknesses",
    "result",
    "results",
];
const ENDS: &[&str] = &["found", "detected", "identified", "reported", "discovered", "available"];

/// Reads the value of `issues`. All issues are counted by severity, and the worst ones are kept.
pub(super) fn read<R: Read>(
    reader: &mut JsonReader<R>,
    catalogue: Option<&Catalogue>,
) -> Result<IssueCollector, Fault> {
    let mut found = IssueCollector::default();
    Shapes { catalogue }.value(reader, &mut found, MOST_DEPTH)?;
    Ok(found)
}

/// The position of an object: alone, so that its keys may be ids, or as an element of a list, so
/// that it is an issue itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    Element,
}

#[derive(Clone, Copy)]
struct Shapes<'a> {
    catalogue: Option<&'a Catalogue>,
}

impl Shapes<'_> {
    /// Reads a list of issues, or a value in its place.
    fn value<R: Read>(self, reader: &mut JsonReader<R>, found: &mut IssueCollector, depth: u8) -> Result<(), Fault> {
        if reader.is_list()? {
            return reader.list(|reader| self.element(reader, found, depth)).map(drop);
        }
        if reader.is_object()? {
            return self.object(reader, found, Place::Alone, depth);
        }
        match reader.value(MOST_ID_BYTES)? {
            Value::Text(text) if self.is_registered(&text) || !means_none(&text) => found.push(self.issue(&text)),
            Value::Bare(word) if !is_bare_nothing(&word) => found.push(self.issue("")),
            Value::Text(_) | Value::Bare(_) | Value::List | Value::Object => {}
        }
        Ok(())
    }

    /// Reads an element: a text, a number, or an object with an id. An element of another shape is
    /// an unnamed issue.
    fn element<R: Read>(self, reader: &mut JsonReader<R>, found: &mut IssueCollector, depth: u8) -> Result<(), Fault> {
        if reader.is_object()? {
            return self.object(reader, found, Place::Element, depth);
        }
        let value = reader.value(MOST_ID_BYTES)?;
        if !value.is_nothing() {
            found.push(self.issue(&value.into_name().unwrap_or_default()));
        }
        Ok(())
    }

    /// Reads an object: an issue, issues by their ids, or a container of a list of issues.
    fn object<R: Read>(
        self,
        reader: &mut JsonReader<R>,
        found: &mut IssueCollector,
        place: Place,
        depth: u8,
    ) -> Result<(), Fault> {
        let (mut name, mut inner, mut says_anything): (Option<(usize, String)>, _, _) =
            (None, IssueCollector::default(), false);
        reader.object(|reader, key| {
            if let Some(rank) = NAMES.iter().position(|name| *name == key) {
                if let Some(text) = reader.value(MOST_ID_BYTES)?.into_name().filter(|text| !text.trim().is_empty())
                    && name.as_ref().is_none_or(|(best, _)| rank <= *best)
                {
                    name = Some((rank, text));
                }
                return Ok(());
            }
            let word = key.trim().to_lowercase();
            let is_id = self.is_registered(key);
            if !is_id && depth > 0 && CONTAINERS.contains(&word.as_str()) {
                return self.value(reader, &mut inner, depth - 1);
            }
            if is_nothing(reader)? {
                return Ok(());
            }
            if is_id || (place == Place::Alone && !ATTRIBUTES.contains(&word.as_str())) {
                inner.push(self.issue(key));
            }
            says_anything = true;
            Ok(())
        })?;
        match name {
            Some((_, name)) => found.push(self.issue(&name)),
            None if !inner.is_empty() => found.append(inner),
            None if says_anything || place == Place::Element => found.push(self.issue("")),
            None => {}
        }
        Ok(())
    }

    fn is_registered(self, id: &str) -> bool {
        self.catalogue
            .is_some_and(|catalogue| catalogue.registry.contains_key(id) || catalogue.registry.contains_key(id.trim()))
    }

    /// Creates an issue from an id. Like KAST, strips the id before the lookup. An unknown id may
    /// contain its severity: `Name [High]`.
    fn issue(self, id: &str) -> IssueRef {
        let registry = self.catalogue.map(|catalogue| &catalogue.registry);
        let known = registry.and_then(|registry| registry.get(id).or_else(|| registry.get(id.trim())));
        let with_risk = known.is_none().then(|| with_risk(id)).flatten();
        let mut id = clean(id, MOST_ID_CHARS);
        if id.is_empty() {
            UNNAMED_ISSUE.clone_into(&mut id);
        }
        if let Some((name, severity)) = with_risk {
            return IssueRef { severity, title: clean(name, MOST_ID_CHARS), id };
        }
        IssueRef {
            severity: known.map_or(Severity::Unknown, |kind| kind.severity),
            title: known.map_or_else(|| id.clone(), |kind| kind.title.clone()),
            id,
        }
    }
}

/// Skips a value, and returns true if it means "none": an empty list or object, `false`, 0, or a
/// text such as "None".
fn is_nothing<R: Read>(reader: &mut JsonReader<R>) -> Result<bool, Fault> {
    let mut is_empty = true;
    let mut any = |reader: &mut JsonReader<R>| {
        is_empty = false;
        reader.skip()
    };
    if reader.is_list()? {
        reader.list(any)?;
    } else if reader.is_object()? {
        reader.object(|reader, _| any(reader))?;
    } else {
        is_empty = match reader.value(MOST_ID_BYTES)? {
            Value::Text(text) => means_none(&text),
            Value::Bare(word) => is_bare_nothing(&word),
            Value::List | Value::Object => false,
        };
    }
    Ok(is_empty)
}

fn is_bare_nothing(word: &str) -> bool {
    means_none(word) || word.parse::<f64>().is_ok_and(|number| number == 0.0)
}

/// Returns true if the text means that there are no issues, in the words of people or of Python.
fn means_none(text: &str) -> bool {
    let text = text.trim().trim_end_matches(['.', '!']).to_lowercase();
    if NOTHING.contains(&text.as_str()) || matches!(text.as_str(), "not found" | "not detected" | "not vulnerable") {
        return true;
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        ["no" | "0" | "zero", noun] => NOUNS.contains(noun),
        ["no" | "0" | "zero", noun, end] => NOUNS.contains(noun) && ENDS.contains(end),
        ["no" | "0" | "zero", "known" | "security", noun, end] => NOUNS.contains(noun) && ENDS.contains(end),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::catalogue_text;
    use super::*;

    fn read_all(json: &str) -> (u64, Vec<String>) {
        let registry = catalogue_text::registry(include_str!("../fixtures/registry-list.json")).unwrap().kinds;
        let catalogue = Catalogue { registry, ..Catalogue::default() };
        let mut collected = None;
        let document = format!(r#"{{"issues":{json},"after":1}}"#);
        let mut rest = 0;
        let mut reader = JsonReader::open(document.as_bytes()).unwrap();
        reader
            .object(|reader, key| {
                if key == "issues" {
                    collected = Some(read(reader, Some(&catalogue))?);
                    Ok(())
                } else {
                    rest += 1;
                    reader.skip()
                }
            })
            .unwrap();
        assert_eq!(rest, 1, "{json}: what follows is read");
        let (counts, listed) = collected.unwrap().into_parts();
        (counts.total(), listed.into_iter().map(|issue| issue.id).collect())
    }

    #[test]
    fn issues_of_any_shape_are_issues() {
        const UNNAMED: &[&str] = &[UNNAMED_ISSUE];
        for (json, ids) in [
            // Lists, in the form of KAST's plugins.
            (r#"["a","b"]"#, &["a", "b"][..]),
            (r#"[{"id":"a"},7,null,["c"],{}]"#, &["a", "7", UNNAMED_ISSUE, UNNAMED_ISSUE]),
            (r#"[{"name":"n","id":"a","severity":"high"}]"#, &["a"]),
            (r#"[{"severity":"high","url":"/x"}]"#, UNNAMED),
            (r#"[{"BEAST":{"count":1}}]"#, &["BEAST"]),
            // One text.
            (r#""exposed_admin_panel""#, &["exposed_admin_panel"]),
            (r#""No WAF Detected""#, &["No WAF Detected"]),
            (r#""No HSTS header found""#, &["No HSTS header found"]),
            (r#""['a', 'b']""#, &["['a', 'b']"]),
            // Ids as keys.
            (r#"{"exposed_admin_panel":{"count":1}}"#, &["exposed_admin_panel"]),
            (
                r#"{"a":true,"b":["/x"],"c":"seen twice","d":false,"e":0,"f":[],"g":null,"h":{},"i":"None"}"#,
                &["a", "b", "c"],
            ),
            (r#"{"BEAST":1,"count":1}"#, &["BEAST"]),
            // One issue without a list.
            (r#"{"id":"a","severity":"high"}"#, &["a"]),
            (r#"{"severity":"high","description":"Admin panel is public"}"#, UNNAMED),
            // A list inside an object.
            (r#"{"count":2,"items":["a",{"id":"b"}]}"#, &["a", "b"]),
            (r#"{"high":["a"],"Low":["b"],"medium":[]}"#, &["a", "b"]),
            (r#"{"issues":{"list":{"a":1}}}"#, &["a"]),
            (r#"{"count":3}"#, UNNAMED),
            (r#"{"high":2,"low":0}"#, UNNAMED),
            // Other values that do not mean "none".
            ("true", UNNAMED),
            ("3", UNNAMED),
            ("-1", UNNAMED),
            ("True", UNNAMED),
            ("Infinity", UNNAMED),
        ] {
            let expected: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
            assert_eq!(read_all(json), (expected.len() as u64, expected), "{json}");
        }
    }

    #[test]
    fn words_of_python_and_people_for_none_give_no_issue() {
        let bare = [
            "null",
            "None",
            "false",
            "False",
            "0",
            "0.0",
            "-0",
            "NaN",
            "[]",
            "{}",
            r#"{"count":0,"items":[]}"#,
            r#"{"high":[],"low":{}}"#,
            r#"{"a":false}"#,
        ];
        let texts = [
            "",
            " ",
            "none",
            "None",
            "NONE.",
            "N/A",
            "n/a",
            "null",
            "-",
            "0",
            "false",
            "[]",
            "set()",
            "No issues",
            "no issues found.",
            "No known vulnerabilities detected!",
            "No results available.",
            "Nothing found",
        ];
        for json in bare.into_iter().map(str::to_owned).chain(texts.map(|text| format!("{text:?}"))) {
            assert_eq!(read_all(&json), (0, Vec::new()), "{json}");
        }
    }

    #[test]
    fn nested_issues_use_no_stack_and_are_all_found() {
        let nested = |depth: usize| format!("{}[\"a\"]{}", "{\"issues\":".repeat(depth), "}".repeat(depth));
        assert_eq!(read_all(&nested(3)), (1, vec!["a".to_owned()]));
        for depth in [10, 100_000] {
            assert_eq!(read_all(&nested(depth)).0, 1, "{depth}");
        }
    }
}
