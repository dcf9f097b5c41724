//! Words of a POSIX shell (IEEE Std 1003.1, XCU, section 2.2 "Quoting").

/// Quotes a text, so that a shell reads it as one word without any meaning.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Works like [`quoted`], but leaves a text as it is that has only ASCII letters, digits and the
/// characters of `plain`, which must have no meaning to a shell.
pub(crate) fn quoted_unless_plain(text: &str, plain: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || plain.contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { quoted(text) }
}
