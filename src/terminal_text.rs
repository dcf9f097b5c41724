//! Converts terminal output of programs into text that can be shown anywhere: complete escape
//! sequences are removed, and a line that was rewritten again and again keeps its last state.
//!
//! A small parser of ECMA-48 sequences does all of it (its states are those of Paul Williams' "A
//! parser for DEC's ANSI-compatible video terminals"): [`plain`] for names and messages, [`lines`]
//! for logs, and [`safe_end`] for readers of a log in parts.

/// The maximum length of a control string (an OSC, a DCS): the text after it is shown again.
const MOST_OF_STRING: usize = 4096;
/// How many parameter characters of a sequence are kept; the others are ignored.
const MOST_PARAMETERS: usize = 8;
/// The rightmost column of the cursor.
const MOST_COLUMNS: usize = 1 << 16;

/// The effect of a character.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The character is part of a sequence, or invisible.
    Nothing,
    /// The character is shown. Line feeds and tabs are shown as well.
    Show(char),
    /// The cursor moves to the beginning of the line.
    Return,
    /// The cursor moves this many columns to the left.
    Left(usize),
    /// The cursor moves this many columns to the right.
    Right(usize),
    /// The line is erased from the cursor to its end.
    EraseRest,
    /// The complete line is erased.
    EraseLine,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and a character such as `(`, which selects a character set.
    Intermediate,
    /// After CSI, with the parameters so far.
    Csi(String),
    /// In an OSC, DCS, SOS, PM or APC, with the number of characters so far.
    String(usize),
    /// After ESC in one of these strings.
    StringEscape,
}

/// The parser. It accepts a text in parts that are cut anywhere.
#[derive(Debug, Default)]
struct Parser(State);

impl Parser {
    fn is_between(&self) -> bool {
        self.0 == State::Ground
    }

    fn feed(&mut self, c: char) -> Step {
        // A line feed ends every sequence: no sequence continues beyond the end of a line, so an
        // unfinished one cannot swallow a log. CAN and SUB abort a sequence.
        if matches!(c, '\n' | '\u{18}' | '\u{1a}') {
            self.0 = State::Ground;
            return if c == '\n' { Step::Show(c) } else { Step::Nothing };
        }
        match std::mem::take(&mut self.0) {
            State::Ground => self.ground(c),
            State::Escape => match c {
                '[' => self.enter(State::Csi(String::new())),
                ']' | 'P' | 'X' | '^' | '_' => self.enter(State::String(0)),
                ' '..='/' => self.enter(State::Intermediate),
                '0'..='~' => Step::Nothing,
                c => self.ground(c),
            },
            State::Intermediate => match c {
                ' '..='/' => self.enter(State::Intermediate),
                '0'..='~' => Step::Nothing,
                c => self.ground(c),
            },
            State::Csi(mut parameters) => match c {
                ' '..='?' => {
                    if parameters.len() < MOST_PARAMETERS {
                        parameters.push(c);
                    }
                    self.enter(State::Csi(parameters))
                }
                '@'..='~' => sequence(&parameters, c),
                c => self.ground(c),
            },
            State::String(length) => match c {
                '\u{7}' | '\u{9c}' => Step::Nothing,
                '\u{1b}' => self.enter(State::StringEscape),
                _ if length < MOST_OF_STRING => self.enter(State::String(length + 1)),
                c => self.ground(c),
            },
            State::StringEscape => match c {
                '\\' => Step::Nothing,
                c => {
                    self.0 = State::Escape;
                    self.feed(c)
                }
            },
        }
    }

    fn enter(&mut self, state: State) -> Step {
        self.0 = state;
        Step::Nothing
    }

    fn ground(&mut self, c: char) -> Step {
        match c {
            '\u{1b}' => self.enter(State::Escape),
            '\u{9b}' => self.enter(State::Csi(String::new())),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => self.enter(State::String(0)),
            '\r' => Step::Return,
            '\u{8}' => Step::Left(1),
            '\t' => Step::Show(c),
            // Other line separators, which a reader of lines does not support, become spaces.
            '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Step::Show(' '),
            c if c.is_control() || is_hidden(c) => Step::Nothing,
            c => Step::Show(c),
        }
    }
}

/// Returns the effect of a control sequence on the current line.
fn sequence(parameters: &str, last: char) -> Step {
    let number = |default: usize| if parameters.is_empty() { default } else { parameters.parse().unwrap_or(default) };
    match last {
        'K' if matches!(parameters, "" | "0") => Step::EraseRest,
        'K' | 'J' if parameters == "2" => Step::EraseLine,
        'G' if number(1) <= 1 => Step::Return,
        'D' => Step::Left(number(1)),
        'C' => Step::Right(number(1)),
        _ => Step::Nothing,
    }
}

/// Returns whether a character is invisible and could hide text or change its direction:
/// bidirectional controls, zero-width characters, tags, the byte order mark.
const fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns the visible characters of a text, including line feeds and tabs; nothing is overwritten.
/// A carriage return alone shows nothing.
pub(crate) fn shown(text: &str) -> impl Iterator<Item = char> {
    let mut parser = Parser::default();
    text.chars().filter_map(move |c| match parser.feed(c) {
        Step::Show(c) => Some(c),
        // Cursor movements and erasures show nothing.
        Step::Nothing | Step::Return | Step::Left(_) | Step::Right(_) | Step::EraseRest | Step::EraseLine => None,
    })
}

/// Removes escape sequences, control characters and characters that change the direction of text;
/// line feeds and tabs stay.
pub(crate) fn plain(text: &str) -> String {
    shown(text).collect()
}

/// One line, as a terminal would show it.
#[derive(Debug, Default)]
struct Line {
    cells: Vec<char>,
    cursor: usize,
    /// The cursor is back at the beginning; the next character replaces the line.
    returned: bool,
    /// The text of the line before it was erased.
    erased: Option<String>,
}

impl Line {
    fn apply(&mut self, step: Step) {
        match step {
            Step::Nothing => {}
            Step::Show(c) => {
                if self.returned {
                    self.erase(0);
                }
                match self.cells.get_mut(self.cursor) {
                    Some(cell) => *cell = c,
                    None => self.cells.push(c),
                }
                self.cursor += 1;
            }
            Step::Return => self.returned = true,
            Step::Left(columns) => self.cursor = self.cursor.saturating_sub(columns),
            Step::Right(columns) => {
                if std::mem::take(&mut self.returned) {
                    self.cursor = 0;
                }
                self.cursor = self.cursor.saturating_add(columns).min(MOST_COLUMNS);
                if self.cells.len() < self.cursor {
                    self.cells.resize(self.cursor, ' ');
                }
            }
            Step::EraseRest => self.erase(if self.returned { 0 } else { self.cursor }),
            Step::EraseLine => self.erase(0),
        }
    }

    fn erase(&mut self, from: usize) {
        if from == 0 && self.cells.iter().any(|c| !c.is_whitespace()) {
            self.erased = Some(self.text());
        }
        self.cells.truncate(from);
        self.cursor = self.cells.len();
        self.returned = false;
    }

    fn text(&self) -> String {
        self.cells.iter().collect::<String>().trim_end().to_owned()
    }

    /// Returns the last state with text: many programs erase their progress display at the end.
    fn finish(self) -> String {
        let text = self.text();
        if text.is_empty() { self.erased.unwrap_or_default() } else { text }
    }
}

/// Returns the last state of a single line, without trailing blanks.
pub(crate) fn line(text: &str) -> String {
    let (mut parser, mut line) = (Parser::default(), Line::default());
    for c in text.trim_end_matches(['\n', '\r']).chars() {
        line.apply(parser.feed(c));
    }
    line.finish()
}

/// Returns the lines of a text, each in its last state.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = String> {
    text.split_terminator('\n').map(line)
}

/// Returns how many of these bytes can be shown without the bytes that follow: the rest is the
/// beginning of a character or of a sequence.
pub(crate) fn safe_end(bytes: &[u8]) -> usize {
    let (mut parser, mut at, mut safe) = (Parser::default(), 0, 0);
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        for c in chunk.valid().chars() {
            let _shown_later = parser.feed(c);
            at += c.len_utf8();
            if parser.is_between() {
                safe = at;
            }
        }
        let invalid = chunk.invalid();
        at += invalid.len();
        // The last bytes may be an incomplete character.
        let may_go_on =
            chunks.peek().is_none() && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if !invalid.is_empty() && !may_go_on && parser.is_between() {
            safe = at;
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_sequences_are_removed() {
        for (given, expected) in [
            ("\u{1b}[0;31m[ERR]\u{1b}[0m red \u{1b}[1;32mgreen\u{1b}[m", "[ERR] red green"),
            ("\u{1b}[38;5;196mx\u{1b}[0m", "x"),
            ("\u{1b}[38:2::255:0:0mx", "x"),
            ("\u{1b}]0;title\u{7}osc", "osc"),
            ("\u{1b}]8;;https://a.test/\u{1b}\\link\u{1b}]8;;\u{1b}\\ after", "link after"),
            ("\u{1b}]0;title\u{9c}osc", "osc"),
            ("\u{1b}P1$r0m\u{1b}\\dcs", "dcs"),
            ("\u{1b}_apc\u{1b}\\\u{1b}^pm\u{1b}\\\u{1b}Xsos\u{1b}\\x", "x"),
            ("\u{1b}(Bcharset \u{1b})0\u{1b}*A\u{1b}%Gx", "charset x"),
            ("\u{1b}7\u{1b}8\u{1b}=\u{1b}>\u{1b}cx", "x"),
            ("\u{9b}31mred\u{9d}0;t\u{7}!", "red!"),
            ("\u{1b}[?25lhidden cursor\u{1b}[?25h", "hidden cursor"),
            ("\u{1b}\u{1b}[31mx", "x"),
            ("\u{1b}[31\u{1b}[32mx", "x"),
            ("\u{1b}[31\u{18}x", "x"),
            ("open \u{1b}[", "open"),
            ("open \u{1b}]0;title", "open"),
            ("a\u{0}b\u{7f}c\u{202e}d\u{61c}e", "abcde"),
            ("bücher ⚿\ttab", "bücher ⚿\ttab"),
        ] {
            assert_eq!(line(given), expected, "{given:?}");
            assert_eq!(plain(given).trim_end(), expected, "{given:?}");
        }
        assert_eq!(plain("a\u{1b}]0;open\nb\r\nc"), "a\nb\nc", "an open sequence does not swallow the next line");
        let long = format!("\u{1b}]{}shown", "x".repeat(MOST_OF_STRING));
        assert_eq!(line(&long), "shown", "what never ends is no sequence");
    }

    #[test]
    fn line_shows_its_last_state() {
        for (given, expected) in [
            ("Scanning:   0%\rScanning:  20%\rScanning: 100%", "Scanning: 100%"),
            ("one\rtwo\rthree", "three"),
            ("a longer state\rshort", "short"),
            ("state\r\n", "state"),
            ("state\r", "state"),
            ("\rfirst\rlast\r\r\n", "last"),
            ("Progress: 40/40\r               \r\n", "Progress: 40/40"),
            ("Progress: 40/40\r\u{1b}[K\n", "Progress: 40/40"),
            ("old\u{1b}[2K\u{1b}[1Gnew", "new"),
            ("\u{1b}[2K\u{1b}[1Gcleared", "cleared"),
            ("abc\u{1b}[1Gxy\u{1b}[K", "xy"),
            ("|\u{8}/\u{8}-\u{8}done", "done"),
            ("working |\u{8}/\u{8}-", "working -"),
            ("10%\u{1b}[3D20%", "20%"),
            ("10% of all\r\u{1b}[4Cxx", "10% xx all"),
            ("a\u{1b}[99999999Cb", "a"),
            ("padded by KAST            ", "padded by KAST"),
            ("", ""),
        ] {
            let shown = line(given);
            assert!(
                if expected == "a" {
                    shown.starts_with('a') && shown.len() <= MOST_COLUMNS + 1
                } else {
                    shown == expected
                },
                "{given:?}: {shown:?}"
            );
        }
        assert_eq!(
            lines("one\r\ntwo\rthree\n\n four  \nfive").collect::<Vec<_>>(),
            ["one", "three", "", " four", "five"]
        );
    }

    #[test]
    fn parts_end_between_sequences_and_characters() {
        for (text, end) in [
            ("plain".as_bytes(), 5),
            ("a\u{1b}[3".as_bytes(), 1),
            ("a\u{1b}".as_bytes(), 1),
            ("a\u{1b}[31mb".as_bytes(), 7),
            ("a\u{1b}]0;tit".as_bytes(), 1),
            ("ü".as_bytes(), 2),
            (&"aü".as_bytes()[..2], 1),
            (&"a⚿".as_bytes()[..3], 1),
            (b"a\xff", 2),
            (b"a\xffb", 3),
            (b"", 0),
        ] {
            assert_eq!(safe_end(text), end, "{:?}", String::from_utf8_lossy(text));
        }
        // Wherever the text is cut, the parts show the same text.
        let whole = "a\u{1b}[31mred\u{1b}[0m b\u{1b}]0;title\u{7}ü\u{1b}(Bc⚿".as_bytes();
        for cut in 0..whole.len() {
            let first = safe_end(&whole[..cut]);
            let text = |bytes: &[u8]| plain(std::str::from_utf8(bytes).unwrap());
            assert_eq!(text(&whole[..first]) + text(&whole[first..]).as_str(), "ared büc⚿", "{cut}");
        }
    }
}
