//! The rules for texts that people enter.

use kastrel_actors::model::FieldError;

use crate::terminal_text;

/// The longest label of a token or a link and title of a project, in characters.
const MOST_OF_LABEL: usize = 100;

/// Returns a text as one line without control characters, escape sequences and characters that
/// hide text or change its direction.
pub(super) fn one_line(text: &str) -> String {
    let shown: String = terminal_text::shown(text).map(|c| if c.is_control() { ' ' } else { c }).collect();
    shown.trim().to_owned()
}

/// Returns a label, or adds the error of its field.
pub(super) fn label(field: &str, text: &str, errors: &mut Vec<FieldError>) -> String {
    let label = one_line(text);
    if !(1..=MOST_OF_LABEL).contains(&label.chars().count()) {
        errors.push(FieldError::new(field, format!("expected 1 to {MOST_OF_LABEL} characters")));
    }
    label
}

/// Returns a label that may be empty, or adds the error of its field.
pub(super) fn optional_label(field: &str, text: &str, errors: &mut Vec<FieldError>) -> String {
    if one_line(text).is_empty() { String::new() } else { label(field, text, errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_no_control_characters() {
        assert_eq!(one_line(" a\u{1b}[31mb\u{0}\r\nc\td\u{202e}e "), "ab c de");
    }

    #[test]
    fn optional_label_may_be_empty() {
        let mut errors = Vec::new();
        assert_eq!(optional_label("label", " \u{0} ", &mut errors), "");
        assert_eq!(optional_label("label", " a ", &mut errors), "a");
        assert!(errors.is_empty());
        optional_label("label", &"a".repeat(101), &mut errors);
        assert_eq!(errors.len(), 1);
    }

    #[test]
    fn label_has_1_to_100_characters() {
        for (text, is_valid) in
            [("", false), (" \u{0} ", false), ("é", true), (&"é".repeat(100), true), (&"é".repeat(101), false)]
        {
            let mut errors = Vec::new();
            let label = label("title", text, &mut errors);
            let expected = (!is_valid).then(|| FieldError::new("title", "expected 1 to 100 characters"));
            assert_eq!(errors, Vec::from_iter(expected), "{text}");
            assert!(!is_valid || label == text, "{text}");
        }
    }
}
