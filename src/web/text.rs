//! Formats values for people. Templates compute nothing, so the formatting is done here.

use kastrel_actors::model::{ScanId, grouped_count};

pub(crate) use crate::human_time::duration;
pub(crate) use crate::sentence::sentence;
pub(crate) use crate::terminal_text::plain as clean;

/// A moment, formatted for people and for machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MomentText {
    /// The local time of the viewer, with the day if it is not today.
    pub(crate) shown: String,
    /// The local time with date and zone, and the same in UTC.
    pub(crate) full: String,
    pub(crate) exact: String,
    /// The distance from now.
    pub(crate) ago: String,
}

/// Formats a count: `1 plugin`, `2 plugins`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Formats a number of scans: `7`, or `1,000+` if there are more.
pub(crate) fn number_of_scans(count: u64, is_floor: bool) -> String {
    if is_floor { format!("{}+", grouped_count(count)) } else { count.to_string() }
}

/// Formats a size: `412 bytes`, `3.4 KB`, `12.0 MB`.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size for people has two digits")]
    let of = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..1000 => counted(bytes, "byte", "bytes"),
        1000..1_000_000 => format!("{:.1} KB", of(1000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", of(1_000_000)),
        _ => format!("{:.1} GB", of(1_000_000_000)),
    }
}

/// Encodes a path for a URL: all characters except the plainest ones.
pub(crate) fn in_url(path: &str) -> String {
    let encode = |b: u8| {
        if b.is_ascii_alphanumeric() || b"/-._~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }
    };
    path.bytes().map(encode).collect()
}

/// Returns the page of a plugin of a scan. The scanner chooses the name: it becomes one path
/// segment. A name that a browser reads as a step up (`..`) gets a mark, and so does a name that
/// begins with the mark.
pub(crate) fn plugin_url(scan: ScanId, name: &str) -> String {
    let mark = if matches!(name, "." | "..") || name.starts_with(PLUGIN_MARK) { "~" } else { "" };
    format!("/scans/{scan}/plugins/{mark}{}", in_url(name).replace('/', "%2F"))
}

/// The mark in front of plugin names that cannot be a path segment by themselves.
pub(crate) const PLUGIN_MARK: char = '~';

/// Targets up to this length are not broken into lines.
const SHORT: usize = 40;

/// Splits a target into pieces between which a line may be broken: after the separators of an
/// address, never within a word. A short target is one piece.
pub(crate) fn pieces(target: &str) -> Vec<&str> {
    if target.chars().count() <= SHORT {
        return vec![target];
    }
    let (mut pieces, mut from) = (Vec::new(), 0);
    let is_sign = |c: char| matches!(c, '/' | '.' | ':' | '-' | '_' | '?' | '&' | '=');
    for (at, c) in target.char_indices() {
        let next = at + c.len_utf8();
        if is_sign(c) && !target[next..].starts_with(is_sign) {
            pieces.push(&target[from..next]);
            from = next;
        }
    }
    if from < target.len() {
        pieces.push(&target[from..]);
    }
    pieces
}

/// Returns a name such as `in_progress` as words.
pub(crate) fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_are_removed() {
        assert_eq!(clean("a\u{1b}[31mb\u{0}\r\nc\u{202e}d"), "ab\ncd");
    }

    #[test]
    fn a_floor_is_marked() {
        assert_eq!([number_of_scans(1200, false), number_of_scans(1000, true)], ["1200", "1,000+"]);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [size(1), size(999), size(3_400), size(12_000_000), size(2_500_000_000)],
            ["1 byte", "999 bytes", "3.4 KB", "12.0 MB", "2.5 GB"]
        );
    }

    #[test]
    fn a_long_target_may_be_broken_behind_its_signs_only() {
        assert_eq!(pieces("www.example.com"), ["www.example.com"]);
        assert_eq!(
            pieces("https://shop.example.com:8443/some_path?a=b"),
            ["https://", "shop.", "example.", "com:", "8443/", "some_", "path?", "a=", "b"]
        );
    }
}
