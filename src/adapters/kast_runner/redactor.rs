//! Takes secrets out of a stream of bytes, also where one is split between two reads.

use std::borrow::Cow;
use std::sync::Arc;

use kastrel_actors::model::HIDDEN_VALUE;

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
        let mut secrets: Vec<Vec<u8>> = secrets.iter().filter(|one| one.chars().count() >= LEAST_CHARS).map(|one| one.as_bytes().to_vec()).collect();
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
    fn without_a_secret_worth_looking_for_nothing_changes() {
        assert_eq!(pass(&[], &["anything"]), "anything");
        assert_eq!(pass(&["1", "abc"], &["1 abc"]), "1 abc");
        assert!(matches!(Redactor::new(Arc::default()).pass(b"x", false), Cow::Borrowed(_)));
    }
}
