//! The reader: the caller iterates over the document and reads or skips each value.

use std::io::Read;

use super::text::Kept;
use super::{Fault, Value};

const BUFFER_BYTES: usize = 64 << 10;
/// The maximum length of a key that is compared.
const MOST_KEY_BYTES: usize = 512;
/// The maximum length of a bare word that is kept.
const MOST_WORD_BYTES: usize = 64;
/// The maximum offset of the object, because lines such as warnings may precede it.
const MOST_BEFORE: u64 = 64 << 10;

/// Reads one document.
#[derive(Debug)]
pub(in crate::adapters::kast_runner) struct JsonReader<R> {
    source: R,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    /// The number of bytes before those in the buffer.
    before: u64,
}

impl<R: Read> JsonReader<R> {
    /// Skips to the start of the document's object.
    pub(in crate::adapters::kast_runner) fn open(source: R) -> Result<Self, Fault> {
        let mut reader = Self { source, buffer: vec![0; BUFFER_BYTES].into_boxed_slice(), at: 0, end: 0, before: 0 };
        reader.skip_mark()?;
        let mut is_empty = true;
        loop {
            match reader.significant() {
                Ok(b'{') => return Ok(reader),
                // A line of the program, such as a warning; the object starts on a later line.
                Ok(first) if first.is_ascii_alphabetic() && reader.offset() < MOST_BEFORE => {
                    is_empty = false;
                    reader.skip_line()?;
                }
                Ok(_) => return Err(Fault::NoObject),
                Err(Fault::Truncated) => return Err(if is_empty { Fault::Empty } else { Fault::NoObject }),
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Iterates over the members of the next value, an object. `each` must read the member's value
    /// with exactly one call of this reader. Returns `false` if the next value is not an object; it
    /// is skipped then.
    pub(in crate::adapters::kast_runner) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), Fault>,
    ) -> Result<bool, Fault> {
        if self.significant()? != b'{' {
            self.skip()?;
            return Ok(false);
        }
        self.at += 1;
        loop {
            match self.significant()? {
                b'}' => break,
                b'"' => {}
                _ => return Err(self.malformed()),
            }
            let key = self.text(MOST_KEY_BYTES)?;
            if self.significant()? != b':' {
                return Err(self.malformed());
            }
            self.at += 1;
            each(self, &key)?;
            match self.significant()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return Err(self.malformed()),
            }
        }
        self.at += 1;
        Ok(true)
    }

    /// Iterates over the elements of the next value, a list, like [`Self::object`].
    pub(in crate::adapters::kast_runner) fn list(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<bool, Fault> {
        if self.significant()? != b'[' {
            self.skip()?;
            return Ok(false);
        }
        self.at += 1;
        loop {
            if self.significant()? == b']' {
                break;
            }
            each(self)?;
            match self.significant()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return Err(self.malformed()),
            }
        }
        self.at += 1;
        Ok(true)
    }

    /// Returns true if the next value is a list.
    pub(in crate::adapters::kast_runner) fn is_list(&mut self) -> Result<bool, Fault> {
        Ok(self.significant()? == b'[')
    }

    /// Returns true if the next value is an object.
    pub(in crate::adapters::kast_runner) fn is_object(&mut self) -> Result<bool, Fault> {
        Ok(self.significant()? == b'{')
    }

    /// Reads the next value. A text is limited to `most_bytes`.
    pub(in crate::adapters::kast_runner) fn value(&mut self, most_bytes: usize) -> Result<Value, Fault> {
        match self.significant()? {
            b'"' => self.text(most_bytes).map(Value::Text),
            b'{' => self.skip().map(|()| Value::Object),
            b'[' => self.skip().map(|()| Value::List),
            _ => self.word().map(Value::Bare),
        }
    }

    /// Skips a value, whatever its depth and length.
    pub(in crate::adapters::kast_runner) fn skip(&mut self) -> Result<(), Fault> {
        let mut depth: u64 = 0;
        loop {
            match self.significant()? {
                b'"' => drop(self.text(0)?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                // The value is missing: this is the end of its container.
                b'}' | b']' | b',' | b':' if depth == 0 => return Ok(()),
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' => {
                    self.at += 1;
                    continue;
                }
                _ => drop(self.word()?),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn malformed(&self) -> Fault {
        Fault::Malformed(self.offset())
    }

    /// The number of bytes read.
    pub(in crate::adapters::kast_runner) const fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Reads a text. The next byte must be its opening quote.
    fn text(&mut self, most_bytes: usize) -> Result<String, Fault> {
        self.at += 1;
        let mut kept = Kept::new(most_bytes);
        loop {
            if !self.fill()? {
                return Err(Fault::Truncated);
            }
            let rest = &self.buffer[self.at..self.end];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
            kept.raw(&rest[..plain]);
            self.at += plain;
            match self.buffer[self.at..self.end].first() {
                None => {}
                Some(b'"') => {
                    self.at += 1;
                    return Ok(kept.finish());
                }
                Some(_) => {
                    self.at += 1;
                    self.escape(&mut kept)?;
                }
            }
        }
    }

    /// Reads the rest of an escape sequence after the backslash. An unknown escape stands for its
    /// character.
    fn escape(&mut self, kept: &mut Kept) -> Result<(), Fault> {
        match self.next()? {
            b'n' => kept.raw(b"\n"),
            b't' => kept.raw(b"\t"),
            b'r' => kept.raw(b"\r"),
            b'b' => kept.raw(b"\x08"),
            b'f' => kept.raw(b"\x0c"),
            b'u' => {
                let mut unit = Some(0);
                for _ in 0..4 {
                    if !self.fill()? {
                        return Err(Fault::Truncated);
                    }
                    let Some(digit) = char::from(self.buffer[self.at]).to_digit(16) else {
                        unit = None;
                        break;
                    };
                    self.at += 1;
                    unit = unit.map(|unit| unit << 4 | digit as u16);
                }
                kept.unit(unit);
            }
            other => kept.raw(&[other]),
        }
        Ok(())
    }

    /// Reads a bare word up to its terminator. The word may be empty.
    fn word(&mut self) -> Result<String, Fault> {
        let mut kept = Kept::new(MOST_WORD_BYTES);
        while self.fill()? {
            let byte = self.buffer[self.at];
            if is_space(byte) || matches!(byte, b',' | b':' | b'"' | b'{' | b'}' | b'[' | b']') {
                break;
            }
            kept.raw(&[byte]);
            self.at += 1;
        }
        Ok(kept.finish())
    }

    /// Skips white space and returns the next byte without consuming it.
    fn significant(&mut self) -> Result<u8, Fault> {
        while self.fill()? {
            match self.buffer[self.at] {
                byte if is_space(byte) => self.at += 1,
                byte => return Ok(byte),
            }
        }
        Err(Fault::Truncated)
    }

    fn next(&mut self) -> Result<u8, Fault> {
        if !self.fill()? {
            return Err(Fault::Truncated);
        }
        self.at += 1;
        Ok(self.buffer[self.at - 1])
    }

    /// Skips a UTF-8 byte order mark, and detects UTF-16.
    fn skip_mark(&mut self) -> Result<(), Fault> {
        while self.fill()? {
            let start = &self.buffer[self.at..self.end];
            match start {
                [0xef, 0xbb, 0xbf, ..] => self.at += 3,
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{', 0, ..] | [0, b'{', ..] => return Err(Fault::Utf16),
                _ => break,
            }
        }
        Ok(())
    }

    fn skip_line(&mut self) -> Result<(), Fault> {
        while self.fill()? {
            let rest = &self.buffer[self.at..self.end];
            match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.at += end + 1;
                    break;
                }
                None => self.at = self.end,
            }
            if self.offset() > MOST_BEFORE {
                return Err(Fault::NoObject);
            }
        }
        Ok(())
    }

    /// Returns true if there is a next byte. Refills an empty buffer completely, even if the source
    /// returns few bytes at a time, so that a byte order mark is never split.
    fn fill(&mut self) -> Result<bool, Fault> {
        if self.at < self.end {
            return Ok(true);
        }
        self.before += self.end as u64;
        (self.at, self.end) = (0, 0);
        while self.end < self.buffer.len() {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error.kind())),
            }
        }
        Ok(self.end > 0)
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}
