//! Decodes the content of a JSON text: escapes, surrogates and raw bytes.

/// The decoded part of a text, up to a limit.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    most: usize,
    /// The first half of a surrogate pair, whose second half may follow.
    high: Option<u16>,
}

impl Kept {
    pub(super) const fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, high: None }
    }

    /// Adds raw bytes of the document.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.settle();
            let room = self.most.saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
    }

    /// Adds the UTF-16 unit of one `\uXXXX`; `None` if its digits are invalid.
    pub(super) fn unit(&mut self, unit: Option<u16>) {
        match (unit, self.high) {
            (Some(high @ 0xd800..=0xdbff), _) => {
                self.settle();
                self.high = Some(high);
            }
            (Some(low @ 0xdc00..=0xdfff), Some(high)) => {
                self.high = None;
                self.push(char::decode_utf16([high, low]).next().and_then(Result::ok));
            }
            (Some(unit), _) => {
                self.settle();
                self.push(char::from_u32(u32::from(unit)));
            }
            (None, _) => {
                self.settle();
                self.push(None);
            }
        }
    }

    /// Replaces a first half without a second one.
    fn settle(&mut self) {
        if self.high.take().is_some() {
            self.push(None);
        }
    }

    fn push(&mut self, c: Option<char>) {
        let mut buffer = [0; 4];
        let encoded = c.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut buffer);
        // A character is added completely or not at all.
        if self.bytes.len() + encoded.len() <= self.most {
            self.bytes.extend_from_slice(encoded.as_bytes());
        } else {
            self.most = self.bytes.len();
        }
    }

    /// Returns the text. Bytes that are not UTF-8 are replaced, and a character that the limit cut
    /// is left out.
    pub(super) fn finish(mut self) -> String {
        self.settle();
        if self.bytes.len() >= self.most
            && let Err(error) = std::str::from_utf8(&self.bytes)
            && error.error_len().is_none()
        {
            self.bytes.truncate(error.valid_up_to());
        }
        String::from_utf8(self.bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}
