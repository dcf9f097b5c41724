//! Text for terminals: text that the scanned site chose cannot control the terminal.

pub use crate::human_time::seconds as duration;
use crate::terminal_text;

/// Returns the text on one line, without escape sequences, control characters, and invisible
/// characters that reorder or hide text.
#[must_use]
pub fn plain(text: &str) -> String {
    terminal_text::plain(&text.replace('\r', " ")).replace(['\n', '\t'], " ")
}

/// Like [`plain`], cut to `most` characters.
#[must_use]
pub fn brief(text: &str, most: usize) -> String {
    let text = plain(text);
    let text = text.trim();
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Formats a count: `1 finding`, `2 findings`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Returns a sentence with a lower-case first letter, to follow a colon.
#[must_use]
pub fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Returns the text indented by `indent` spaces, wrapped between words at the width of the
/// terminal.
#[must_use]
pub fn wrapped(text: &str, indent: usize, width: Option<u16>) -> String {
    let margin = " ".repeat(indent);
    let room = width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(indent).max(20));
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            lines.push(format!("{margin}{}", std::mem::take(&mut line)));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("{margin}{line}"));
    lines.join("\n")
}

/// Formats a number of bytes with a binary unit.
#[must_use]
pub fn bytes(number: u64) -> String {
    const STEPS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    STEPS
        .iter()
        .find(|(_, size)| number >= *size)
        .map_or_else(|| format!("{number} B"), |(unit, size)| format!("{} {unit}", number / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_neutralized() {
        for (given, shown) in [
            ("plain", "plain"),
            ("a\u{1b}[31mred\u{1b}[0m", "ared"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("a\u{1b}(Bc\u{1b}[", "ac"),
            ("line\nbreak\ttab\r", "line break tab "),
            ("a\u{202e}b\u{200b}c\u{9b}2J", "abc"),
            ("\u{1b}[", ""),
            ("日本", "日本"),
        ] {
            assert_eq!(plain(given), shown, "{given:?}");
        }
        assert_eq!(brief("  abcdef ", 4), "abc…");
        assert_eq!(brief("abcd", 4), "abcd");
    }

    #[test]
    fn long_texts_are_broken_between_words() {
        assert_eq!(wrapped("Failed: one, two, three, four", 2, Some(22)), "  Failed: one, two,\n  three, four");
        assert_eq!(wrapped("Failed: one, two, three, four", 2, None), "  Failed: one, two, three, four");
        assert_eq!(uncapitalised("Queued, 1st"), "queued, 1st");
    }

    #[test]
    fn counts_and_bytes_are_readable() {
        assert_eq!((bytes(12), bytes(2048), bytes(5 << 30)), ("12 B".into(), "2 KiB".into(), "5 GiB".into()));
        assert_eq!((count(1, "finding"), count(0, "finding")), ("1 finding".into(), "0 findings".into()));
    }
}
