//! Removes secrets from a stream of bytes. Finds a secret also if two reads split it, and in the
//! encodings in which programs print it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use kastrel_actors::model::{HIDDEN_VALUE, texts};
use percent_encoding::percent_decode_str;

use self::forms::{Form, Forms, LEAST_CHARS};

mod forms;

/// The limits for the search of encoded forms: the number of secrets, and the length of each in
/// bytes. In practice, a scan has fewer and shorter secrets.
const MOST_ENCODED: usize = 256;
const MOST_ENCODED_BYTES: usize = 16 << 10;

/// Removes secrets from one stream. See the module docs.
#[derive(Debug)]
pub(super) struct Redactor {
    forms: Arc<[Form]>,
    /// For each byte, the forms that can start with it.
    by_first: Vec<Vec<usize>>,
    /// The unprocessed end of the stream, which may be the start of a secret.
    held: Vec<u8>,
}

impl Redactor {
    pub(super) fn new(secrets: Arc<[String]>) -> Self {
        let parts: BTreeSet<String> =
            secrets.iter().flat_map(|secret| parts(secret)).filter(|one| one.chars().count() >= LEAST_CHARS).collect();
        let (mut maker, mut forms) = (Forms::default(), Vec::new());
        for (at, part) in parts.iter().enumerate() {
            forms.extend(maker.escaped(part));
            if at < MOST_ENCODED && part.len() <= MOST_ENCODED_BYTES {
                forms.extend(maker.encoded(part));
            }
        }
        let mut by_first = if forms.is_empty() { Vec::new() } else { vec![Vec::new(); 256] };
        for (at, form) in forms.iter().enumerate() {
            for byte in form.first_bytes() {
                by_first[usize::from(byte)].push(at);
            }
        }
        Self { forms: forms.into(), by_first, held: Vec::new() }
    }

    /// Returns the redacted bytes of the held-back rest and of `chunk`. At the end of the stream,
    /// nothing is held back. If several secrets start at the same byte, the longest one is removed,
    /// so that no part of it remains.
    pub(super) fn pass<'a>(&mut self, chunk: &'a [u8], is_end: bool) -> Cow<'a, [u8]> {
        if self.forms.is_empty() {
            return Cow::Borrowed(chunk);
        }
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(chunk);
        let mut passed = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let (mut whole, mut may_go_on) = (None, false);
            for form in &self.by_first[usize::from(rest[0])] {
                let found = self.forms[*form].find(rest);
                whole = whole.max(found.whole);
                may_go_on |= found.may_go_on;
            }
            if may_go_on && !is_end {
                self.held = rest.to_vec();
                break;
            }
            if let Some(length) = whole {
                passed.extend_from_slice(HIDDEN_VALUE.as_bytes());
                at += length;
            } else {
                passed.push(rest[0]);
                at += 1;
            }
        }
        Cow::Owned(passed)
    }
}

/// The parts of a secret that are searched: the value itself, the elements of a list, the strings
/// of JSON, the credentials after an authorization scheme, and the user and password of a URL, both
/// encoded and decoded.
fn parts(secret: &str) -> Vec<String> {
    let mut parts = texts(secret);
    parts.extend(secret.split(',').map(|part| part.trim().to_owned()));
    let credentials = |text: &String| {
        let (scheme, rest) = text.trim().split_once(' ')?;
        (scheme.eq_ignore_ascii_case("basic") || scheme.eq_ignore_ascii_case("bearer")).then(|| rest.trim().to_owned())
    };
    parts.extend(parts.iter().filter_map(credentials).collect::<Vec<_>>());
    let user = |text: &String| {
        Some(
            text.split_once("://")
                .map_or(text.as_str(), |(_, rest)| rest)
                .split(['/', '?', '#'])
                .next()?
                .rsplit_once('@')?
                .0
                .to_owned(),
        )
    };
    let users: Vec<String> = parts.iter().filter_map(user).collect();
    let passwords = users.iter().filter_map(|user| user.split_once(':')).map(|(_, password)| password.to_owned());
    let found: Vec<String> = passwords.chain(users.iter().cloned()).collect();
    parts.extend(
        found
            .iter()
            .filter_map(|text| percent_decode_str(text).decode_utf8().ok())
            .map(Cow::into_owned)
            .collect::<Vec<_>>(),
    );
    parts.extend(found);
    parts
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
    fn secret_split_by_reads_is_removed() {
        let text = "a hunter2 b hunter2hunter2 hunt";
        let expected = "a •••••• b •••••••••••• hunt";
        for at in 0..text.len() {
            assert_eq!(pass(&["hunter2"], &[&text[..at], &text[at..]]), expected, "{at}");
        }
        let letters: Vec<&str> = text.split("").collect();
        assert_eq!(pass(&["hunter2"], &letters), expected);
    }

    #[test]
    fn longest_of_overlapping_secrets_is_removed() {
        for chunks in [&["x abcdef y"][..], &["x ab", "cd", "ef y"]] {
            assert_eq!(pass(&["abcd", "abcdef"], chunks), "x •••••• y");
        }
        assert_eq!(pass(&["abcd", "abcdef"], &["abcde"]), "••••••e");
        assert_eq!(pass(&["aaaab"], &["aaaaab"]), "a••••••");
    }

    #[test]
    fn secret_in_a_printed_form_is_removed() {
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

    const ODD: &str = "pä\"ss&w/o<r'd\\=+9>";

    #[test]
    fn odd_secret_in_every_usual_form_is_removed_across_reads() {
        let bytes: Vec<u8> = ODD.bytes().collect();
        let hex = hex::encode(bytes);
        for (form, printed) in [
            ("as it is", ODD.to_owned()),
            ("JSON", r#"pä\"ss&w/o<r'd\\=+9>"#.into()),
            ("JSON, ASCII", r#"p\u00e4\"ss&w/o<r'd\\=+9>"#.into()),
            ("JSON, ASCII, large digits", r#"p\u00E4\"ss&w/o<r'd\\=+9>"#.into()),
            ("JSON of Go", r#"pä\"ss\u0026w/o\u003cr'd\\=+9\u003e"#.into()),
            ("JSON of PHP", r#"p\u00e4\"ss&w\/o<r'd\\=+9>"#.into()),
            ("JSON in JSON", r#"pä\\\"ss&w/o<r'd\\\\=+9>"#.into()),
            ("JSON of Go in JSON", r#"pä\\\"ss\\u0026w/o\\u003cr'd\\\\=+9\\u003e"#.into()),
            ("JSON in a literal of Python", r#"p\\u00e4\\"ss&w/o<r\'d\\\\=+9>"#.into()),
            ("JSON in HTML", r#"pä\&#34;ss&amp;w/o&lt;r&#39;d\\=+9&gt;"#.into()),
            ("HTML of Python", "pä&quot;ss&amp;w/o&lt;r&#x27;d\\=+9&gt;".into()),
            ("HTML of Go", "pä&#34;ss&amp;w/o&lt;r&#39;d\\=&#43;9&gt;".into()),
            ("HTML of PHP", "pä&quot;ss&amp;w/o&lt;r&#039;d\\=+9&gt;".into()),
            ("HTML of JavaScript", "pä&quot;ss&amp;w&#x2F;o&lt;r&apos;d\\&#x3D;+9&gt;".into()),
            ("HTML, ASCII", "p&#228;&quot;ss&amp;w/o&lt;r&#39;d&#92;=+9&gt;".into()),
            ("XML, ASCII", "p&#xE4;&quot;ss&amp;w/o&lt;r'd\\=+9&gt;".into()),
            ("a literal of Python", r#"pä"ss&w/o<r\'d\\=+9>"#.into()),
            ("ascii() of Python", r#"p\xe4"ss&w/o<r\'d\\=+9>"#.into()),
            ("bytes of Python", r#"p\xc3\xa4"ss&w/o<r\'d\\=+9>"#.into()),
            ("an address", "p%C3%A4%22ss%26w%2Fo%3Cr%27d%5C%3D%2B9%3E".into()),
            ("an address, small digits", "p%c3%a4%22ss%26w%2fo%3cr%27d%5c%3d%2b9%3e".into()),
            ("an address with more as it is", "p%C3%A4%22ss&w/o%3Cr'd%5C=+9%3E".into()),
            ("a shell", r#"pä"ss&w/o<r'\''d\=+9>"#.into()),
            ("shlex of Python", r#"pä"ss&w/o<r'"'"'d\=+9>"#.into()),
            ("printf %q", r#"pä\"ss\&w/o\<r\'d\\=+9\>"#.into()),
            ("hexadecimal", hex.clone()),
            ("hexadecimal, large digits", hex.to_uppercase()),
        ] {
            let text = format!("a {printed} b");
            assert_eq!(pass(&[ODD], &[&text]), "a •••••• b", "{form}: {printed}");
            for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
                assert_eq!(pass(&[ODD], &[&text[..at], &text[at..]]), "a •••••• b", "{form} at {at}");
            }
        }
    }

    /// Generated with another program's standard encoder (`base64`).
    #[test]
    fn base64_of_a_secret_is_found_in_all_three_alignments() {
        for (printed, shown) in [
            ("aHVudGVyMg==", "••••••"),
            ("aHVudGVyMg", "••••••"),
            ("dXNlcjpodW50ZXIy", "dXNlcjp••••••"),
            ("dTpodW50ZXIy", "dTp••••••"),
            ("YWI6aHVudGVyMg==", "YWI6••••••"),
            ("YTphOmh1bnRlcjI=", "YTphOm••••••"),
            ("aHVudGVyMjp4", "••••••jp4"),
        ] {
            for at in 0..printed.len() {
                let passed = pass(&["hunter2"], &["x ", &printed[..at], &printed[at..], " y"]);
                assert_eq!(passed, format!("x {shown} y"), "{printed} at {at}");
            }
        }
        let odd = "a>>?b~~?";
        for printed in ["YT4+P2J+fj8=", "YT4-P2J-fj8=", r"YT4+P2J+fj8\u003d", "YT4%2BP2J%2Bfj8%3D"] {
            assert_eq!(pass(&[odd], &["x ", printed, " y"]), "x •••••• y", "{printed}");
        }
    }

    #[test]
    fn parts_of_a_secret_are_removed() {
        for (secret, printed) in [
            ("Bearer hunter2", "hunter2"),
            ("basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
            ("user:hunter2@proxy:3128", "hunter2"),
            ("http://user:hun%40ter2@proxy", "hun@ter2"),
            ("http://user:hun%40ter2@proxy", "user:hun@ter2"),
        ] {
            assert_eq!(pass(&[secret], &["a ", printed, " b"]), "a •••••• b", "{secret}");
        }
    }

    /// The cost stays small even if every byte may start a secret or an escape.
    #[test]
    fn hostile_secrets_do_not_cost_much_time() {
        for (secret, text) in [
            ("\\".repeat(2_000), "\\".repeat(20_000)),
            ("&".repeat(2_000), "&amp;".repeat(20_000)),
            ("%25".repeat(1_000), "%25".repeat(20_000)),
        ] {
            let mut redactor = Redactor::new(Arc::new([secret]));
            let mut passed = Vec::new();
            for chunk in text.as_bytes().chunks(1 << 10) {
                passed.extend_from_slice(&redactor.pass(chunk, false));
            }
            passed.extend_from_slice(&redactor.pass(b"", true));
            assert_eq!(String::from_utf8(passed).unwrap().replace(HIDDEN_VALUE, ""), "");
        }
    }

    #[test]
    fn stream_without_long_secrets_is_unchanged() {
        assert_eq!(pass(&[], &["anything"]), "anything");
        assert_eq!(pass(&["1", "abc"], &["1 abc"]), "1 abc");
        assert!(matches!(Redactor::new(Arc::default()).pass(b"x", false), Cow::Borrowed(_)));
    }
}
