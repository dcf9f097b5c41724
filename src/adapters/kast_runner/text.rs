//! Makes text from the scanned site safe to show.

use crate::terminal_text;

/// Returns one line without control characters, terminal escape sequences or direction overrides,
/// of at most `most` characters.
pub(super) fn clean(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    // A carriage return separates words here, because the text that it overwrites on a terminal is
    // useful in a message.
    let parted = text.replace('\r', "\n");
    for c in terminal_text::shown(&parted) {
        let c = if matches!(c, '\n' | '\t') { ' ' } else { c };
        if c == ' ' && line.ends_with(' ') {
            continue;
        }
        if count == most {
            line.pop();
            line.push('…');
            break;
        }
        line.push(c);
        count += 1;
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_printable() {
        for (given, shown) in [
            ("plain", "plain"),
            ("\u{1b}[0;35m/usr/bin/testssl: unrecognized\u{1b}[m", "/usr/bin/testssl: unrecognized"),
            ("a\u{0}b\u{7}c\u{9c}d", "abcd"),
            ("line one\nline\ttwo\r\n", "line one line two"),
            ("one\rtwo", "one two"),
            ("title\u{1b}]0;owned\u{7}!", "title!"),
            ("abc\u{202e}def", "abcdef"),
            ("cut \u{1b}[", "cut"),
            ("\u{1b}[31\u{0}x", "x"),
            ("bücher ⚿", "bücher ⚿"),
        ] {
            assert_eq!(clean(given, 100), shown, "{given:?}");
        }
    }

    #[test]
    fn clean_text_is_cut_by_characters() {
        assert_eq!(clean("äöüß", 4), "äöüß");
        assert_eq!(clean("äöüßx", 4), "äöü…");
        assert_eq!(clean(&"x".repeat(1_000_000), 500).chars().count(), 500);
    }
}
