//! The forms in which programs print a text: unchanged, in JSON, in HTML, in a URL, in a literal of
//! a programming language or a command line, and as hexadecimal or base64.
//!
//! A form is a sequence of units, one per character, and a unit is the list of the character's
//! spellings. So a form matches every mixture, for example a URL that encodes only some of the
//! characters. Its size grows only with the text.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The minimum length of a secret in characters. Shorter secrets are not searched, because they
/// occur in texts by chance.
pub(super) const LEAST_CHARS: usize = 4;
/// The maximum number of possible ends of a form at one position. Spellings with the same start are
/// resolved by the next unit.
const MOST_ENDS: usize = 16;

/// The spellings of one character.
type Unit = Vec<Vec<u8>>;

/// One form of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form(Vec<Arc<Unit>>);

/// The result of a match at the start of some bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The length of the longest match in bytes, if there is one.
    pub(super) whole: Option<usize>,
    /// True if more bytes could complete the match or make it longer.
    pub(super) may_go_on: bool,
}

impl Form {
    /// The bytes with which a form can start.
    pub(super) fn first_bytes(&self) -> BTreeSet<u8> {
        self.0
            .first()
            .into_iter()
            .flat_map(|unit| unit.iter())
            .filter_map(|spelling| spelling.first().copied())
            .collect()
    }

    /// Matches the form at the start of some bytes.
    pub(super) fn find(&self, bytes: &[u8]) -> Found {
        let (mut ends, mut count) = ([0; MOST_ENDS], 1);
        let mut may_go_on = false;
        for unit in &self.0 {
            let (mut next, mut next_count) = ([0; MOST_ENDS], 0);
            for end in &ends[..count] {
                let rest = &bytes[*end..];
                for spelling in unit.iter() {
                    if rest.starts_with(spelling) {
                        let new = end + spelling.len();
                        if next_count < MOST_ENDS && !next[..next_count].contains(&new) {
                            next[next_count] = new;
                            next_count += 1;
                        }
                    } else if spelling.starts_with(rest) {
                        may_go_on = true;
                    }
                }
            }
            (ends, count) = (next, next_count);
            if count == 0 {
                return Found { whole: None, may_go_on };
            }
        }
        Found { whole: ends[..count].iter().copied().max(), may_go_on }
    }
}

/// The number of times that a character was escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Level {
    Plain,
    Literal,
    LiteralTwice,
}

/// Creates forms. The spellings of a character are stored once, however often it occurs.
#[derive(Debug, Default)]
pub(super) struct Forms(HashMap<(Level, char), Arc<Unit>>);

impl Forms {
    fn form(&mut self, text: &str, level: Level) -> Form {
        let mut unit = |c| {
            let make = || {
                Arc::new(match level {
                    Level::Plain => plain(c),
                    Level::Literal => literal(c),
                    Level::LiteralTwice => literal_twice(c),
                })
            };
            Arc::clone(self.0.entry((level, c)).or_insert_with(make))
        };
        Form(text.chars().map(&mut unit).collect())
    }

    /// The forms of a text in which each character may be escaped.
    pub(super) fn escaped(&mut self, text: &str) -> Vec<Form> {
        let mut forms: Vec<Form> = Vec::new();
        for level in [Level::Plain, Level::Literal, Level::LiteralTwice] {
            let form = self.form(text, level);
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        forms
    }

    /// The forms of a text that is encoded as a unit: hexadecimal and base64. They also match if
    /// the text is only a part of the encoded data, as in `user:secret`. In that case the form
    /// excludes the characters at the edges, because they contain bits of the neighbours.
    pub(super) fn encoded(&mut self, text: &str) -> Vec<Form> {
        let bytes = text.as_bytes();
        let hex = |digits: &[u8; 16]| -> String {
            bytes
                .iter()
                .flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]])
                .map(char::from)
                .collect()
        };
        let mut texts = BTreeSet::from([hex(b"0123456789abcdef"), hex(b"0123456789ABCDEF")]);
        for before in 0..3 {
            for digits in [BASE64, BASE64_OF_ADDRESSES] {
                let padded = base64(&[&[0; 2][..before], bytes].concat(), digits);
                let unpadded = padded.trim_end_matches('=');
                // Excludes the characters with bits of the preceding text, and the last one if it
                // has bits of the following text.
                let first = (before * 8).div_ceil(6);
                let is_even = (before + bytes.len()).is_multiple_of(3);
                let inner = &unpadded[first..unpadded.len() - usize::from(!is_even)];
                texts.extend([inner, &unpadded[first..], &padded[first..]].map(str::to_owned));
            }
        }
        let texts = texts.into_iter().filter(|text| text.len() >= LEAST_CHARS);
        texts.map(|text| self.form(&text, Level::Literal)).collect()
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_OF_ADDRESSES: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64(bytes: &[u8], digits: &[u8; 64]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for at in 0..4_usize {
            let digit = usize::try_from((bits >> (18 - 6 * at)) & 63).unwrap_or_default();
            text.push(if at <= three.len() { char::from(digits[digit]) } else { '=' });
        }
    }
    text
}

/// A character unchanged, in HTML, in a URL, and between the quotes of a shell.
fn plain(c: char) -> Unit {
    let mut unit = BTreeSet::from([c.to_string()]);
    if !c.is_ascii_alphanumeric() {
        let number = u32::from(c);
        unit.extend([
            format!("&#{number};"),
            format!("&#{number:03};"),
            format!("&#x{number:x};"),
            format!("&#x{number:X};"),
            format!("&#x{number:02x};"),
        ]);
        let bytes = c.to_string().into_bytes();
        unit.extend([
            bytes.iter().map(|b| format!("%{b:02x}")).collect::<String>(),
            bytes.iter().map(|b| format!("%{b:02X}")).collect(),
        ]);
    }
    unit.extend(named(c).iter().map(ToString::to_string));
    unit.into_iter().map(String::into_bytes).collect()
}

/// The HTML entity names of a character, and other usual replacements.
const fn named(c: char) -> &'static [&'static str] {
    match c {
        '&' => &["&amp;"],
        '<' => &["&lt;"],
        '>' => &["&gt;"],
        '"' => &["&quot;"],
        '\'' => &["&apos;", r"'\''", r#"'"'"'"#],
        ' ' => &["+", "&nbsp;"],
        '/' => &["&sol;"],
        '=' => &["&equals;"],
        '+' => &["&plus;"],
        '`' => &["&grave;"],
        _ => &[],
    }
}

/// A character in a quoted literal, as JSON, JavaScript, Go, Python and shells escape it. A
/// backslash starts an escape there and never stands for itself.
fn literal(c: char) -> Unit {
    if c.is_ascii_alphanumeric() {
        return vec![c.to_string().into_bytes()];
    }
    let of_plain = plain(c).into_iter().filter_map(|one| String::from_utf8(one).ok());
    let mut unit: BTreeSet<String> = of_plain.filter(|one| !one.contains('\\')).collect();
    let units =
        |digits: fn(u16) -> String| c.encode_utf16(&mut [0; 2]).iter().map(|unit| digits(*unit)).collect::<String>();
    let bytes = |digits: fn(u8) -> String| c.to_string().bytes().map(digits).collect::<String>();
    unit.extend([units(|unit| format!("\\u{unit:04x}")), units(|unit| format!("\\u{unit:04X}"))]);
    unit.extend([bytes(|byte| format!("\\x{byte:02x}")), bytes(|byte| format!("\\x{byte:02X}"))]);
    let number = u32::from(c);
    match number {
        0..=0xff => unit.extend([format!("\\x{number:02x}"), format!("\\x{number:02X}")]),
        0x1_0000.. => unit.extend([
            format!("\\U{number:08x}"),
            format!("\\U{number:08X}"),
            format!("\\u{{{number:x}}}"),
            format!("\\u{{{number:X}}}"),
        ]),
        _ => {}
    }
    if c.is_ascii_punctuation() || c == ' ' {
        unit.insert(format!("\\{c}"));
        // A JSON quote in HTML.
        let within_html: Vec<String> =
            unit.iter().filter(|one| one.starts_with('&') && one.len() > 1).map(|one| format!("\\{one}")).collect();
        unit.extend(within_html);
    }
    let letter = match c {
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        _ => "",
    };
    if !letter.is_empty() {
        unit.insert(letter.to_owned());
    }
    unit.into_iter().map(String::into_bytes).collect()
}

/// A character in a quoted literal that is quoted again.
fn literal_twice(c: char) -> Unit {
    let once = literal(c).into_iter().filter_map(|one| String::from_utf8(one).ok());
    let twice = |text: String| {
        let backslashes = text.replace('\\', "\\\\");
        let (double, single) = (backslashes.replace('"', "\\\""), backslashes.replace('\'', "\\'"));
        [double, single, backslashes]
    };
    once.flat_map(twice).collect::<BTreeSet<_>>().into_iter().map(String::into_bytes).collect()
}
