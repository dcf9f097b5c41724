//! Reads a submission, or a batch of them, from JSON. The response to an invalid submission names
//! every wrong field at once, whether its name, its type or its value is wrong.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use kastrel_actors::model::{FieldError, IdempotencyKey, IdempotencyKeyError, ScanRequestDraft};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::web::error::{Problem, ProblemKind};
use crate::web::same_origin::is_json;

const KEY_HEADER: &str = "idempotency-key";
/// The most scans of a batch.
const MOST_IN_BATCH: usize = 500;
const OVERRIDES_FORM: &str = "expected a list of strings of the form plugin.key=value";

/// A submission as read from JSON.
#[derive(Debug)]
pub(crate) struct Submission {
    /// The fields that could be read; the others have their default values.
    pub(crate) draft: ScanRequestDraft,
    /// The errors of the fields that could not be read.
    wrong: Vec<FieldError>,
}

impl Submission {
    /// Returns the draft, if every field could be read. Otherwise the problem has those errors and
    /// what `check` finds in the other fields.
    pub(crate) fn readable(
        self,
        check: impl FnOnce(&ScanRequestDraft) -> Vec<FieldError>,
    ) -> Result<ScanRequestDraft, Problem> {
        if self.wrong.is_empty() {
            return Ok(self.draft);
        }
        Err(Problem::fields(ProblemKind::InvalidFields, self.errors(check)))
    }

    /// Returns the errors of the fields that could not be read, and those that `check` finds in the
    /// other fields.
    fn errors(self, check: impl FnOnce(&ScanRequestDraft) -> Vec<FieldError>) -> Vec<FieldError> {
        let Self { draft, wrong: mut errors } = self;
        // Do not report errors about the default of a field that could not be read: the client did
        // not send it.
        let known: Vec<String> = errors.iter().map(|error| root(&error.field).to_owned()).collect();
        errors.extend(check(&draft).into_iter().filter(|error| !known.contains(&error.field)));
        errors
    }
}

/// A batch as read from JSON.
#[derive(Debug)]
pub(crate) struct Batch(Vec<Submission>);

impl Batch {
    /// Returns the drafts, if every field of each could be read. Otherwise the problem has the
    /// errors of all submissions.
    pub(crate) fn readable(
        self,
        check: impl Fn(&ScanRequestDraft) -> Vec<FieldError>,
    ) -> Result<Vec<ScanRequestDraft>, Problem> {
        if self.0.iter().all(|one| one.wrong.is_empty()) {
            return Ok(self.0.into_iter().map(|one| one.draft).collect());
        }
        let errors = self.0.into_iter().enumerate().flat_map(|(place, one)| in_batch(place, one.errors(&check)));
        Err(Problem::fields(ProblemKind::InvalidFields, errors.collect()))
    }
}

/// Names the fields of one submission in a batch: `scans[3].target`.
pub(crate) fn in_batch(place: usize, errors: Vec<FieldError>) -> impl Iterator<Item = FieldError> {
    errors.into_iter().map(move |error| FieldError::new(format!("scans[{place}].{}", error.field), error.message))
}

/// Reads the body of a submission.
pub(crate) fn read_submission(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Submission, Problem> {
    let (draft, wrong) = typed(read_fields(headers, body, "{\"target\": \"example.com\"}")?);
    Ok(Submission { draft, wrong })
}

/// Reads the body of a batch.
pub(crate) fn read_batch(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Batch, Problem> {
    let mut fields = read_fields(headers, body, "{\"scans\": [{\"target\": \"example.com\"}]}")?;
    let scans = fields.remove("scans");
    let mut errors: Vec<FieldError> =
        fields.keys().map(|name| FieldError::new(printable(&without_value(name, name)), "unknown field")).collect();
    let count = scans.as_ref().and_then(Value::as_array).map(Vec::len);
    if !count.is_some_and(|count| (1..=MOST_IN_BATCH).contains(&count)) {
        errors.push(FieldError::new("scans", format!("expected a list of 1 to {MOST_IN_BATCH} scans")));
    }
    let mut batch = Vec::new();
    if let Some(Value::Array(scans)) = scans.filter(|_| errors.is_empty()) {
        for (place, scan) in scans.into_iter().enumerate() {
            match scan {
                Value::Object(fields) => {
                    let (draft, wrong) = typed(fields);
                    batch.push(Submission { draft, wrong });
                }
                _ => errors.push(FieldError::new(
                    format!("scans[{place}]"),
                    "expected an object such as {\"target\": \"example.com\"}",
                )),
            }
        }
    }
    if errors.is_empty() { Ok(Batch(batch)) } else { Err(Problem::fields(ProblemKind::InvalidFields, errors)) }
}

/// Reads a JSON object. `example` is one, for the error.
fn read_fields(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    example: &str,
) -> Result<Map<String, Value>, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(content_type) {
        return Err(Problem::new(ProblemKind::NotJson, "send JSON with `Content-Type: application/json`"));
    }
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let value: Value = serde_json::from_slice(&body).map_err(|error| {
        Problem::new(ProblemKind::Malformed, format!("the request body is not valid JSON: {error}"))
    })?;
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(Problem::new(
            ProblemKind::Malformed,
            format!("the request body must be a JSON object such as {example}"),
        )),
    }
}

/// Reads a small JSON object, or the default value from an empty body. An error names the wrong
/// field.
pub(crate) fn read_object<T: serde::de::DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<T, Problem> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    if body.is_empty() {
        return Ok(T::default());
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_json(content_type) {
        return Err(Problem::new(ProblemKind::NotJson, "send JSON with `Content-Type: application/json`"));
    }
    let value: Value = serde_json::from_slice(&body).map_err(|error| {
        Problem::new(ProblemKind::Malformed, format!("the request body is not valid JSON: {error}"))
    })?;
    if value.is_null() {
        return Ok(T::default());
    }
    if !value.is_object() {
        return Err(Problem::new(ProblemKind::Malformed, "the request body must be a JSON object"));
    }
    let names: Vec<String> = value.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    serde_path_to_error::deserialize(value).map_err(|error| {
        let shown = |text: String| printable(&names.iter().fold(text, |text, name| without_value(&text, name)));
        let field = shown(error.path().to_string());
        Problem::fields(ProblemKind::InvalidFields, vec![FieldError::new(field, shown(error.into_inner().to_string()))])
    })
}

/// Removes the part after the `=` from each occurrence of a field name in `text`. A client that
/// sends an override as a field name sends its value, which may be a secret, too.
fn without_value(text: &str, name: &str) -> String {
    match name.split_once('=') {
        Some((before, _)) => text.replace(name, &format!("{before}=…")),
        None => text.to_owned(),
    }
}

/// Reads the idempotency key, which prevents a double submission.
pub(crate) fn read_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers.get(KEY_HEADER) else { return Ok(None) };
    value.to_str().unwrap_or_default().parse().map(Some).map_err(|error: IdempotencyKeyError| {
        Problem::fields(ProblemKind::InvalidKey, vec![FieldError::new("Idempotency-Key", error.to_string())])
    })
}

/// Reads the idempotency key of a batch, to which the places of the scans are added.
pub(crate) fn read_batch_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let key = read_key(headers)?;
    if key.as_ref().is_some_and(|key| key.at(MOST_IN_BATCH - 1).is_err()) {
        let wrong = FieldError::new("Idempotency-Key", "expected 1 to 251 visible ASCII characters for a batch");
        return Err(Problem::fields(ProblemKind::InvalidKey, vec![wrong]));
    }
    Ok(key)
}

/// Converts the rejection of a body into a problem.
pub(crate) fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(ProblemKind::TooLarge, "the request body is larger than this server accepts")
    } else {
        Problem::new(ProblemKind::Malformed, "the request body is incomplete")
    }
}

/// Reads each field by itself, so that one wrong field does not hide another.
fn typed(fields: Map<String, Value>) -> (ScanRequestDraft, Vec<FieldError>) {
    let (mut good, mut errors) = (Map::new(), Vec::new());
    for (name, value) in fields {
        let alone = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        match serde_path_to_error::deserialize::<_, ScanRequestDraft>(alone) {
            Ok(_) => {
                good.insert(name, value);
            }
            Err(error) => {
                let at = error.path().to_string();
                let field = without_value(if root(&at) == name { &at } else { &name }, &name);
                // The value may be an override with a secret: do not repeat it in the message.
                let why = if name == "overrides" {
                    OVERRIDES_FORM.to_owned()
                } else {
                    printable(&without_value(&error.into_inner().to_string(), &name))
                };
                errors.push(FieldError::new(printable(&field), why));
            }
        }
    }
    (ScanRequestDraft::deserialize(Value::Object(good)).unwrap_or_default(), errors)
}

/// Returns the field of a path, such as `plugins` of `plugins[2]`.
fn root(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_wrong_type_and_each_unknown_field_is_named() {
        let Value::Object(fields) =
            json!({"target": 5, "plugins": ["a", 7], "max_workers": 3, "colour": "red", "dry_run": "yes"})
        else {
            unreachable!()
        };
        let (draft, errors) = typed(fields);
        let mut named: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        named.sort_unstable();
        assert_eq!(named, ["colour", "dry_run", "plugins[1]", "target"]);
        assert_eq!(draft.max_workers, Some(3));
    }

    #[test]
    fn override_as_a_field_name_is_named_without_its_value() {
        for name in ["zap.remote.api_key=hunter2", "secret:zap.x=hunter2=hunter2", "=hunter2", "overrides=hunter2"] {
            let (_, errors) = typed(Map::from_iter([(name.to_owned(), json!(1))]));
            let shown = format!("{}=…", name.split('=').next().unwrap());
            assert!(errors.len() == 1 && errors[0].field == shown && errors[0].message.contains(&shown), "{errors:?}");
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().unwrap())]);
            let problem =
                read_object::<crate::api_types::RerunBody>(&headers, Ok(json!({ name: 1 }).to_string().into()))
                    .unwrap_err();
            let said = format!("{problem:?}{errors:?}");
            assert!(said.contains(&shown) && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn a_setting_of_the_wrong_type_is_not_repeated() {
        for overrides in [
            json!("zap.remote.api_key=hunter2"),
            json!({"zap.remote.api_key": "hunter2"}),
            json!([{"zap": "hunter2"}]),
            json!([["hunter2"]]),
        ] {
            let (_, errors) = typed(Map::from_iter([("overrides".to_owned(), overrides.clone())]));
            assert!(
                errors.len() == 1 && errors[0].field.starts_with("overrides") && errors[0].message == OVERRIDES_FORM,
                "{overrides}: {errors:?}"
            );
        }
    }

    #[test]
    fn key_of_a_batch_has_room_for_the_places() {
        let read = |length: usize| {
            read_batch_key(&HeaderMap::from_iter([(KEY_HEADER.parse().unwrap(), "x".repeat(length).parse().unwrap())]))
        };
        assert!(read(251).unwrap().is_some() && read(252).is_err());
        assert_eq!(read_batch_key(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn key_header_with_other_than_visible_ascii_is_refused() {
        let read = |text: &[u8]| {
            read_key(&HeaderMap::from_iter([(
                KEY_HEADER.parse().unwrap(),
                axum::http::HeaderValue::from_bytes(text).unwrap(),
            )]))
        };
        assert_eq!(read(b"a-1").unwrap(), "a-1".parse().ok());
        for bad in [&b""[..], b"with blank", "\u{e9}".as_bytes(), &[b'x'; 256]] {
            assert!(read(bad).is_err());
        }
    }
}
