//! The parser of the tree.

use super::fault::{Cuts, Fault};
use super::node::{Members, Node};
use crate::limits::{
    MOST_DEPTH, MOST_ELEMENTS, MOST_FILE_BYTES, MOST_KEY_BYTES, MOST_TEXT_BYTES, MOST_TEXTS_BYTES, MOST_VALUES,
};

/// The limit for a bare word in bytes.
const MOST_WORD_BYTES: usize = 64;

/// Parses a document. `skipped` are the keys, at any depth, whose values are not kept.
///
/// # Errors
/// The document is too long, truncated, or no JSON.
pub fn parse(bytes: &[u8], skipped: &[&str]) -> Result<(Node, Cuts), Fault> {
    if bytes.len() > MOST_FILE_BYTES {
        return Err(Fault::TooLong);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{' | b'[', 0, ..] | [0, b'{' | b'[', ..]) {
        return Err(Fault::Utf16);
    }
    let mut parser =
        Parser { bytes, at: 0, skipped, values: MOST_VALUES, texts: MOST_TEXTS_BYTES, cuts: Cuts::default() };
    match parser.peek() {
        None => Err(Fault::Empty),
        Some(b'{' | b'[') => Ok((parser.value(0)?, parser.cuts)),
        Some(_) => Err(Fault::Malformed(parser.at)),
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    skipped: &'a [&'a str],
    /// The number of values that may still be kept.
    values: usize,
    /// The number of bytes of texts that may still be kept.
    texts: usize,
    cuts: Cuts,
}

impl Parser<'_> {
    /// Skips white space and returns the next byte.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn expect(&mut self) -> Result<u8, Fault> {
        self.peek().ok_or(Fault::Truncated)
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        match self.expect()? {
            b'"' => self.text(MOST_TEXT_BYTES).map(|text| Node::Text(text.into())),
            b'{' if depth < MOST_DEPTH => self.object(depth),
            b'[' if depth < MOST_DEPTH => self.list(depth),
            b'{' | b'[' => {
                self.cuts.values += 1;
                self.skip()?;
                Ok(Node::List(Vec::new()))
            }
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node, Fault> {
        self.at += 1;
        let mut members = Vec::new();
        loop {
            match self.expect()? {
                b'}' => break,
                b'"' => {}
                _ => return Err(Fault::Malformed(self.at)),
            }
            let key = self.text(MOST_KEY_BYTES)?;
            if self.expect()? != b':' {
                return Err(Fault::Malformed(self.at));
            }
            self.at += 1;
            if self.skipped.contains(&key.as_str()) {
                self.skip()?;
            } else if self.may_keep(members.len()) {
                let value = self.value(depth + 1)?;
                members.push((key.into(), value));
            } else {
                self.skip()?;
            }
            match self.expect()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return Err(Fault::Malformed(self.at)),
            }
        }
        self.at += 1;
        Ok(Node::Object(Members::new(members)))
    }

    fn list(&mut self, depth: usize) -> Result<Node, Fault> {
        self.at += 1;
        let mut elements = Vec::new();
        loop {
            if self.expect()? == b']' {
                break;
            }
            if self.may_keep(elements.len()) {
                let value = self.value(depth + 1)?;
                elements.push(value);
            } else {
                self.skip()?;
            }
            match self.expect()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return Err(Fault::Malformed(self.at)),
            }
        }
        self.at += 1;
        elements.shrink_to_fit();
        Ok(Node::List(elements))
    }

    /// Returns true if one more value fits into a container with `held` values, and counts it.
    fn may_keep(&mut self, held: usize) -> bool {
        if held >= MOST_ELEMENTS || self.values == 0 {
            self.cuts.values += 1;
            return false;
        }
        self.values -= 1;
        true
    }

    /// Reads a bare word.
    fn word(&mut self) -> Result<Node, Fault> {
        let start = self.at;
        while self
            .bytes
            .get(self.at)
            .is_some_and(|byte| !matches!(byte, b' ' | b'\t'..=b'\r' | b',' | b':' | b'"' | b'{' | b'}' | b'[' | b']'))
        {
            self.at += 1;
        }
        let word = &self.bytes[start..self.at];
        if word.is_empty() {
            return Err(Fault::Malformed(start));
        }
        let kept = String::from_utf8_lossy(&word[..word.len().min(MOST_WORD_BYTES)]);
        self.cuts.texts += usize::from(word.len() > MOST_WORD_BYTES);
        Ok(Node::Word(kept.into()))
    }

    /// Skips a value of any depth and length.
    fn skip(&mut self) -> Result<(), Fault> {
        let mut depth = 0_usize;
        loop {
            match self.expect()? {
                b'"' => self.skip_text()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                b'}' | b']' | b',' | b':' => return Err(Fault::Malformed(self.at)),
                _ => drop(self.word()?),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn skip_text(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            match self.bytes.get(self.at) {
                None => return Err(Fault::Truncated),
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }

    /// Reads a text of which at most `most` bytes are kept. The next byte is its opening quote.
    fn text(&mut self, most: usize) -> Result<String, Fault> {
        self.at += 1;
        let most = most.min(self.texts);
        let mut kept: Vec<u8> = Vec::new();
        let mut is_cut = false;
        // The first half of a surrogate pair.
        let mut high: Option<u32> = None;
        loop {
            let start = self.at;
            while self.bytes.get(self.at).is_some_and(|byte| !matches!(byte, b'"' | b'\\')) {
                self.at += 1;
            }
            if self.at > start {
                flush(&mut kept, &mut high);
                let room = most.saturating_sub(kept.len());
                let plain = &self.bytes[start..self.at];
                is_cut |= plain.len() > room;
                kept.extend_from_slice(&plain[..plain.len().min(room)]);
            }
            match self.bytes.get(self.at) {
                None => return Err(Fault::Truncated),
                Some(b'"') => break,
                Some(_) => self.at += 1,
            }
            let unit = self.escape()?;
            match (high.take(), unit) {
                (Some(first), second @ 0xdc00..=0xdfff) => {
                    push(&mut kept, 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
                }
                (first, unit) => {
                    high = first;
                    flush(&mut kept, &mut high);
                    if matches!(unit, 0xd800..=0xdbff) {
                        high = Some(unit);
                    } else {
                        push(&mut kept, unit);
                    }
                }
            }
            if kept.len() > most {
                is_cut = true;
                kept.truncate(most);
            }
        }
        self.at += 1;
        flush(&mut kept, &mut high);
        kept.truncate(most);
        self.cuts.texts += usize::from(is_cut);
        self.texts -= kept.len();
        Ok(decode(kept, is_cut))
    }

    /// Reads the rest of an escape sequence after the backslash. An unknown one stands for its
    /// character.
    fn escape(&mut self) -> Result<u32, Fault> {
        let byte = *self.bytes.get(self.at).ok_or(Fault::Truncated)?;
        self.at += 1;
        Ok(match byte {
            b'n' => u32::from('\n'),
            b't' => u32::from('\t'),
            b'r' => u32::from('\r'),
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let digits = self.bytes.get(self.at..self.at + 4).ok_or(Fault::Truncated)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Ok(0xfffd);
                }
                self.at += 4;
                digits.iter().fold(0, |unit, digit| unit << 4 | char::from(*digit).to_digit(16).unwrap_or(0))
            }
            other => u32::from(other),
        })
    }
}

/// Writes the replacement character for a lone half of a surrogate pair.
fn flush(kept: &mut Vec<u8>, high: &mut Option<u32>) {
    if high.take().is_some() {
        push(kept, 0xfffd);
    }
}

fn push(kept: &mut Vec<u8>, code: u32) {
    let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    kept.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Decodes UTF-8. Invalid bytes become replacement characters; a character that the cut halved is
/// removed.
fn decode(mut kept: Vec<u8>, is_cut: bool) -> String {
    if is_cut
        && let Err(error) = std::str::from_utf8(&kept)
        && error.error_len().is_none()
    {
        kept.truncate(error.valid_up_to());
    }
    match String::from_utf8(kept) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}
