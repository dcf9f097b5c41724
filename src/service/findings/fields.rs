//! The rules for the texts that people enter about findings, targets and scans.

use kastrel_actors::model::FieldError;
use kastrel_actors::service::CommandError;
use kastrel_findings::text::clean;

/// The longest comment in characters.
pub const MOST_COMMENT_CHARS: usize = 2_000;
/// The longest notes in characters.
pub const MOST_NOTE_CHARS: usize = 4_000;
/// The most tags of a target or a scan.
pub const MOST_TAGS: usize = 20;
/// The longest tag in characters.
pub const MOST_TAG_CHARS: usize = 40;

/// Creates the error of one field.
pub(super) fn wrong(field: &str, message: impl Into<String>) -> CommandError {
    CommandError::Invalid(FieldError::new(field, message))
}

/// Returns tags sorted and each once.
///
/// # Errors
/// A tag is no tag, or there are too many: field `tags`.
pub(super) fn tags(given: &[String]) -> Result<Vec<String>, CommandError> {
    let mut tags: Vec<String> = given.iter().map(|tag| tag.trim().to_owned()).collect();
    tags.sort_unstable();
    tags.dedup();
    if let Some(other) = tags.iter().find(|tag| !is_tag(tag)) {
        let shown = clean(other, MOST_TAG_CHARS);
        let form = format!("expected 1 to {MOST_TAG_CHARS} letters, digits and `-`, `_`, `.`, `/`");
        return Err(wrong("tags", format!("`{shown}` is no tag: {form}")));
    }
    if tags.len() > MOST_TAGS {
        return Err(wrong("tags", format!("expected at most {MOST_TAGS} tags")));
    }
    Ok(tags)
}

fn is_tag(text: &str) -> bool {
    (1..=MOST_TAG_CHARS).contains(&text.chars().count())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
}

/// Returns a text of several lines without control characters, escape sequences and characters that
/// hide text or change its direction. Lines keep their blanks only between words.
///
/// # Errors
/// The text is too long; the error names the field.
pub(super) fn lines(field: &str, text: &str, most: usize) -> Result<String, CommandError> {
    if text.trim().chars().count() > most {
        return Err(wrong(field, format!("expected at most {most} characters")));
    }
    let lines: Vec<String> = text.trim().lines().map(|line| clean(line, most)).collect();
    Ok(lines.join("\n").trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags_of(given: &[&str]) -> Result<Vec<String>, String> {
        tags(&given.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>()).map_err(|error| error.to_string())
    }

    #[test]
    fn tags_are_sorted_and_there_once() {
        assert_eq!(
            tags_of(&["prod", " eu/west-1", "prod", "Ärzte_v1.2"]).unwrap(),
            ["eu/west-1", "prod", "Ärzte_v1.2"]
        );
        assert_eq!(tags_of(&[]).unwrap(), [""; 0]);
        let long = "a".repeat(MOST_TAG_CHARS + 1);
        for wrong in ["", " ", "a b", "a,b", "a:b", "\u{1b}[2J", long.as_str()] {
            let error = tags_of(&["ok", wrong]).unwrap_err();
            assert!(error.starts_with("tags: `") && !error.contains('\u{1b}'), "{error}");
        }
        let many: Vec<String> = (0..=MOST_TAGS).map(|tag| tag.to_string()).collect();
        assert_eq!(tags(&many).unwrap_err().to_string(), "tags: expected at most 20 tags");
    }

    #[test]
    fn text_of_several_lines_is_cleaned_and_never_cut() {
        let text = lines("notes", " one\u{1b}[31m  two\r\n\r\nthree\u{202e}\u{0} ", 30).unwrap();
        assert_eq!(text, "one two\n\nthree");
        assert_eq!(lines("notes", &"é".repeat(30), 30).unwrap(), "é".repeat(30));
        let error = lines("notes", &"é".repeat(31), 30).unwrap_err();
        assert_eq!(error.to_string(), "notes: expected at most 30 characters");
    }
}
