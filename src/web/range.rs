//! Parses the `Range` header of a request for a file.

use axum::http::{HeaderMap, header};

use crate::ports::ByteRange;

/// Returns the single range that a request asks for. A range that the parser does not support,
/// several ranges, and a range with an `If-Range` condition get the complete file, as the standard
/// permits (RFC 9110, section 14.2).
pub(super) fn requested(headers: &HeaderMap) -> Option<ByteRange> {
    if headers.contains_key(header::IF_RANGE) || headers.get_all(header::RANGE).iter().count() != 1 {
        return None;
    }
    parse(headers.get(header::RANGE)?.to_str().ok()?)
}

fn parse(text: &str) -> Option<ByteRange> {
    let (first, last) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
    match (first, last) {
        ("", last) => number(last).map(ByteRange::Last),
        (first, "") => number(first).map(|first| ByteRange::From { first, last: None }),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::From { first, last: Some(last) })
        }
    }
}

/// Parses digits only. A number that is larger than any file size becomes the maximum.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_plain_range_is_parsed() {
        let from = |first, last| Some(ByteRange::From { first, last });
        for (text, expected) in [
            ("bytes=0-3", from(0, Some(3))),
            ("bytes=5-", from(5, None)),
            ("bytes=-7", Some(ByteRange::Last(7))),
            ("bytes=0-99999999999999999999", from(0, Some(u64::MAX))),
            ("bytes=5-2", None),
            ("bytes=-", None),
            ("bytes=", None),
            ("bytes=0-1,3-4", None),
            ("bytes=+1-2", None),
            ("items=0-3", None),
            ("bytes=--1", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
