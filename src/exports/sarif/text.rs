//! Texts and addresses in SARIF.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but what a segment of a path has as it is. A colon is encoded: before the first slash
/// it would make a scheme of the host.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Escapes what SARIF interprets in a message: a bracket begins a link, and a brace a placeholder.
pub(super) fn message_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '[' | ']' => escaped.extend(['\\', c]),
            '{' | '}' => escaped.extend([c, c]),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Returns the relative address of a place: host, port and path. It has no scheme, because code
/// scanning refuses a file with an address that is not below the sources.
pub(super) fn uri_of(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let segments = rest.split('/').filter(|segment| !segment.is_empty()).map(|segment| match segment {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        segment => utf8_percent_encode(segment, ENCODED).to_string(),
    });
    let uri = segments.collect::<Vec<_>>().join("/");
    if uri.is_empty() { "target".to_owned() } else { uri }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_has_no_link_and_no_placeholder() {
        assert_eq!(message_text("[x](javascript:1) {0}"), r"\[x\](javascript:1) {{0}}");
        assert_eq!(message_text("plain"), "plain");
    }

    #[test]
    fn address_is_relative_and_leaves_no_folder() {
        for (address, expected) in [
            ("https://shop.example/a/b?c=1#d", "shop.example/a/b%3Fc%3D1%23d"),
            ("http://shop.example:8443/", "shop.example%3A8443"),
            ("shop.example:25", "shop.example%3A25"),
            ("https://[::1]/x", "%5B%3A%3A1%5D/x"),
            ("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd"),
            ("https://shop.example/item/{id}", "shop.example/item/%7Bid%7D"),
            ("", "target"),
            ("///", "target"),
        ] {
            assert_eq!(uri_of(address), expected, "{address}");
        }
    }
}
