//! Parses a stream of server-sent events, as the HTML standard specifies it.

/// The maximum size of an event: a larger one means that the server is broken.
const MAX_EVENT: usize = 4 << 20;

/// A server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// The type of the event; `message` if none was sent.
    pub(super) name: String,
    /// The data of the event.
    pub(super) data: String,
}

/// The error that an event or a line is larger than any that Kastrel sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

/// The parser: accepts the bytes of a stream and returns each complete event.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    line: Vec<u8>,
    after_return: bool,
    name: String,
    data: String,
    last_id: Option<String>,
}

impl EventReader {
    /// Returns the id of the last event with an id, for `Last-Event-ID`.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Discards an incomplete event after the connection broke.
    pub(super) fn restart(&mut self) {
        self.line.clear();
        self.name.clear();
        self.data.clear();
        self.after_return = false;
    }

    /// Parses the next bytes of the stream.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLarge> {
        let mut events = Vec::new();
        for byte in bytes {
            let was_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if was_return => {}
                b'\r' | b'\n' => events.extend(self.end_line()),
                _ => self.line.push(*byte),
            }
            if self.line.len() + self.data.len() > MAX_EVENT {
                return Err(TooLarge);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            let data = data.strip_suffix('\n').unwrap_or(&data).to_owned();
            return (!data.is_empty())
                .then(|| Event { name: if name.is_empty() { "message".into() } else { name }, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event { name: name.into(), data: data.into() }
    }

    #[test]
    fn parser_accepts_the_forms_of_the_standard() {
        for (text, expected) in [
            ("event: status\ndata: {}\nid: 7\n\n", vec![event("status", "{}")]),
            ("data: a\ndata:b\r\n\r\n: comment\n\ndata\n\n", vec![event("message", "a\nb")]),
            ("event: status\n\ndata: x\rretry: 5\r\r", vec![event("message", "x")]),
            ("data: cut off", vec![]),
            ("data:  two spaces\n\n", vec![event("message", " two spaces")]),
        ] {
            assert_eq!(EventReader::default().read(text.as_bytes()), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn parser_keeps_the_last_id_over_a_restart() {
        let mut reader = EventReader::default();
        reader.read(b"id: 7\ndata: x\n\nid: 8\ndata: half").unwrap();
        assert_eq!(reader.last_id(), Some("8"));
        reader.restart();
        assert_eq!(reader.read(b"data: new\n\n"), Ok(vec![event("message", "new")]));
    }

    #[test]
    fn a_stream_without_end_is_given_up() {
        let mut reader = EventReader::default();
        let chunk = vec![b'x'; 1 << 20];
        assert!((0..8).any(|_| reader.read(&chunk) == Err(TooLarge)));
    }

    proptest! {
        #[test]
        fn parser_accepts_chunks_cut_anywhere(text in "(data: [a-c\u{e9}]{0,3}|event: s|id: 1|\r|\n|\r\n){0,20}", cut in 0usize..80) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let whole = EventReader::default().read(bytes).unwrap();
            let mut reader = EventReader::default();
            let mut parts = reader.read(head).unwrap();
            parts.extend(reader.read(tail).unwrap());
            prop_assert_eq!(whole, parts);
        }
    }
}
