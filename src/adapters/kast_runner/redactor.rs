//! Takes secrets out of a stream of bytes, also where one is split between two reads, and in the forms in which programs print them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use kastrel_actors::model::{HIDDEN_VALUE, texts};

/// The least length of a secret that is looked for: a shorter one stands in every text by chance.
pub(super) const LEAST_CHARS: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Redactor {
    /// The longest first, so that of two secrets of which one contains the other nothing is left.
    secrets: Vec<Vec<u8>>,
    /// The end of what came: it may be the beginning of a secret.
    held: Vec<u8>,
}

impl Redactor {
    pub(super) fn new(secrets: Arc<[String]>) -> Self {
        let forms: BTreeSet<String> =
            secrets.iter().flat_map(|secret| parts(secret)).filter(|one| one.chars().count() >= LEAST_CHARS).flat_map(|one| forms(&one)).collect();
        let mut secrets: Vec<Vec<u8>> = forms.into_iter().map(String::into_bytes).collect();
        secrets.sort_unstable_by_key(|one| std::cmp::Reverse(one.len()));
        Self { secrets, held: Vec::new() }
    }

    /// What may be recorded of `chunk` and of what was held back before. At the end of the stream nothing is held back.
    pub(super) fn pass<'a>(&mut self, chunk: &'a [u8], is_end: bool) -> Cow<'a, [u8]> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(chunk);
        }
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(chunk);
        let mut passed = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if !is_end && self.secrets.iter().any(|secret| secret.len() > rest.len() && secret.starts_with(rest)) {
                self.held = rest.to_vec();
                break;
            }
            if let Some(secret) = self.secrets.iter().find(|secret| rest.starts_with(secret)) {
                passed.extend_from_slice(HIDDEN_VALUE.as_bytes());
                at += secret.len();
            } else {
                passed.push(bytes[at]);
                at += 1;
            }
        }
        Cow::Owned(passed)
    }
}

/// A value, the elements of a list, the strings of JSON, and the password of an address.
fn parts(secret: &str) -> Vec<String> {
    let mut parts = texts(secret);
    parts.extend(secret.split(',').map(|part| part.trim().to_owned()));
    let user = |text: &String| Some(text.split_once("://")?.1.split(['/', '?', '#']).next()?.rsplit_once('@')?.0.to_owned());
    let users: Vec<String> = parts.iter().filter_map(user).collect();
    parts.extend(users.iter().filter_map(|user| user.split_once(':')).map(|(_, password)| password.to_owned()));
    parts.extend(users);
    parts
}

/// A text as it is, within JSON, and within an address.
fn forms(text: &str) -> Vec<String> {
    let json = serde_json::Value::from(text).to_string();
    let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or(&json).to_owned();
    let ascii: String = json
        .encode_utf16()
        .map(|unit| u8::try_from(unit).ok().filter(u8::is_ascii).map_or_else(|| format!("\\u{unit:04x}"), |byte| char::from(byte).to_string()))
        .collect();
    let path = percent_encoding::utf8_percent_encode(text, PATH).to_string();
    let query = percent_encoding::utf8_percent_encode(text, QUERY).to_string();
    let form = query.replace("%20", "+");
    let lower: Vec<String> = [&path, &query, &form].into_iter().map(|text| in_lower_case(text)).collect();
    [text.to_owned(), json, ascii, path, query, form].into_iter().chain(lower).collect()
}

/// What Python's `quote` encodes, and most other programs.
const QUERY: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &percent_encoding::AsciiSet = &QUERY.remove(b'/');

/// `%2F` as `%2f`.
fn in_lower_case(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (digits, rest) = part.split_at(part.len().min(2));
        text + "%" + &digits.to_ascii_lowercase() + rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(secrets: &[&str], chunks: &[&str]) -> String {
        let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
        let mut redactor = Redactor::new(secrets.into());
        let mut passed = Vec::new();
        for chunk in chunks {
            passed.extend_from_slice(&redactor.pass(chunk.as_bytes(), false));
        }
        passed.extend_from_slice(&redactor.pass(b"", true));
        String::from_utf8(passed).unwrap()
    }

    #[test]
    fn a_secret_is_found_wherever_reads_split_it() {
        let text = "a hunter2 b hunter2hunter2 hunt";
        let expected = "a •••••• b •••••••••••• hunt";
        for at in 0..text.len() {
            assert_eq!(pass(&["hunter2"], &[&text[..at], &text[at..]]), expected, "{at}");
        }
        let letters: Vec<&str> = text.split("").collect();
        assert_eq!(pass(&["hunter2"], &letters), expected);
    }

    #[test]
    fn of_secrets_that_begin_alike_the_longer_one_is_taken() {
        for chunks in [&["x abcdef y"][..], &["x ab", "cd", "ef y"]] {
            assert_eq!(pass(&["abcd", "abcdef"], chunks), "x •••••• y");
        }
        assert_eq!(pass(&["abcd", "abcdef"], &["abcde"]), "••••••e");
        assert_eq!(pass(&["aaaab"], &["aaaaab"]), "a••••••");
    }

    #[test]
    fn a_secret_is_found_in_the_forms_in_which_programs_print_it() {
        for (secret, printed) in [
            ("hun\"ter\\2", r#"hun"ter\2"#),
            ("hun\"ter\\2", r#"hun\"ter\\2"#),
            ("hünter 2", r"h\u00fcnter 2"),
            ("pass😀word", r"pass\ud83d\ude00word"),
            ("hun ter/2", "hun%20ter/2"),
            ("hun ter/2", "hun%20ter%2F2"),
            ("hun ter/2", "hun%20ter%2f2"),
            ("hun ter/2", "hun+ter%2F2"),
            ("first, hunter2", "hunter2"),
            (r#"["first", "hunter2"]"#, "hunter2"),
            (r#"{"Authorization": "hunter2"}"#, "hunter2"),
            ("http://user:hunter2@proxy", "hunter2"),
            ("http://user:hunter2@proxy", "user:hunter2"),
        ] {
            let shown = pass(&[secret], &["a ", printed, " b"]);
            assert_eq!(shown, "a •••••• b", "{secret} as {printed}");
        }
    }

    #[test]
    fn without_a_secret_worth_looking_for_nothing_changes() {
        assert_eq!(pass(&[], &["anything"]), "anything");
        assert_eq!(pass(&["1", "abc"], &["1 abc"]), "1 abc");
        assert!(matches!(Redactor::new(Arc::default()).pass(b"x", false), Cow::Borrowed(_)));
    }
}
