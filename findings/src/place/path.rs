//! The normal form of paths, and templates for the ids in them.

use super::steps::Steps;

/// The limit for the segments of a path. The rest is `{more}`.
const MOST_SEGMENTS: usize = 32;
/// The limit for one segment in bytes. A longer one is `{long}`.
const MOST_SEGMENT_BYTES: usize = 200;
/// The markers that stand for ids and for what a limit removed. A path that has them already keeps
/// them.
const MARKERS: [&str; 6] = ["n", "uuid", "hex", "token", "long", "more"];
const MORE: &str = "{more}";
const LONG: &str = "{long}";

/// Returns the normal form of an absolute path whose `.` and `..` are resolved already.
pub(super) fn normalize(path: &str, steps: &mut Steps) -> String {
    let mut out = String::new();
    let segments = path.strip_prefix('/').unwrap_or(path).split('/');
    for (at, segment) in segments.enumerate() {
        out.push('/');
        if at == MOST_SEGMENTS {
            out.push_str(MORE);
            steps.push(format!("path: only the first {MOST_SEGMENTS} segments count"));
            break;
        }
        let normal = segment_form(segment);
        if normal != segment {
            steps.push(format!("path: \"{}\" is \"{normal}\"", crate::text::clean(segment, 80)));
        }
        out.push_str(&normal);
    }
    out
}

/// Returns the normal form of one segment.
fn segment_form(segment: &str) -> String {
    let segment = percent(segment);
    if segment.len() > MOST_SEGMENT_BYTES {
        return LONG.to_owned();
    }
    // Path parameters, such as `;jsessionid=…`, keep their names.
    let mut pieces = segment.split(';');
    let mut out = template(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.push(';');
        out.push_str(piece.split('=').next().unwrap_or_default());
    }
    out
}

/// Decodes escapes of characters that need none, writes the others in upper case, and escapes a `%`
/// that begins no escape. Escaped markers become markers.
pub(super) fn percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        match (*byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                let code = u8::try_from(high * 16 + low).unwrap_or(0);
                if code.is_ascii_alphanumeric() || matches!(code, b'-' | b'.' | b'_' | b'~') {
                    out.push(char::from(code));
                } else {
                    out.push_str(&format!("%{code:02X}"));
                }
                at += 3;
                continue;
            }
            (b'%', ..) => out.push_str("%25"),
            (byte, ..) if byte.is_ascii() => out.push(char::from(byte)),
            (byte, ..) => out.push_str(&format!("%{byte:02X}")),
        }
        at += 1;
    }
    for marker in MARKERS {
        let escaped = format!("%7B{marker}%7D");
        if out.contains(&escaped) {
            out = out.replace(&escaped, &format!("{{{marker}}}"));
        }
    }
    out
}

/// Replaces the id in a segment, or in the name of a query, by a marker.
pub(super) fn template(segment: &str) -> String {
    if segment.contains('{') || segment.is_empty() {
        return segment.to_owned();
    }
    let (stem, extension) = split_extension(segment);
    let marker = if stem.bytes().all(|byte| byte.is_ascii_digit()) {
        Some("{n}")
    } else if is_uuid(stem) {
        Some("{uuid}")
    } else if is_hex(stem, 16) && stem.bytes().any(|byte| byte.is_ascii_digit()) {
        Some("{hex}")
    } else if is_token(stem) {
        Some("{token}")
    } else {
        None
    };
    if let Some(marker) = marker {
        return format!("{marker}{extension}");
    }
    // The hash in the name of a built file: `app.3f2a9c1b.js`, `app-3f2a9c1b.js`.
    if let Some(at) = stem.rfind(['.', '-'])
        && is_mixed_hex(&stem[at + 1..])
    {
        return format!("{}{{hex}}{extension}", &stem[..=at]);
    }
    segment.to_owned()
}

/// Splits a file extension off: at most five letters and digits that begin with a letter.
fn split_extension(segment: &str) -> (&str, &str) {
    match segment.rfind('.') {
        Some(at) if at > 0 => {
            let extension = &segment[at + 1..];
            let is_extension = (1..=5).contains(&extension.len())
                && extension.starts_with(|c: char| c.is_ascii_alphabetic())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if is_extension { segment.split_at(at) } else { (segment, "") }
        }
        _ => (segment, ""),
    }
}

fn is_hex(text: &str, least: usize) -> bool {
    text.len() >= least && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// True for eight or more hex digits with both letters and numbers, so that neither a date nor a
/// word such as `feedback` counts.
fn is_mixed_hex(text: &str) -> bool {
    is_hex(text, 8)
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// True for a segment that looks random: 24 or more letters and digits of both cases, with digits
/// in at least three places.
fn is_token(text: &str) -> bool {
    let bytes = text.as_bytes();
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    let runs = bytes
        .iter()
        .enumerate()
        .filter(|(at, byte)| byte.is_ascii_digit() && (*at == 0 || !bytes[at - 1].is_ascii_digit()))
        .count();
    bytes.len() >= 24
        && bytes.iter().all(allowed)
        && bytes.iter().any(u8::is_ascii_lowercase)
        && bytes.iter().any(u8::is_ascii_uppercase)
        && runs >= 3
}
