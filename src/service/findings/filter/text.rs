//! The pieces of a filter: tokens with their values, and words.

use super::error::FilterError;

/// The names of tokens.
const NAMES: [&str; 13] = [
    "severity", "status", "plugin", "category", "issue", "target", "project", "tag", "owner", "age", "new", "since",
    "is",
];

/// A piece of a filter.
pub(super) enum Piece<'a> {
    /// A free word.
    Word(String),
    /// A token.
    Token {
        /// The token as it was written.
        text: &'a str,
        /// Its name.
        name: &'static str,
        /// Its values, each with whether it was quoted.
        values: Vec<(String, bool)>,
    },
}

/// Splits a filter into its pieces.
pub(super) fn pieces(line: &str) -> Result<Vec<Piece<'_>>, FilterError> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let length = item_length(rest);
        let (item, after) = rest.split_at(length);
        found.push(piece(item)?);
        rest = after.trim_start();
    }
    Ok(found)
}

/// The length of the first item in bytes: up to a blank that is not quoted.
fn item_length(text: &str) -> usize {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            c if c.is_whitespace() && !is_quoted => return at,
            _ => {}
        }
    }
    text.len()
}

fn piece(item: &str) -> Result<Piece<'_>, FilterError> {
    if item.starts_with('"') {
        let (text, rest) = unquoted(item, item)?;
        return match rest {
            "" if text.trim().is_empty() => Err(FilterError::new(item, "the word is empty")),
            "" => Ok(Piece::Word(text)),
            _ => Err(FilterError::new(item, "a blank is missing after the quote")),
        };
    }
    let Some((name, mut rest)) = item.split_once(':').filter(|(_, rest)| !rest.starts_with("//")) else {
        return match item.contains('"') {
            true => Err(FilterError::new(item, "a quote must be at the start of a word or of a value")),
            false => Ok(Piece::Word(item.to_owned())),
        };
    };
    let Some(name) = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
        let known = NAMES.join(", ");
        let message = format!("`{name}` is no token: expected {known}; put a word with a colon into quotes");
        return Err(FilterError::new(item, message));
    };
    let mut values = Vec::new();
    loop {
        if rest.starts_with('"') {
            let (text, after) = unquoted(rest, item)?;
            values.push((text, true));
            rest = after;
        } else {
            let length = rest.find([',', '"']).unwrap_or(rest.len());
            values.push((rest[..length].to_owned(), false));
            rest = &rest[length..];
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(Piece::Token { text: item, name, values }),
            None => return Err(FilterError::new(item, "a comma is missing between two values")),
        }
    }
}

/// Reads a quoted text, and returns it with what follows.
fn unquoted<'a>(text: &'a str, item: &str) -> Result<(String, &'a str), FilterError> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err(FilterError::new(item, "the closing quote is missing"))
}

/// Returns a value as it is written in a token.
pub(super) fn quoted(value: &str) -> String {
    let needs_quotes = value.contains(|c: char| c.is_whitespace() || matches!(c, ',' | '"'));
    if needs_quotes || value.is_empty() || value.starts_with("//") { in_quotes(value) } else { value.to_owned() }
}

/// Returns a word as it is written.
pub(super) fn word(word: &str) -> String {
    let is_token = word.split_once(':').is_some_and(|(name, rest)| {
        !rest.starts_with("//") || NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
    });
    let needs_quotes = is_token || word.is_empty() || word.contains(|c: char| c.is_whitespace() || c == '"');
    if needs_quotes { in_quotes(word) } else { word.to_owned() }
}

fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
