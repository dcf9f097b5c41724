//! Text that the scanned site may have chosen, made fit for showing.

/// One line without control characters, terminal escape sequences or direction overrides, of at most `most` characters.
pub(super) fn clean(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut count = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let c = match c {
            '\u{1b}' => {
                skip_escape_sequence(&mut chars);
                continue;
            }
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() || is_direction_override(c) => continue,
            c => c,
        };
        if c == ' ' && shown.ends_with(' ') {
            continue;
        }
        if count == most {
            shown.pop();
            shown.push('…');
            break;
        }
        shown.push(c);
        count += 1;
    }
    shown.trim().to_owned()
}

/// After an escape: `[` parameters and a final letter (ECMA-48 CSI), or `]` up to the bell or string terminator (OSC), or one character.
fn skip_escape_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            while let Some(&c) = chars.peek() {
                if !(' '..='~').contains(&c) {
                    break;
                }
                chars.next();
                if ('@'..='~').contains(&c) {
                    break;
                }
            }
        }
        Some(']') => {
            for c in chars.by_ref().take(200) {
                if c == '\u{7}' || c == '\u{1b}' {
                    break;
                }
            }
        }
        Some(c) if !c.is_control() => {
            chars.next();
        }
        _ => {}
    }
}

/// Characters that change the direction of what follows and can so disguise it.
const fn is_direction_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
}

/// Whether `name` can be a plugin's name: safe as an argument and as a part of a file name.
pub(super) fn is_plugin_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_only_what_is_printable() {
        for (given, shown) in [
            ("plain", "plain"),
            ("\u{1b}[0;35m/usr/bin/testssl: unrecognized\u{1b}[m", "/usr/bin/testssl: unrecognized"),
            ("a\u{0}b\u{7}c\u{9b}d", "abcd"),
            ("line one\nline\ttwo\r\n", "line one line two"),
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
    fn is_cut_by_characters() {
        assert_eq!(clean("äöüß", 4), "äöüß");
        assert_eq!(clean("äöüßx", 4), "äöü…");
        assert_eq!(clean(&"x".repeat(1_000_000), 500).chars().count(), 500);
    }

    #[test]
    fn plugin_names_stay_in_their_folder() {
        for (name, ok) in [("whatweb", true), ("a-b_C9", true), ("", false), ("-x", false), ("../x", false), ("a b", false), ("ä", false)] {
            assert_eq!(is_plugin_name(name), ok, "{name}");
        }
    }
}
