//! Text of scanned sites, made safe to store and to show: bounded, on one line, without control
//! characters.

/// The mark at the end of a text that was cut.
const CUT: char = '…';

/// Cleans a text: removes terminal escape sequences, control characters and characters that change
/// the direction of text, joins white space to single spaces, and cuts the text to `most_chars`.
/// Cleaning twice changes nothing more.
#[must_use]
pub fn clean(text: &str, most_chars: usize) -> String {
    let mut out = String::new();
    let (mut count, mut space) = (0_usize, false);
    for c in visible(text) {
        if c.is_whitespace() {
            space = count > 0;
            continue;
        }
        let wanted = 1 + usize::from(space);
        if count + wanted > most_chars {
            return cut(out, most_chars);
        }
        if space {
            out.push(' ');
        }
        out.push(c);
        (count, space) = (count + wanted, false);
    }
    out
}

/// Replaces the end of a full text with the mark.
fn cut(mut out: String, most_chars: usize) -> String {
    if most_chars == 0 {
        return String::new();
    }
    while out.chars().count() >= most_chars {
        out.pop();
    }
    out.truncate(out.trim_end().len());
    if !out.ends_with(CUT) {
        out.push(CUT);
    }
    out
}

/// The characters that a reader sees. A line end counts as white space.
fn visible(text: &str) -> impl Iterator<Item = char> {
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        loop {
            let c = chars.next()?;
            if c == '\u{1b}' {
                skip_escape(&mut chars);
            } else if c.is_whitespace() {
                return Some(' ');
            } else if !is_hidden(c) {
                return Some(c);
            }
        }
    })
}

/// Skips the rest of an escape sequence: `[`, its parameters and its final byte, or one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if chars.next_if_eq(&'[').is_none() {
        return;
    }
    while let Some(c) = chars.next_if(|c| matches!(c, ' '..='~')) {
        if matches!(c, '@'..='~') {
            break;
        }
    }
}

/// True for control characters and for characters that are not seen but change what is seen.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Removes the tags of a text in HTML, and decodes its five basic entities. The result is text for
/// people, and no safe HTML.
#[must_use]
pub fn without_tags(html: &str) -> String {
    let mut out = String::with_capacity(html.len().min(4096));
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let is_tag = after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        match after.find('>') {
            Some(close) if is_tag => {
                out.push(' ');
                rest = &after[close + 1..];
            }
            Some(_) => {
                out.push('<');
                rest = after;
            }
            None => {
                rest = &rest[open..];
                break;
            }
        }
    }
    out.push_str(rest);
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(out, |text, (entity, plain)| if text.contains(entity) { text.replace(entity, plain) } else { text })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_and_escape_sequences_are_removed() {
        let cases = [
            ("\u{1b}[0;35munrecognized\u{1b}[m option", "unrecognized option"),
            ("a\u{0}b\u{7}c\u{9b}d", "abcd"),
            ("  two\r\n\tlines  ", "two lines"),
            ("exe.\u{202e}gnp", "exe.gnp"),
            ("zero\u{200b}width", "zerowidth"),
            ("\u{1b}", ""),
            ("\u{1b}[1", ""),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text, 100), expected, "{text:?}");
        }
    }

    #[test]
    fn a_long_text_ends_with_the_mark() {
        assert_eq!(clean("abcdef", 6), "abcdef");
        assert_eq!(clean("abcdefg", 6), "abcde…");
        assert_eq!(clean("abcd  efgh", 6), "abcd…");
        assert_eq!(clean("abc", 0), "");
    }

    #[test]
    fn tags_are_removed_and_comparisons_stay() {
        assert_eq!(clean(&without_tags("<p>a &lt;b&gt; &amp;amp;</p><p>c</p>"), 99), "a <b> &amp; c");
        assert_eq!(without_tags("1 < 2 and 3 > 2"), "1 < 2 and 3 > 2");
        assert_eq!(without_tags("open <b"), "open <b");
    }

    proptest! {
        #[test]
        fn cleaning_is_bounded_and_idempotent(text in any::<String>(), most in 0_usize..40) {
            let once = clean(&text, most);
            prop_assert!(once.chars().count() <= most);
            prop_assert!(!once.chars().any(char::is_control));
            prop_assert_eq!(clean(&once, most), once.clone());
        }
    }
}
