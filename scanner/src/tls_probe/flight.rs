//! Splits the bytes of a server's first flight into handshake messages and alerts.

/// The complete handshake messages of the records in `bytes`, and how the records end.
pub(super) struct Flight {
    pub(super) messages: Vec<(u8, Vec<u8>)>,
    pub(super) alert: Option<(u8, u8)>,
    pub(super) is_tls: bool,
    /// True if the flight ends within a ServerHello. The TLS 1.3 version is at the end of the
    /// message, so its beginning does not show the version.
    pub(super) has_cut_hello: bool,
}

pub(super) fn read_flight(bytes: &[u8]) -> Flight {
    let mut flight = Flight { messages: Vec::new(), alert: None, is_tls: true, has_cut_hello: false };
    let mut handshake = Vec::new();
    let mut rest = bytes;
    while let [kind, 3, _, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        // The last record may be truncated.
        let content = &after[..after.len().min(length)];
        match kind {
            22 => handshake.extend_from_slice(content),
            // Servers that do not recognise the name send warnings before the hello.
            21 => match content {
                [1, description, ..] if *description != 0 => {}
                [level, description, ..] => flight.alert = flight.alert.or(Some((*level, *description))),
                _ => {}
            },
            20 | 23 => {}
            _ => flight.is_tls = false,
        }
        rest = &after[content.len()..];
    }
    flight.is_tls &= rest.is_empty() || (matches!(rest[0], 20..=23) && rest.get(1).is_none_or(|major| *major == 3));
    let mut rest = handshake.as_slice();
    while let [kind, a, b, c, after @ ..] = rest {
        let length = (usize::from(*a) << 16) | (usize::from(*b) << 8) | usize::from(*c);
        let Some((content, others)) = after.split_at_checked(length) else {
            flight.has_cut_hello = *kind == 2;
            break;
        };
        flight.messages.push((*kind, content.to_vec()));
        rest = others;
    }
    flight
}
